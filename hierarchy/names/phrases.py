"""A name as a data set writes it, taken apart for look-up (`take_apart`) or cleaned for display (`clean_names`)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

PREFIX = re.compile(r"^(?:n\d{8}[-_ ]+|/[a-z]/)(?=\S)")  # "n02085620-Chihuahua", Places365's "/a/airfield"
NUMBER = re.compile(r"^\d+\s*\.[\s_]*(?=[^\W\d_])")  # CUB: "013.Bobolink"; not "7-up", "3.5 inch disk"
ANY_NUMBER = re.compile(r"^(\d+)[\s._:)-]+(?=\S*[^\W\d_])")  # only if every name of a list has one
CAMEL = re.compile(r"(?:[A-Z]+[a-z]*[0-9]*){2,}")  # UCF101: "ApplyEyeMakeup"; a part may be an abbreviation
BORDER = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")  # between the words of one
BRACKETS = re.compile(r"\s*[(\[]([^()\[\]]*)[)\]]")
PLURAL_MARK = re.compile(r"(?<=\w)\((?:e?s)\)")  # "boot(s)"
SMALL_WORDS = frozenset(
    ("a", "an", "and", "as", "at", "by", "for", "from", "in", "into", "of", "on", "or", "the", "to", "up", "with")
)
_SENTENCE = """
i me my you your we us our he his she her it its they their them this that these those what which who whom whose when
where why how is are am was were be been do does did don't can can't could would should will have has not no
"""
SENTENCE_WORDS = frozenset(
    _SENTENCE.split()
)  # a phrase with one of these says something; its last word does not name it
FUNCTION_WORDS = SMALL_WORDS | SENTENCE_WORDS
EMPTY_ENDINGS = frozenset(("merged", "other", "others", "stuff", "misc"))  # COCO panoptic: "floor-other-merged"
FEWEST_ALIKE = 3  # names of one spelling, such as CamelCase, before it is taken for the list's way to write spaces,
LEAST_SHARE = 0.1  # and their share: one "YouTube" among a thousand names is a word
EDGES = " _-,;:|"


@dataclass(frozen=True)
class Phrase:
    """A name taken apart.

    Args:
        spellings: ways to spell what the class is called, the most faithful first ("MacBook", "mac book"). A
            dictionary is asked for one after the other.
        qualifier: what narrows it down, from brackets or behind a colon or slash: "animal" of "mouse (animal)",
            "Blue Jay" of "Cyanocitta cristata (Blue Jay)", "outdoor" of "apartment_building/outdoor"; else "".
        synonyms: further names of the same class, as "auto" of "car;auto"; those behind a comma may be less than that.
    """

    spellings: tuple[str, ...]
    qualifier: str = ""
    synonyms: tuple[str, ...] = ()

    @property
    def head(self) -> str:
        """What the class is called, in separate words; a title is in lower case."""
        return self.spellings[-1]


def take_apart(raw: str) -> Phrase:
    """Takes a name apart, cleaned or as the data set writes it.

    >>> take_apart("mouse_(computer_equipment)")
    Phrase(spellings=('mouse',), qualifier='computer equipment', synonyms=())
    >>> take_apart("013.Bobolink").head, take_apart("BasketballDunk").head, take_apart("Cutting In Kitchen").head
    ('Bobolink', 'basketball dunk', 'cutting in kitchen')
    >>> take_apart("car;auto;automobile").synonyms
    ('auto', 'automobile')
    """
    text = _plain_spaces(NUMBER.sub("", PREFIX.sub("", raw))) or raw
    text = PLURAL_MARK.sub("", text)
    qualifiers, bare = BRACKETS.findall(text), BRACKETS.sub(" ", text).strip(EDGES)
    if not bare:  # all of it is in brackets
        qualifiers, bare = [], text.strip("()[]" + EDGES) or raw
    text = " ".join(bare.split())
    text, *synonyms = _split(r"[;|]", text)
    if " > " in text:  # from the general to the particular
        *above, text = _split(" > ", text)
        qualifiers += above
    text, *rest = _split(": ", text)
    qualifiers += rest
    text, *rest = _split(r"(?<=[^\W\d_]{2})\s?/\s?(?=[^\W\d_]{2})", text)
    if rest and " " in rest[-1] and " " not in text:  # "cutting/chopping board"
        text, rest = rest[-1], [text, *rest[:-1]]
    qualifiers += rest
    text, *others = _split(r", ", text)
    inverted = (f"{others[0]} {text}",) if len(others) == 1 and " " not in others[0] else ()  # "pepper, bell"
    spellings, ending = _spell(text)
    qualifiers += [ending] if ending else []
    return Phrase(
        tuple(dict.fromkeys((*map(_untitled, inverted), *spellings))),
        ", ".join(filter(None, (part.strip(EDGES) for part in qualifiers))),
        tuple(dict.fromkeys(_untitled(word) for word in (*synonyms, *others))),
    )


def clean_names(raws: Sequence[str]) -> tuple[str, ...]:
    """The display names of a list of raw names: spaces between words, no numbers before them, no synonyms.

    The whole list decides what counts as a separator. A name that becomes another's stays as it is.

    >>> clean_names(["001.Black_footed_Albatross", "002.Laysan_Albatross"])
    ('Black footed Albatross', 'Laysan Albatross')
    """
    numbers = [found and found[1] for found in map(ANY_NUMBER.match, raws)]
    numbered = len(raws) > 1 and all(numbers) and len(set(numbers)) == len(raws)
    texts = [(ANY_NUMBER if numbered else NUMBER).sub("", PREFIX.sub("", raw)) for raw in raws]
    texts = [next(iter(_split("[;|]", _plain_spaces(text))), text) for text in texts]
    for is_spelled, split in ((_is_camel, _split_camel), (_is_hyphened, _split_hyphens)):
        alike = sum(map(is_spelled, texts))
        if alike >= max(FEWEST_ALIKE, LEAST_SHARE * len(texts)):
            texts = [split(text) if is_spelled(text) else text for text in texts]
    texts = [_split_dots(text) if _is_dotted(text) else text for text in texts]
    return _kept_apart(raws, texts)


def are_titled(names: Sequence[str]) -> bool:
    """Whether capitals say nothing in a list, since nearly all its names begin with one.

    >>> are_titled(["Turkey", "Chicken", "Beef"]), are_titled(["turkey", "Turkey", "beef"])
    (True, False)
    """
    cased = [name[0].isupper() for name in names if name[:1].lower() != name[:1].upper()]
    return bool(cased) and sum(cased) >= 0.9 * len(cased)


def _kept_apart(raws: Sequence[str], texts: Sequence[str]) -> tuple[str, ...]:
    """The texts, or the raw names where different raw names have one text."""
    names = [text or raw for text, raw in zip(texts, raws, strict=True)]
    while True:
        meant = Counter(name for name, _ in set(zip(names, raws, strict=True)))
        clear = [name if meant[name] == 1 else raw for name, raw in zip(names, raws, strict=True)]
        if clear == names:
            return tuple(names)
        names = clear


def _plain_spaces(text: str) -> str:
    """Single spaces between words, ": " for several underscores, " > " for a path of dashes."""
    text = text.translate({0xFF08: "(", 0xFF09: ")", 0xFF1B: ";"})  # full-width brackets and semicolon
    text = re.sub(r"(?<=[^\s_])_{2,}(?=[^\s_])", ": ", text)  # PlantVillage: "Apple___Apple_scab"
    text = re.sub(r"(?<=\w)--(?=\w)", " > ", text)  # Mapillary Vistas: "object--vehicle--car"
    return " ".join(text.replace("_", " ").split())


def _split(separator: str, text: str) -> list[str]:
    """The parts of a text, without empty ones; the text itself if nothing else is left."""
    return [part for part in (part.strip(EDGES) for part in re.split(separator, text)) if part] or [text]


def _spell(text: str) -> tuple[tuple[str, ...], str]:
    """The spellings of a text without brackets and synonyms, and an ending that says nothing."""
    ending = ""
    if "-" in text and " " not in text:
        first, *rest = text.split("-")
        while rest and rest[-1].lower() in EMPTY_ENDINGS:
            ending = f"{rest.pop()} {ending}".strip()
        text = "-".join((first, *rest))
    spaced = text
    if _is_camel(text):
        spaced = _split_camel(text)
    elif _is_dotted(text):
        spaced = _split_dots(text)
    elif " " not in text and all(len(part) > 1 and part[0].isalpha() for part in text.split("-")):
        spaced = _split_hyphens(text)
    return tuple(dict.fromkeys((text if spaced != text else _untitled(text), _untitled(spaced)))), ending


def _untitled(text: str) -> str:
    """A title in lower case, abbreviations kept: "Cutting In Kitchen" is "cutting in kitchen"."""
    words = text.split()
    if len(words) > 1 and all(word[0].isupper() or word in SMALL_WORDS or not word[0].isalpha() for word in words):
        return " ".join(word if word[1:] != word[1:].lower() else word.lower() for word in words)
    return text


def _is_camel(text: str) -> bool:
    return CAMEL.fullmatch(text) is not None and BORDER.search(text) is not None and len(text) > 3


def _split_camel(text: str) -> str:
    return " ".join(BORDER.split(text))


def _is_hyphened(text: str) -> bool:
    """Whether hyphens join the words of a title: "Arla-Sour-Cream", but not "T-shirt" or "jack-o'-lantern"."""
    parts = text.split("-")
    return " " not in text and len(parts) > 1 and all(len(part) > 1 and part[0].isupper() for part in parts)


def _split_hyphens(text: str) -> str:
    return " ".join(text.split("-"))


def _is_dotted(text: str) -> bool:
    """Whether dots join words: "comp.sys.mac.hardware", but not "St. Bernard" or "U.S."."""
    parts = text.split(".")
    return " " not in text and len(parts) > 1 and all(len(part) > 1 and part[0].isalpha() for part in parts)


def _split_dots(text: str) -> str:
    return " ".join(text.split("."))
