"""The command `hierarchy edit`: single edits of a hierarchy under review, for scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.cli.console import notify, print_json
from hierarchy.errors import EditError, nearest

if TYPE_CHECKING:
    from hierarchy.proposal import Edit
    from hierarchy.review import Session

USAGE = {
    "move": "move CLASS GROUP",
    "rename": "rename NODE NAME",
    "merge": "merge NODE INTO",
    "split": "split NODE NAME CLASS...",
    "define": "define CLASS MEANING",
    "undo": "undo [NUMBER]",
}
WORDS = {"move": (2, 2), "rename": (2, 2), "merge": (2, 2), "split": (3, 1_000_000), "define": (2, 2), "undo": (0, 1)}


def edit_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The hierarchy to edit: a .json or .csv file.")],
    verb: Annotated[str, typer.Argument(metavar="VERB", help="move, rename, merge, split, define or undo.")],
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORDS", help="The arguments of the verb, as listed above.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Allow move to create a group.")] = False,
    by: Annotated[str | None, typer.Option(help="The name of the reviewer, as for review.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> int:
    """Makes one edit of a hierarchy, for scripts; it is recorded in the decision log of its review.

    move CLASS GROUP | rename NODE NAME | merge NODE INTO | split NODE NAME CLASS... | define CLASS MEANING |
    undo [NUMBER]

    CLASS is an id, a path, or a name that only one class has; NODE, GROUP and INTO are paths; MEANING is the WNID of a
    synset of WordNet, or a description.
    """
    from hierarchy.review import describe_outcome, find_paths, open_session, summarize

    words = words or []
    _check_words(verb, words)
    paths = find_paths(file)
    with open_session(file, paths, by=by, notify=notify) as session:
        if verb == "undo":
            said = session.undo(int(words[0]) if words else None)
        else:
            said = session.edit(_parse_edit(session, verb, words, new=new))
    if as_json:
        print_json(summarize(session, paths))
    else:
        typer.echo(said)
        notify(describe_outcome(session, paths))
    return 0


def _check_words(verb: str, words: list[str]) -> None:
    if verb not in USAGE:
        raise EditError(f"unknown verb {verb!r}{nearest(verb, USAGE)}; use one of {', '.join(USAGE)}")
    fewest, most = WORDS[verb]
    if not fewest <= len(words) <= most:
        raise EditError(f"{verb} got {len(words)} argument{'s' * (len(words) != 1)}; usage: {USAGE[verb]}")
    if verb == "undo" and words and not re.fullmatch(r"[0-9]{1,9}", words[0]):
        raise EditError(f"invalid number {words[0][:40]!r}; give the number of a decision, or nothing for the last one")


def _parse_edit(session: Session, verb: str, words: list[str], *, new: bool) -> Edit:
    from hierarchy.proposal import Merge, Move, Rename, Split
    from hierarchy.review import groups, read_meaning

    proposal = session.proposal

    def find_class(word: str) -> str:
        return proposal.classes.ids[proposal.index.label(word)]

    node, name, *classes = words
    if verb == "rename":
        return Rename(node, name)
    if verb == "merge":
        return Merge(node, name)
    if verb == "split":
        return Split(node, name, tuple(find_class(word) for word in classes))
    if verb == "define":
        return read_meaning(find_class(node), name)
    known = groups(proposal)
    if name not in known and not new:
        raise EditError(f"no group {name!r}{nearest(name, known)}; use --new to create it")
    return Move(find_class(node), name)
