"""Plain English: plurals and counts; for WordNet's words, words to avoid and everyday replacements."""

from __future__ import annotations

import re
from collections.abc import Mapping

_UNSAID = """
entity; physical entity; abstraction; object; whole; thing; matter; substance; artifact; instrumentality;
instrumentation; unit; article; commodity; consumer goods; durables; attribute; relation; causal agent;
organism; living thing; being; part; chordate; vertebrate; placental; eutherian; creation; natural object; way;
group; group action; state; event; act; process; psychological feature; communication; message; measure;
location; region; solid; fluid; nutriment; foodstuff; product; good; point; form; component; constituent;
produce; line; extremity; sheet; module; assembly; property; possession; collection; arrangement;
representation; physical phenomenon; phenomenon; content; domestic animal; vascular plant; woody plant;
spermatophyte; angiosperm; reproductive structure; natural phenomenon; aquatic vertebrate; diapsid; anapsid;
metatherian; prototherian; cyprinid; soft-finned fish; spiny-finned fish; teleost fish; ganoid; saurian;
testudine; game; piece; aggregation; passerine; self-propelled vehicle; white goods; durable goods; material;
physical property; social group; food product; dry goods; soft goods; drygoods; generality; concept; idea;
indication; signal; time; game bird; evidence; written communication; protective covering; human action; trace;
information
"""
_VAGUE = """
structure; construction; covering; protective covering; device; implement; mechanism; support; area; surface;
system; facility; conveyance; equipment; container; shape; obstruction; barrier; opening; layer; decoration;
plant part; plant organ; plant; animal; food; furnishing; protection; restraint; machine; instrument; fabric;
supporting structure; building material; cover; sheath; cloth; piece of cloth; establishment; geological
formation; body of water; worker; adult
"""
_MASS = """
clothing; furniture; food; equipment; footwear; headgear; headdress; tableware; cookware; glassware;
kitchenware; crockery; cattle; fish; sheep; deer; aircraft; spacecraft; watercraft; waterfowl; jewelry; cutlery;
underwear; outerwear; sportswear; swimwear; nightwear; bread; cheese; meat; seafood; pasta; wildlife; poultry;
software; hardware; weaponry; machinery; armor; money; protection; luggage; transport; lumber; toast; paper; music;
glass; wood; salmon; bison; shrimp; swine; headwear; flatware; silverware; fabric; produce; game; earthenware; pottery;
china; stoneware; ware; gear; apparel; attire; garb; wear; bedding; lingerie; hosiery; neckwear; legwear;
footgear; dice; information; evidence; breathing; weather; traffic; baggage; rice; butter; bacon; others;
corn; maize; wheat; milk; yogurt; yoghurt; soyghurt; garlic; ginger; asparagus; broccoli; lettuce; spinach; celery;
honey; sugar; salt; flour; water; coffee; tea; beer; wine; applause; laughter; camouflage; yoga; rain; snow; hail;
fog; thunder; lightning; grass; hay; moss; sand; mud; gold; silver; cotton; wool; silk; leather; lotion; plastic;
mildew; rust; scab; rot; blight; yes; no; clapping
"""
_COUNTED = "glass; game; line; paper; iron"


def _listed(text: str) -> frozenset[str]:
    return frozenset(word.strip() for word in text.replace("\n", " ").split(";"))


# Words only a dictionary uses: true of half of all things, or learned where the level above or below has a plain one.
# Never used as names.
UNSAID = _listed(_UNSAID)
# Used only if nothing better is found.
VAGUE = _listed(_VAGUE)
# Words that are their own plural.
MASS = _listed(_MASS)
# Those of them that have a plural behind another word: glass, but wine glasses.
COUNTED = _listed(_COUNTED)
# The learned word that WordNet lists first -> the everyday word.
PLAIN: Mapping[str, str] = {
    "feline": "cat", "canine": "dog-like animal", "lagomorph": "rabbit", "leporid": "rabbit and hare",
    "chelonian": "turtle", "elasmobranch": "shark and ray", "crocodilian reptile": "crocodile",
    "oscine": "songbird", "gallinaceous bird": "fowl", "phasianid": "pheasant-like bird",
    "anseriform bird": "waterfowl", "percoid fish": "perch-like fish", "musteline mammal": "weasel-like mammal",
    "procyonid": "raccoon-like mammal", "bovid": "ox, sheep and antelope", "proboscidean": "elephant",
    "edentate": "armadillo and sloth", "coelenterate": "jellyfish and coral", "gastropod": "snail and slug",
    "lepidopterous insect": "butterfly and moth", "hymenopterous insect": "bee and ant",
    "orthopterous insect": "grasshopper and cricket", "homopterous insect": "cicada", "dipterous insect": "fly",
    "basidiomycete": "mushroom", "even-toed ungulate": "cloven-hoofed mammal",
    "odd-toed ungulate": "horse-like mammal", "cetacean": "whale and dolphin", "monotreme": "egg-laying mammal",
    "coraciiform bird": "kingfisher-like bird", "piciform bird": "woodpecker-like bird",
    "ratite": "ostrich-like bird", "psittaciform bird": "parrot", "catarrhine": "Old World monkey",
    "platyrrhine": "New World monkey", "decapod crustacean": "crab and lobster", "mercantile establishment": "shop",
    "geological formation": "landform", "source of illumination": "lamp", "place of business": "shop",
    "construction": "structure", "stringed instrument": "string instrument", "piece of cloth": "cloth",
    "bovine": "cattle", "ungulate": "hoofed mammal", "crucifer": "cabbage", "cruciferous vegetable": "cabbage",
    "ophidian": "snake", "anuran": "frog and toad", "toad": "frog and toad", "cyprinid": "carp",
    "sports implement": "sports equipment", "timepiece": "clock",
}  # fmt: skip

IRREGULAR: Mapping[str, str] = {
    "man": "men", "woman": "women", "child": "children", "person": "people", "foot": "feet", "tooth": "teeth",
    "goose": "geese", "mouse": "mice", "mongoose": "mongooses", "ottoman": "ottomans", "caiman": "caimans",
    "shaman": "shamans", "stomach": "stomachs", "monarch": "monarchs", "epoch": "epochs", "bookshelf": "bookshelves",
    "penknife": "penknives", "louse": "lice", "ox": "oxen", "fungus": "fungi", "cactus": "cacti",
    "leaf": "leaves", "loaf": "loaves", "knife": "knives", "shelf": "shelves", "wolf": "wolves", "calf": "calves",
    "scarf": "scarves", "thief": "thieves", "half": "halves", "hoof": "hooves", "hippopotamus": "hippopotamuses",
    "phenomenon": "phenomena",
    "bacterium": "bacteria", "nucleus": "nuclei", "larva": "larvae", "alga": "algae", "axis": "axes",
    "crisis": "crises", "potato": "potatoes", "tomato": "tomatoes", "hero": "heroes", "torpedo": "torpedoes",
    "buffalo": "buffaloes", "mosquito": "mosquitoes", "mango": "mangoes", "grouse": "grouse",
    "sennenhund": "sennenhunde", "quail": "quail", "jackfruit": "jackfruit",
}  # fmt: skip


def plural(words: str) -> str:
    """The plural of a noun phrase, by the usual rules and a list of exceptions.

    >>> plural("lawn mower"), plural("fish"), plural("butterfly"), plural("jack-o'-lantern"), plural("pair of pliers")
    ('lawn mowers', 'fish', 'butterflies', "jack-o'-lanterns", 'pairs of pliers')
    >>> plural("glass"), plural("wine glass")
    ('glass', 'wine glasses')
    """
    of = re.search(r" (?:of|in|on|with|for|and) ", words)
    if of:
        tail = words[of.start() :]
        return plural(words[: of.start()]) + (tail if of.group() != " and " else " and " + plural(tail[5:]))
    head, space, last = words.rpartition(" ")
    low = last.lower()
    if low in MASS and not (head and low in COUNTED):
        return words
    if re.search(r"(?:ware|wear|fish|gear|craft|s)$", low) and not re.search(r"(?:ss|us|is)$", low):
        return words
    return head + space + _plural_word(last, low)


def count(number: int, noun: str) -> str:
    """A number of things, in the singular or the plural.

    >>> count(1, "superclass"), count(0, "reply"), count(1200, "random class")
    ('1 superclass', '0 replies', '1,200 random classes')
    """
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def _plural_word(word: str, low: str) -> str:
    if low in IRREGULAR:
        return word[:1] + IRREGULAR[low][1:]
    for ending, many in IRREGULAR.items():
        if ending in ("man", "woman", "fish", "mouse", "goose", "foot", "child") and low.endswith(ending):
            return word[: -len(ending)] + many if not low.endswith(("human", "german", "talisman")) else word + "s"
    if re.search(r"(?:s|x|z|ch|sh)$", low):
        return word + "es"
    if re.search(r"[^aeiou]y$", low):
        return word[:-1] + "ies"
    return word + "s"
