"""The senses of some classes as a sheet that a person can correct: written as CSV, and read back."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

from hierarchy.errors import FormatError, SourceError, in_one_sentence, nearest
from hierarchy.files import read_text
from hierarchy.sources import ClassList
from hierarchy.wordnet.candidates import find_candidates
from hierarchy.wordnet.database import WordNet
from hierarchy.wordnet.disambiguate import Meaning, mean_exactly

COLUMNS = ("id", "name", "sense", "sure", "meaning", "others")
MOST_OTHERS = 8  # senses offered besides the chosen one; "head" has 33


def senses_to_sheet(classes: ClassList, meanings: Sequence[Meaning], wordnet: WordNet) -> str:
    """The senses as CSV, a class per line; `sense` and `sure` may be changed, and rows removed.

    `sense` is a WNID, or empty if WordNet does not know the class; `sure` is "yes" if its gloss is taken for the
    class's definition; `meaning` and `others` describe it and the other senses that the name may have.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for id, name, meaning in zip(classes.ids, classes.names, meanings, strict=True):
        others = [wnid for wnid in _others(name, meaning, wordnet) if wnid != meaning.wnid][:MOST_OTHERS]
        described = _describe(meaning.wnid, wordnet) if meaning else ""
        said = " | ".join(f"{wnid} {_describe(wnid, wordnet)}" for wnid in others)
        writer.writerow([id, name, meaning.wnid, "yes" if meaning.is_sure else "no", described, said])
    return text.getvalue()


def read_senses(path: str, classes: ClassList, chosen: Sequence[Meaning], wordnet: WordNet) -> tuple[Meaning, ...]:
    """The meanings that a sheet gives some classes.

    A row whose sense was changed, or confirmed by a "yes", is exact. Any other row, and a class without one, keeps the
    meaning that was chosen for it.

    Args:
        path: a CSV file with the columns id and sense, as `senses_to_sheet` writes it. A sense is a WNID, or a word and
            a number such as mouse.n.04, as NLTK writes it.
        classes: all classes, in label order.
        chosen: what they mean without the sheet.
        wordnet: the database.

    Raises:
        FormatError: the file is missing or not CSV with these columns.
        SourceError: senses or ids are unknown, or an id occurs twice; the message has all problems.
    """
    rows = list(_rows(path))
    label_of = {id: label for label, id in enumerate(classes.ids)}
    meanings, problems, seen = list(chosen), [], dict[str, int]()
    for line, row in rows:
        id, written, place = row["id"], row["sense"].strip(), f"{path}:{line}"
        label = label_of.get(id)
        if label is None:
            problems.append(f"{place}: no class {id!r}{nearest(id, label_of)}")
            continue
        if id in seen:
            problems.append(f"{place}: class {id!r} is already in line {seen[id]}")
        seen.setdefault(id, line)
        wnid = _find(written, wordnet)
        if wnid is None:
            problems.append(
                f"{place}: {written!r} is not a noun of WordNet 3.0{_near(written, classes.names[label], wordnet)}"
            )
            continue
        before = chosen[label]
        confirmed = row.get("sure", "").strip().lower() in ("yes", "y", "true", "1") and not before.is_sure
        if wnid != before.wnid or (confirmed and wnid):
            meanings[label] = mean_exactly(wnid)
    if problems:
        raise SourceError(in_one_sentence("", tuple(problems)))
    return tuple(meanings)


def _rows(path: str) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows of a sheet with their line numbers; spreadsheets may save it with semicolons or tabs."""
    text = read_text(Path(path))
    first = text.partition("\n")[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    try:
        header = next(reader, [])
        missing = [column for column in ("id", "sense") if column not in header]
        if missing:
            columns = f"column{'s' if missing[1:] else ''} {' and '.join(missing)}"
            raise FormatError(
                f"{path}:1: the header has no {columns}; start from a file that `hierarchy senses` writes"
            )
        for values in reader:
            if any(values) and len(values) != len(header):
                raise FormatError(
                    f"{path}:{reader.line_num}: expected {len(header)} fields, got {len(values)}; quote fields that"
                    " contain a comma"
                )
            if any(values):
                yield reader.line_num, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise FormatError(f"{path}:{reader.line_num}: not CSV ({error}); check the quotes") from None


def _find(written: str, wordnet: WordNet) -> str | None:
    """The WNID that a person wrote; "" for none, None if there is no such sense."""
    if not written or wordnet.has(written):
        return written
    named = re.fullmatch(r"(.+)\.n\.(\d+)", written)
    senses = wordnet.senses(named[1].replace("_", " ")) if named else ()
    return senses[int(named[2]) - 1] if named and 0 < int(named[2]) <= len(senses) else None


def _near(written: str, name: str, wordnet: WordNet) -> str:
    """Suggests the senses of a name whose ids are most like what was written."""
    senses = find_candidates(name, wordnet).wnids
    close = get_close_matches(written, senses, n=3, cutoff=0.3) or senses[:3]
    if not close:
        return "; leave it empty if WordNet does not have the class"
    return "; nearest: " + ", ".join(f"{wnid!r} ({_describe(wnid, wordnet)})" for wnid in close)


def _others(name: str, meaning: Meaning, wordnet: WordNet) -> tuple[str, ...]:
    ranked = [wnid for wnid, _ in meaning.shares]
    return tuple(dict.fromkeys((*ranked, *find_candidates(name, wordnet).wnids)))


def _describe(wnid: str, wordnet: WordNet) -> str:
    """A sense as a person knows it again: its first word and the beginning of its gloss."""
    synset = wordnet.synset(wnid)
    gloss = synset.gloss.split(";")[0]
    return f"{synset.words[0]}: {gloss if len(gloss) <= 70 else gloss[:67].rsplit(' ', 1)[0] + '...'}"
