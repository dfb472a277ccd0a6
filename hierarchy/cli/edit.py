"""The command `hierarchy edit`: single edits of a hierarchy, for scripts."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.errors import EditError, nearest

if TYPE_CHECKING:
    from hierarchy.review.review import Review


def edit_command(
    file: Annotated[str, typer.Argument(help="The hierarchy to edit: a .json or .csv file.")],
    verb: Annotated[str, typer.Argument(help="move, rename, merge, split or undo.")],
    words: Annotated[list[str] | None, typer.Argument(help="The arguments of the verb, as listed above.")] = None,
    new: Annotated[bool, typer.Option("--new", help="Allow move to create a group.")] = False,
    by: Annotated[str | None, typer.Option(help="The name of the reviewer, as for review.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Makes one edit of a hierarchy, for scripts; it is recorded in the decision log of its review.

    move CLASS GROUP | rename NODE NAME | merge NODE INTO | split NODE NAME CLASS... | undo [NUMBER]

    CLASS is an id, a path, or a name that only one class has; NODE, GROUP and INTO are paths.
    """
    from hierarchy.review.session import report, sitting, where_of

    def tell(message: str) -> None:
        typer.echo(message, err=True)

    with sitting(where_of(file), by, tell=tell) as held:
        said = _edit(held.review, verb, words or [], new)
    about, standing = report(held)
    if as_json:
        typer.echo(json.dumps(about, ensure_ascii=False, indent=1))
    else:
        typer.echo(said)
        tell(standing)
    return 0


VERBS = {"move": 2, "rename": 2, "merge": 2, "split": 3, "undo": 0}  # the smallest number of arguments
USAGE = {
    "move": "move CLASS GROUP",
    "rename": "rename NODE NAME",
    "merge": "merge NODE INTO",
    "split": "split NODE NAME CLASS...",
    "undo": "undo [NUMBER]",
}


def _edit(review: Review, verb: str, words: list[str], new: bool) -> str:
    from hierarchy.proposal import Edit, Merge, Move, Rename, Split
    from hierarchy.review.lookup import class_meant
    from hierarchy.review.state import groups

    if verb not in USAGE:
        raise EditError(f"unknown verb {verb!r}{nearest(verb, USAGE)}; use one of {', '.join(USAGE)}")
    most = {"split": len(words), "undo": 1}.get(verb, VERBS[verb])
    if not VERBS[verb] <= len(words) <= most:
        raise EditError(f"wrong number of arguments for {verb} ({len(words)}); use {USAGE[verb]}")
    if verb == "undo":
        if words and not re.fullmatch(r"[0-9]{1,9}", words[0]):
            raise EditError(
                f"invalid number of a decision {words[0][:40]!r}; use undo NUMBER, or undo for the last decision"
            )
        return review.undo(int(words[0]) if words else None)
    edit: Edit
    if verb == "move":
        known = groups(review.proposal)
        if words[1] not in known and not new:
            raise EditError(f"no group {words[1]!r}{nearest(words[1], known)}; use --new to create it")
        edit = Move(class_meant(words[0], review.proposal), words[1])
    elif verb == "rename":
        edit = Rename(words[0], words[1])
    elif verb == "merge":
        edit = Merge(words[0], words[1])
    else:
        edit = Split(words[0], words[1], tuple(class_meant(word, review.proposal) for word in words[2:]))
    return review.do(edit)
