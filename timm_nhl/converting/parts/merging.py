"""Joining parts that were converted apart: their branches side by side on the trunk that they share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

import hierarchy
from hierarchy import Hierarchy, HierarchyError
from hierarchy.dataset import HIERARCHY_FILE
from hierarchy.files import read_json, read_text, write_text
from timm_nhl.data import HELD_OUT
from timm_nhl.errors import MergeError
from timm_nhl.experts import match_labels, select_rows
from timm_nhl.export import check_new, load, save, write_checked
from timm_nhl.models import NHL

SETTINGS = "settings.json"  # of a run, which names the teacher


@dataclass(frozen=True)
class Part:
    """A network of some classes, converted from a teacher.

    Args:
        source: where it lies, for messages.
        model: its network.
        teacher: the digest of its teacher.
        whole: the hierarchy of all classes that there are.
        held_out: what is written of the images that it did not learn from; none if the data has a split for that.
    """

    source: str
    model: NHL
    teacher: str
    whole: Hierarchy
    held_out: str | None = None


def merge(sources: Sequence[str], out: str | Path) -> NHL:
    """Joins networks that `convert` made of one flat network; the result can be merged with further ones.

    An expert of the classes of a part has the weights of that part, bit for bit.

    Args:
        sources: folders of conversions, or of models in them.
        out: a new folder, like that of a conversion: the model is in `out/last`.

    Raises:
        MergeError: with everything that keeps them apart.
        CheckpointError, ExportError: a part cannot be loaded, or the result cannot be written.
    """
    parts = [open_part(source) for source in sources]
    merged = join(parts)
    target, first = Path(out), parts[0]
    check_new(target)
    facts = {"teacher": first.teacher, "hierarchy": first.whole.digest}

    def write(folder: Path) -> None:
        folder.mkdir()
        save(merged, folder / "last")
        hierarchy.save(first.whole, folder / HIERARCHY_FILE)
        write_text(folder / SETTINGS, json.dumps({"facts": facts, "parts": [part.source for part in parts]}, indent=1))
        if first.held_out is not None and all(part.held_out == first.held_out for part in parts):
            write_text(folder / HELD_OUT, first.held_out)

    write_checked(target, write)
    return merged


def open_part(source: str) -> Part:
    """Opens a conversion: its last model, unless the folder of one of its models is named.

    Raises:
        MergeError: there is none.
    """
    folder = Path(source)
    model, run = (folder, folder.parent) if (folder / "config.json").is_file() else (folder / "last", folder)
    try:
        facts: Any = read_json(run / SETTINGS)["facts"]
        teacher, digest = str(facts["teacher"]), str(facts["hierarchy"])
        whole = hierarchy.load(run / HIERARCHY_FILE)
    except (HierarchyError, KeyError, TypeError):
        raise MergeError([f"{source!r} is not a conversion"], fix="give folders that timm-nhl convert wrote") from None
    if whole.digest != digest:
        raise MergeError([f"the hierarchy in {str(run)!r} was changed after the conversion"], fix="restore it")
    held_out = run / HELD_OUT
    return Part(source, load(model), teacher, whole, read_text(held_out) if held_out.is_file() else None)


def join(parts: Sequence[Part]) -> NHL:
    """The network of all classes of some parts, in the order of labels of the whole hierarchy.

    Raises:
        MergeError: with everything that keeps them apart.
    """
    check_parts(parts)
    first = parts[0].model
    whole, trees = parts[0].whole, [part.model.hierarchy for part in parts]
    chosen = [match_labels(whole, tree) or () for tree in trees]
    labels = [label for each in chosen for label in each]
    tree = whole.at(sorted(labels))
    levels = []
    for depth, kept in enumerate(select_rows(tree, range(len(tree)))):
        level, *others = (part.model.each_level()[depth] for part in parts)
        for other in others:
            level = level.join(other)
        places = {path: place for place, path in enumerate(path for each in trees for path in _paths(each)[depth])}
        levels.append(level.take([places[path] for path in _paths(tree)[depth]], kept.counts))
    head = first.head
    for part in parts[1:]:
        head = head.join(part.model.head)
    head = head.take([labels.index(label) for label in sorted(labels)], tree.ancestors(3))
    return first.assemble(tree, trunk=first.trunk, levels=levels, head=head, router=None)


def check_parts(parts: Sequence[Part]) -> None:
    """Makes sure that parts fit together.

    Raises:
        MergeError: with everything that keeps them apart: another teacher, hierarchy, trunk or shape, or a branch that
            two of them have.
    """
    first, problems = parts[0], []
    if len(parts) < 2:
        problems.append(f"{first.source!r} is the only part")
    for part in parts[1:]:
        pair = f"{first.source!r} and {part.source!r}"
        if part.teacher != first.teacher:
            problems.append(f"{pair} have different teachers ({first.teacher[:12]} and {part.teacher[:12]})")
        if part.whole.digest != first.whole.digest:
            problems.append(f"{pair} are parts of different hierarchies")
        if part.model.branches != first.model.branches or part.model.trunk.split != first.model.trunk.split:
            problems.append(f"{pair} have different shapes")
        elif not _same_trunk(part.model, first.model):
            problems.append(f"{pair} have different trunks")
    owners = Counter(path for part in parts for path in part.model.hierarchy.nodes(1))
    shared = [path for path, uses in owners.items() if uses > 1]
    problems += [f"several parts have a branch of {path!r}" for path in shared]
    if problems:
        fix = (
            "convert all classes of a superclass together" if shared else "merge parts that one conversion was cut into"
        )
        raise MergeError(problems, fix=fix)


def _same_trunk(one: NHL, other: NHL) -> bool:
    mine, theirs = one.trunk.state_dict(), other.trunk.state_dict()
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _paths(tree: Hierarchy) -> tuple[tuple[str, ...], ...]:
    """The nodes of each level."""
    return tree.nodes(1), tree.nodes(2), tree.nodes(3)
