"""What names mean: whole names, names with qualifiers, other spellings, heads of phrases, and how sure that is."""

from __future__ import annotations

import pytest

from hierarchy.sources import ClassList
from hierarchy.wordnet import Confidence, find_senses
from hierarchy.wordnet.candidates import find_candidates
from hierarchy.wordnet.disambiguate import choose_senses

# Names as LVIS writes them, of our own choice, and the word and the number of the sense that a person picks.
QUALIFIED = """
mouse (animal) = mouse 1; mouse (computer equipment) = mouse 4; octopus (food) = octopus 1;
octopus (animal) = octopus 2; steak (food) = steak 1; toast (food) = toast 1;
convertible (automobile) = convertible 1; cab (taxi) = cab 3; bat (animal) = bat 1; crane (bird) = crane 5;
crane (machine) = crane 4; turkey (bird) = turkey 1; chicken (bird) = chicken 2; chicken (food) = chicken 1;
lamb (meat) = lamb 5; lamb (animal) = lamb 1; iron (appliance) = iron 4; ring (jewelry) = ring 8;
nail (metal fastener) = nail 2; nail (finger) = nail 1; pipe (tube) = pipe 2; pipe (tobacco) = pipe 1;
drill (tool) = drill 1; saw (tool) = saw 2; file (tool) = file 4; tank (military vehicle) = tank 1;
tank (storage vessel) = tank 2; date (fruit) = date 8; orange (fruit) = orange 1; orange (color) = orange 2;
lime (fruit) = lime 6; kiwi (fruit) = kiwi 3; kiwi (bird) = kiwi 4; bow (weapon) = bow 4;
bow (decoration) = bow 8 or bow 1; seal (animal) = seal 9; trunk (car) = trunk 4; trunk (elephant) = trunk 5;
trunk (luggage) = trunk 2; plate (dish) = plate 4; glass (drinking vessel) = glass 2; fan (device) = fan 1;
jaguar (animal) = jaguar 1; keyboard (computer) = keyboard 1; keyboard (piano) = keyboard 1;
monitor (screen) = monitor 4 or monitor 5; monitor (lizard) = monitor 7; palm (tree) = palm 3;
palm (hand) = palm 1; cup (trophy) = cup 8; pen (writing implement) = pen 1; pen (enclosure) = pen 2;
bass (fish) = bass 8 or bass 4 or bass 5; bass (instrument) = bass 7; duck (animal) = duck 1; duck (meat) = duck 3;
sole (shoe) = sole 1; sole (fish) = sole 2 or sole 4; pitcher (container) = pitcher 2;
pitcher (baseball player) = pitcher 1; racket (tennis) = racket 4; mole (animal) = mole 6; mole (spot) = mole 4;
boxer (dog) = boxer 4; boxer (athlete) = boxer 1; club (golf) = club 5; heart (organ) = heart 2;
spring (season) = spring 1; spring (water) = spring 3; diamond (gem) = diamond 1;
ruler (measuring stick) = ruler 2; hose (stocking) = hose 1; hose (pipe) = hose 3; scale (weighing) = scale 7;
scale (fish) = scale 10; tie (neckwear) = tie 1; jumper (garment) = jumper 3 or jumper 4 or jumper 6 or jumper 7;
ram (animal) = ram 5; stove (heating) = stove 2 or stove 1; bank (river) = bank 1; bank (money) = bank 2
"""
# COCO's classes that WordNet has.
COCO = """
person = person 1; bicycle = bicycle 1; car = car 1; motorcycle = motorcycle 1; airplane = airplane 1; bus = bus 1;
train = train 1; truck = truck 1; boat = boat 1; traffic light = traffic light 1; fire hydrant = fire hydrant 1;
parking meter = parking meter 1; bench = bench 1; bird = bird 1; cat = cat 1; dog = dog 1; horse = horse 1;
sheep = sheep 1; cow = cow 2 or cow 1; elephant = elephant 1; bear = bear 1; zebra = zebra 1; giraffe = giraffe 1;
backpack = backpack 1; umbrella = umbrella 1; handbag = handbag 1; tie = necktie 1; suitcase = suitcase 1;
frisbee = frisbee 1; skis = ski 1; snowboard = snowboard 1; kite = kite 3; baseball bat = baseball bat 1;
baseball glove = baseball glove 1; skateboard = skateboard 1; surfboard = surfboard 1;
tennis racket = tennis racket 1; bottle = bottle 1; wine glass = wineglass 1; cup = cup 1; fork = fork 1;
knife = knife 1; spoon = spoon 1; bowl = bowl 3 or bowl 1; banana = banana 2; apple = apple 1;
sandwich = sandwich 1; orange = orange 1; broccoli = broccoli 2; carrot = carrot 1 or carrot 2 or carrot 3;
hot dog = hot dog 1 or hot dog 2 or hot dog 3; pizza = pizza 1; donut = donut 1; cake = cake 3; chair = chair 1;
couch = couch 1; bed = bed 1; dining table = dining table 1; toilet = toilet 2 or toilet 1; tv = television 3;
laptop = laptop 1; mouse = mouse 4; keyboard = keyboard 1; cell phone = cellphone 1; microwave = microwave 2;
oven = oven 1; toaster = toaster 2; sink = sink 1; refrigerator = refrigerator 1; book = book 2; clock = clock 1;
vase = vase 1; scissors = scissors 1; teddy bear = teddy 1; hair drier = hand blower 1; toothbrush = toothbrush 1;
sports ball = ball 1; remote = remote control 1
"""


def right(table, wordnet):
    """The names of a table whose sense is right, and how many there are; ids are numbers, so only names are known."""
    truth = dict(row.split(" = ") for row in table.replace("\n", " ").strip().split("; "))
    blank = ClassList(tuple(map(str, range(len(truth)))), tuple(truth), ("",) * len(truth), "names")
    found = dict(zip(truth, choose_senses(blank, wordnet), strict=True))
    wanted = {
        name: [
            wordnet.senses(word)[int(number) - 1] for word, _, number in (s.rpartition(" ") for s in said.split(" or "))
        ]
        for name, said in truth.items()
    }
    return [name for name, meaning in found.items() if meaning.wnid in wanted[name]], len(truth)


def test_a_qualifier_chooses_the_sense(wordnet):
    names, most = right(QUALIFIED, wordnet)
    assert len(names) >= 75 and most == 81


def test_the_senses_of_cocos_names_are_right(wordnet):
    names, most = right(COCO, wordnet)
    assert len(names) >= 75 and most == 78


@pytest.mark.parametrize(
    "name, word, confidence",
    [
        ("tiger shark", "tiger shark", "NAME"),
        ("mouse (animal)", "mouse", "NAME"),  # one of its senses is an animal
        ("wine glass", "wineglass", "NAME"),
        ("house-plant", "houseplant", "NAME"),
        ("Cutting_Board", "cutting board", "NAME"),
        ("RockClimbing", "rock climbing", "NAME"),
        ("car;auto;automobile", "car", "NAME"),
        ("xyzzy;chihuahua", "Chihuahua", "KIN"),
        ("n02085620-Chihuahua", "Chihuahua", "KIN"),
        ("Cyanocitta cristata (Blue Jay)", "blue jay", "NAME"),
        ("Xyzzy plugh (Blue Jay)", "blue jay", "KIN"),
        ("Sialia currucoides (Mountain Bluebird)", "bluebird", "HEAD"),
        ("maple tree", "maple", "KIN"),  # a maple is a tree
        ("aquarium fish", "fish", "HEAD"),
        ("man with cane", "man", "HEAD"),
        ("comp.sys.mac.hardware", "hardware", "HEAD"),
        ("fresh xyzzy (cheese)", "cheese", "HEAD"),
        ("Great Dane", "Great Dane", "NAME"),
        ("great dane", "Great Dane", "NAME"),
        ("pad thai", None, "UNKNOWN"),  # a lower-case head is no proper name
        ("who made you", None, "UNKNOWN"),  # a sentence is not named by its last word
        ("are_you_a_bot", None, "UNKNOWN"),
        ("苹果", None, "UNKNOWN"),
        ("(", None, "UNKNOWN"),
    ],
)
def test_names_are_taken_apart_before_they_are_looked_up(name, word, confidence, wordnet):
    found = find_candidates(name, wordnet)
    assert found.confidence.name == confidence
    words = [known for wnid in found.wnids for known in wordnet.synset(wnid).words]
    assert not words if word is None else word in words


def test_what_a_list_is_about_counts_though_photographs_seldom_show_it(wordnet, named):
    """Alone, black is clothing; among colours it is one, as an elbow among arms and legs is no part of a sleeve."""
    colours = named("red", "green", "blue", "yellow", "black")
    assert {wordnet.synset(m.wnid).field for m in choose_senses(colours, wordnet)} == {"attribute"}
    limbs = named("elbow", "arm", "leg", "knee", "hand", "foot", "nose", "ear")
    assert wordnet.synset(choose_senses(limbs, wordnet)[0].wnid).field == "body"


def test_a_lower_case_head_is_no_proper_name(wordnet):
    assert "n11280013" in wordnet.senses("sand")  # the French writer
    assert "n11280013" not in find_candidates("desert sand", wordnet).wnids


def test_capitals_count_unless_all_names_have_them(wordnet, named):
    country, bird = wordnet.senses("Turkey")[1], wordnet.senses("turkey")[0]
    assert wordnet.synset(country).field == "location" and wordnet.synset(bird).field == "animal"
    mixed, alone = named("Turkey", "lion", "goose", "duck"), named("turkey", "lion", "goose", "duck")
    titled = named("Turkey", "Lion", "Goose", "Duck")
    assert [choose_senses(classes, wordnet)[0].wnid for classes in (mixed, alone, titled)] == [country, bird, bird]


def test_the_gloss_of_a_head_is_no_definition(wordnet, named):
    names = ("tiger shark", "aquarium fish", "credit score", "maple tree")
    whole, fish, score, maple = find_senses(named(*names), wordnet).definitions
    assert whole and maple and (fish, score) == ("", "")


def test_a_qualifier_that_says_nothing_changes_nothing(wordnet):
    plain, outdoor = (find_candidates(name, wordnet) for name in ("bridge", "bridge (outdoor)"))
    assert plain.wnids == outdoor.wnids and set(outdoor.fits) == {0.0}


def test_confidences_are_in_order():
    assert Confidence.UNKNOWN < Confidence.HEAD < Confidence.KIN < Confidence.NAME < Confidence.EXACT
