"""What a person means by part of a name: a group, a sibling of a node, or any class or node."""

from __future__ import annotations

from collections.abc import Iterable

from hierarchy.errors import ReviewError, nearest
from hierarchy.names import split_path
from hierarchy.proposal import Proposal
from hierarchy.review.state import groups, nodes

MOST_NAMED = 6  # candidates that a message names


def find_group(text: str, proposal: Proposal) -> str:
    """The path of the one group that a text matches, by its path, its name or part of one.

    Raises:
        ReviewError: no group matches, or several do; the message names them.
    """
    return _find_one(text, groups(proposal), "group")


def find_sibling(text: str, node: str, proposal: Proposal) -> str:
    """The path of the one node on the level of `node` that a text matches; raises as `find_group`."""
    deep = "/" in node
    paths = (path for path in nodes(proposal) if ("/" in path) == deep)
    return _find_one(text, paths, "group" if deep else "superclass")


def find_subjects(text: str, proposal: Proposal) -> tuple[str, ...]:
    """Everything that a text matches: paths of nodes and ids of classes, ranked as by `Hierarchy.find`."""
    found: tuple[str, ...] = ()
    if any(proposal.places):
        tree = proposal.settled
        order, paths = tree.ancestors(3), tree.nodes(3)
        id_of = {paths[order[label]]: id for label, id in enumerate(tree.classes)}
        found = tuple(id_of.get(path, path) for path in tree.find(text))
    name_of = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    wanted = text.casefold()
    return (*found, *(id for id in proposal.unsettled if wanted in f"{id}\n{name_of[id]}".casefold()))


def _find_one(text: str, known: Iterable[str], kind: str) -> str:
    wanted, paths = text.strip().strip("/"), sorted(known)
    if wanted in paths:
        return wanted
    for matches in (
        lambda path: path.casefold() == wanted.casefold(),
        lambda path: split_path(path)[-1].casefold() == wanted.casefold(),
        lambda path: bool(wanted) and wanted.casefold() in path.casefold(),
    ):
        found = [path for path in paths if matches(path)]
        if len(found) == 1:
            return found[0]
        if found:
            more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
            names = ", ".join(map(repr, found[:MOST_NAMED]))
            raise ReviewError(f"{text!r} matches {names}{more}; type more of the name")
    raise ReviewError(f"no {kind} {text[:80]!r}{nearest(wanted[:80], paths)}; the key n makes a new one")
