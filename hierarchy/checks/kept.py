"""What the witnesses knew about each class, kept in X.evidence.json next to a proposal: its synset and nearest classes.

An explanation reads it, so that it need not embed all classes again, and shows the vectors that voted.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hierarchy.checks.evidence import Evidence
from hierarchy.errors import HierarchyError
from hierarchy.files import read_json, write_text
from hierarchy.views import find_nearest

FORMAT = "evidence"
VERSION = 1
MOST_NEIGHBOURS = 6


@dataclass(frozen=True)
class Kept:
    """Part of the evidence about some classes.

    Args:
        embed: the embedder that the similarities come from.
        wnids: class id -> its synset; classes that WordNet does not know are left out.
        near: class id -> its nearest classes, each with its similarity (cosine), nearest first.
    """

    embed: str
    wnids: Mapping[str, str]
    near: Mapping[str, tuple[tuple[str, float], ...]]


def keep(evidence: Evidence, embed: str) -> Kept:
    """What is worth keeping of the evidence of an embedder."""
    ids, near = evidence.classes.ids, dict[str, tuple[tuple[str, float], ...]]()
    meanings = zip(ids, evidence.senses.meanings, strict=True) if evidence.senses else ()
    if evidence.vectors is not None:
        order, similar = find_nearest(evidence.vectors, min(MOST_NEIGHBOURS, len(ids) - 1))
        for id, others, row in zip(ids, order.tolist(), similar.round(3).tolist(), strict=True):
            near[id] = tuple((ids[other], alike) for other, alike in zip(others, row, strict=True))
    return Kept(embed, {id: meaning.wnid for id, meaning in meanings if meaning}, near)


def save_kept(kept: Kept, path: str | os.PathLike[str]) -> None:
    """Writes evidence to a file, atomically, a class a line; raises OutputError if it cannot be written."""
    head = {"format": FORMAT, "version": VERSION, "embed": kept.embed}
    rows = [
        json.dumps({"id": id, "wnid": kept.wnids.get(id, ""), "near": near}, ensure_ascii=False)
        for id, near in kept.near.items()
    ]
    text = json.dumps(head, ensure_ascii=False)[:-1] + ', "classes": [\n ' + ",\n ".join(rows) + "\n]}\n"
    write_text(path, text)


def read_kept(path: Path, ids: tuple[str, ...]) -> Kept | None:
    """The evidence in a file about exactly these classes; None if that is missing or malformed."""
    try:
        content = read_json(path)
        rows = content["classes"]
        near = {row["id"]: tuple((str(other), float(similarity)) for other, similarity in row["near"]) for row in rows}
        wnids = {row["id"]: str(row["wnid"]) for row in rows if row["wnid"]}
        known = set(near) == set(ids) and all(other in near for found in near.values() for other, _ in found)
        fits = (content["format"], content["version"]) == (FORMAT, VERSION) and known
        return Kept(str(content["embed"]), wnids, near) if fits else None
    except (HierarchyError, TypeError, KeyError, ValueError):
        return None
