"""What a person means by a few words: a class, a group, or whatever is called like that."""

from __future__ import annotations

from collections.abc import Iterable

from hierarchy.errors import ReviewError, nearest
from hierarchy.proposal import Proposal
from hierarchy.review.state import groups, nodes


def class_meant(text: str, proposal: Proposal) -> str:
    """The id of the one class that a text means: its id, a name that only one class has, or its path.

    Raises:
        UnknownNode, AmbiguousName: no class or several.
    """
    return proposal.classes.ids[proposal.index.label(text)]


def group_meant(text: str, proposal: Proposal) -> str:
    """The path of the one group that a text means: a path, the name of a group, or a part of it.

    Raises:
        ReviewError: it means none or several; they are named.
    """
    return _one(text, groups(proposal), "group")


def sibling_meant(text: str, node: str, proposal: Proposal) -> str:
    """The path of the one node on a node's level that a text means; errors as in `group_meant`."""
    deep = "/" in node
    return _one(text, (path for path in nodes(proposal) if ("/" in path) == deep), "group" if deep else "superclass")


def subjects_meant(text: str, proposal: Proposal) -> tuple[str, ...]:
    """All that a text could mean: paths of nodes and ids of classes, as `Hierarchy.find` ranks them."""
    found: tuple[str, ...] = ()
    if any(proposal.places):
        tree = proposal.settled
        order, paths = tree.ancestors(3), tree.nodes(3)
        id_of = {paths[order[label]]: id for label, id in enumerate(tree.classes)}
        found = tuple(id_of.get(path, path) for path in tree.find(text))
    name_of = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    wanted = text.casefold()
    return (*found, *(id for id in proposal.unsettled if wanted in f"{id}\n{name_of[id]}".casefold()))


def _one(text: str, known: Iterable[str], kind: str) -> str:
    wanted, paths = text.strip().strip("/"), sorted(known)
    if wanted in paths:
        return wanted
    for means in (
        lambda path: path.casefold() == wanted.casefold(),
        lambda path: path.rpartition("/")[2].casefold() == wanted.casefold(),
        lambda path: bool(wanted) and wanted.casefold() in path.casefold(),
    ):
        found = [path for path in paths if means(path)]
        if len(found) == 1:
            return found[0]
        if found:
            more = f" and {len(found) - 6} more" if len(found) > 6 else ""
            raise ReviewError(f"{text!r} could be {', '.join(map(repr, found[:6]))}{more}; say which")
    raise ReviewError(f"no {kind} {text[:80]!r}{nearest(wanted[:80], paths)}; a new one is made by the key n")
