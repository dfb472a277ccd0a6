"""The command `hierarchy edit`: single edits of a hierarchy under review, for scripts."""

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
    words: Annotated[list[str] | None, typer.Argument(help="What and where, as listed above.")] = None,
    new: Annotated[bool, typer.Option("--new", help="A move may make a group.")] = False,
    by: Annotated[str | None, typer.Option(help="Who decides, as for review.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Makes one edit of a hierarchy under review, for scripts; it goes into the same decision log.

    move CLASS GROUP | rename NODE NAME | merge NODE INTO | split NODE NAME CLASS... | undo [NUMBER]

    A CLASS is an id, or a name only one class has; nodes are given by their paths.
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


VERBS = {"move": 2, "rename": 2, "merge": 2, "split": 3, "undo": 0}  # and the fewest words each needs
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
        raise EditError(f"no verb {verb!r}{nearest(verb, USAGE)}; there are {', '.join(USAGE)}")
    most = {"split": len(words), "undo": 1}.get(verb, VERBS[verb])
    if not VERBS[verb] <= len(words) <= most:
        raise EditError(f"{verb} with {len(words)} words; give {USAGE[verb]}")
    if verb == "undo":
        if words and not re.fullmatch(r"[0-9]{1,9}", words[0]):
            raise EditError(f"undo {words[0][:40]!r}; give the number of a decision, or nothing for the last")
        return review.undo(int(words[0]) if words else None)
    edit: Edit
    if verb == "move":
        known = groups(review.proposal)
        if words[1] not in known and not new:
            raise EditError(f"no group {words[1]!r}{nearest(words[1], known)}; --new makes one")
        edit = Move(class_meant(words[0], review.proposal), words[1])
    elif verb == "rename":
        edit = Rename(words[0], words[1])
    elif verb == "merge":
        edit = Merge(words[0], words[1])
    else:
        edit = Split(words[0], words[1], tuple(class_meant(word, review.proposal) for word in words[2:]))
    return review.do(edit)
