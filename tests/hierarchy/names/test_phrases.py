"""Names as data sets write them: what the class is called, what narrows it down, its synonyms, its display name."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierarchy.names import are_titled, clean_names, name_fault, take_apart
from hierarchy.sources import read_classes

RAW = st.text(st.sampled_from("aBz éßǅ果🦈0 _-.,;:|()[]/>'\t"), min_size=1, max_size=24).filter(str.strip)


@given(RAW)
def test_any_text_has_a_spelling_and_none_is_blank(raw):
    phrase = take_apart(raw)
    assert phrase.spellings and len(set(phrase.spellings)) == len(phrase.spellings)
    for text in (*phrase.spellings, *phrase.synonyms):
        assert text.strip() == text != "" or text == raw
        assert "  " not in text or text == raw
    assert phrase.qualifier == phrase.qualifier.strip()


@given(st.lists(RAW, max_size=6, unique=True), st.randoms())
def test_display_names_do_not_depend_on_the_order_and_stay_apart(raws, chance):
    names = clean_names(raws)
    assert len(set(names)) == len(raws) and all(names)
    order = list(range(len(raws)))
    chance.shuffle(order)
    assert clean_names([raws[i] for i in order]) == tuple(names[i] for i in order)


@pytest.mark.parametrize(
    ("raw", "spellings", "qualifier", "synonyms"),
    [
        ("tabby", ("tabby",), "", ()),
        ("aquarium_fish", ("aquarium fish",), "", ()),
        ("001.Black_footed_Albatross", ("Black footed Albatross",), "", ()),
        ("n02085620-Chihuahua", ("Chihuahua",), "", ()),
        ("/a/apartment_building/outdoor", ("apartment building",), "outdoor", ()),
        ("7-up", ("7-up",), "", ()),
        ("3.5 inch disk", ("3.5 inch disk",), "", ()),
        ("BasketballDunk", ("BasketballDunk", "basketball dunk"), "", ()),
        ("TVMonitor", ("TVMonitor", "TV monitor"), "", ()),
        ("BMW", ("BMW",), "", ()),
        ("iPhone", ("iPhone",), "", ()),
        ("Cutting In Kitchen", ("cutting in kitchen",), "", ()),
        ("Great Wall of China", ("great wall of china",), "", ()),
        ("Yorkshire terrier", ("Yorkshire terrier",), "", ()),
        ("Arla-Sour-Cream", ("Arla-Sour-Cream", "arla sour cream"), "", ()),
        ("T-shirt", ("T-shirt",), "", ()),
        ("jack-o'-lantern", ("jack-o'-lantern", "jack o' lantern"), "", ()),
        ("table-merged", ("table",), "merged", ()),
        ("floor-other-merged", ("floor",), "other merged", ()),
        ("comp.sys.mac.hardware", ("comp.sys.mac.hardware", "comp sys mac hardware"), "", ()),
        ("U.S.", ("U.S.",), "", ()),
        ("mouse_(computer_equipment)", ("mouse",), "computer equipment", ()),
        ("Cyanocitta cristata (Blue Jay)", ("Cyanocitta cristata",), "Blue Jay", ()),
        ("苹果（红）", ("苹果",), "红", ()),
        ("boot(s)", ("boot",), "", ()),
        ("(none)", ("none",), "", ()),
        ("__background__", ("background",), "", ()),
        ("Corn_(maize)___Common_rust_", ("Corn",), "maize, Common rust", ()),
        ("object--vehicle--car", ("car",), "object, vehicle", ()),
        ("car;auto;automobile", ("car",), "", ("auto", "automobile")),
        ("tench, Tinca tinca", ("tench",), "", ("Tinca tinca",)),
        ("pepper, bell", ("bell pepper", "pepper"), "", ("bell",)),
        ("T-shirt/top", ("T-shirt",), "top", ()),
        ("apartment_building/outdoor", ("apartment building",), "outdoor", ()),
        ("Cutting/chopping Board", ("chopping Board",), "Cutting", ()),
        ("F/A-18", ("F/A-18",), "", ()),
        ("n/a", ("n/a",), "", ()),
    ],
)
def test_a_name_is_taken_apart(raw, spellings, qualifier, synonyms):
    phrase = take_apart(raw)
    assert (phrase.spellings, phrase.qualifier, phrase.synonyms) == (spellings, qualifier, synonyms)


@pytest.mark.parametrize(
    ("raws", "names"),
    [
        (["aquarium_fish", "sea_lion"], ["aquarium fish", "sea lion"]),
        (["001.ak47", "002.american-flag"], ["ak47", "american-flag"]),
        (["1 Sour cream", "2 Milk"], ["Sour cream", "Milk"]),
        (["1 Sour cream", "Milk"], ["1 Sour cream", "Milk"]),  # not every name has a number
        (["4_wheeler", "4_door_car"], ["4 wheeler", "4 door car"]),  # nor are these numbers of classes
        (["PlayingGuitar", "HorseRace", "YoYo", "Basketball"], ["Playing Guitar", "Horse Race", "Yo Yo", "Basketball"]),
        (["YouTube", "film", "radio"], ["YouTube", "film", "radio"]),
        (
            ["Arla-Sour-Cream", "Sweet-Potato", "Oat-Milk", "T-shirt"],
            ["Arla Sour Cream", "Sweet Potato", "Oat Milk", "T-shirt"],
        ),
        (["Coca-Cola", "tea"], ["Coca-Cola", "tea"]),
        (["rec.sport.hockey", "St. Bernard"], ["rec sport hockey", "St. Bernard"]),
        (["building;edifice", "tub; bath"], ["building", "tub"]),
        (["Apple___Apple_scab", "Corn_(maize)___healthy"], ["Apple: Apple scab", "Corn (maize): healthy"]),
        (["n02085620-Chihuahua", "n02085782-Japanese_spaniel"], ["Chihuahua", "Japanese spaniel"]),
        (["T-shirt/top", "n/a"], ["T-shirt/top", "n/a"]),
        (["sea_lion", "sea lion"], ["sea_lion", "sea lion"]),  # else two classes would have one name
        (["crane", "crane"], ["crane", "crane"]),
        (["_", "; ;"], ["_", "; ;"]),
    ],
)
def test_a_list_of_names_is_cleaned(raws, names):
    assert list(clean_names(raws)) == names


def test_the_names_of_imagenet_stay_as_they_are():
    names = list(read_classes("imagenet-21k").names)
    random.Random(0).shuffle(names)
    assert list(clean_names(names)) == names and not any(map(name_fault, names))


def test_capitals_of_a_whole_list_say_nothing():
    assert are_titled(["Turkey", "Ham", "42", "大熊猫"]) and not are_titled(["Turkey", "ham"]) and not are_titled([])
