"""The command `hierarchy review`: flags and composition only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.cli.console import notify, print_json
from hierarchy.english import count
from hierarchy.errors import OutputError, ReviewError

if TYPE_CHECKING:
    from hierarchy.review import Paths, Session

ASKING = ("--plain", "--web", "--images", "--only")  # flags about how questions are asked, and which
READ_ONLY = (*ASKING, "--by")
IDLE = {  # flags that would do nothing next to another one
    "--replay": ASKING,
    "--import": ASKING,
    "--look": ("--by",),
    "--export": READ_ONLY,
    "--diff": READ_ONLY,
    "--log": READ_ONLY,
}


def review_command(
    file: Annotated[str, typer.Argument(metavar="FILE", help="The hierarchy to review: a .json or .csv file.")],
    plain: Annotated[bool, typer.Option("--plain", help="Ask line by line, not on the full screen.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Ask in a browser on this machine, with images.")] = False,
    images: Annotated[
        Path | None, typer.Option(help="For --web: a folder of images, one folder for each class.", metavar="FOLDER")
    ] = None,
    only: Annotated[str, typer.Option(help="Kinds of questions to ask: disputed,ambiguous,oversized,...")] = "",
    by: Annotated[str | None, typer.Option(help="Who decides; git's user.name or your user name by default.")] = None,
    look: Annotated[bool, typer.Option("--look", help="Read only: decide nothing, and lock nobody out.")] = False,
    out: Annotated[Path | None, typer.Option(help="Review a copy, kept there.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Apply a decision log to FILE.", metavar="LOG")] = None,
    export: Annotated[Path | None, typer.Option(help="Write a sheet for a spreadsheet.", metavar="CSV")] = None,
    import_: Annotated[Path | None, typer.Option("--import", help="Read a sheet back.", metavar="CSV")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print what the review has changed, by whom and when.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the decisions.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON; talk on stderr.")] = False,
) -> int:
    """Asks about what is doubtful in a hierarchy, the most doubtful first, and logs every decision.

    Quit at any time and continue later: the decisions are kept next to FILE, and FILE is made from them.
    """
    from hierarchy.review import find_paths, look_at, parse_kinds

    kinds = parse_kinds(only)
    modes = {"--replay": replay, "--export": export, "--import": import_, "--diff": diff, "--log": log, "--look": look}
    chosen = [flag for flag, value in modes.items() if value]
    if len(chosen) > 1:
        raise ReviewError(f"{' and '.join(chosen)} cannot be combined; give one of them")
    given = {
        "--plain": plain,
        "--web": web,
        "--images": images is not None,
        "--only": only,
        "--by": by is not None,
    }
    for flag in IDLE[chosen[0]] if chosen else ():
        if given[flag]:
            raise ReviewError(f"{flag} has no effect with {chosen[0]}; omit it")
    if plain and web:
        raise ReviewError("--plain and --web cannot be combined; give one of them")
    if images is not None and not web:
        raise ReviewError("--images has no effect without --web; add it")
    paths = find_paths(file, out)
    if replay:
        return _replay(file, paths, replay, by, as_json)
    if import_:
        return _import(file, paths, import_, by, as_json)
    if not (export or diff or log):
        ask = partial(_ask_in_browser, images=images) if web else partial(_converse, plain=plain)
        return _review(file, paths, kinds, by, ask, look=look, as_json=as_json)
    session = look_at(file, paths, notify=notify)
    if export:
        _export(session, paths, export, as_json)
    elif diff:
        _print_changes(session, as_json)
    else:
        _print_log(session, as_json)
    return 0


def _review(
    file: str,
    paths: Paths,
    kinds: tuple[str, ...],
    by: str | None,
    ask: Callable[[Session, Paths, bool], None],
    *,
    look: bool,
    as_json: bool,
) -> int:
    from hierarchy.review import look_at, open_session

    with (
        nullcontext(look_at(file, paths, notify=notify, only=kinds, consult=True))
        if look
        else open_session(file, paths, by=by, notify=notify, only=kinds, consult=True)
    ) as session:
        ask(session, paths, as_json)
    _report(session, paths, as_json)
    return 0


def _ask_in_browser(session: Session, paths: Paths, as_json: bool, images: Path | None) -> None:
    """In a browser, which is opened where there is a screen."""
    import webbrowser

    from hierarchy.review.ui import run_in_browser
    from hierarchy.sources import find_pictures

    def opened(address: str) -> None:
        notify(f"review {paths.result.name} at {address} (q there or ctrl-c here ends it)")
        if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
            webbrowser.open(address)  # elsewhere it would start a browser of text in this terminal

    proposal = session.proposal
    pictures = find_pictures(images, proposal.index, proposal.classes.ids) if images else {}
    run_in_browser(session, title=paths.result.name, pictures=pictures, opened=opened)


def _converse(session: Session, paths: Paths, as_json: bool, plain: bool) -> None:
    """On the full screen if there is one, else line by line."""
    from hierarchy.review.ui import Terminal, converse, edit_in_editor, run_full_screen

    if not plain and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        run_full_screen(session, title=paths.result.name)
        return
    say = notify if as_json else typer.echo
    converse(session, Terminal(_asker(as_json), say, edit_in_editor))


def _asker(err: bool) -> Callable[[str], str | None]:
    def ask(prompt: str) -> str | None:
        typer.echo(prompt, err=err, nl=False)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            return "\ufffd"  # not a key, so the keys are listed
        return line.rstrip("\r\n") if line else None

    return ask


def _replay(file: str, paths: Paths, log: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.review import describe_outcome, replay_log, summarize

    session, conflicts = replay_log(log, file, paths, by=by, notify=notify)
    for conflict in conflicts:
        notify(f"conflict: {conflict}")
    if as_json:
        print_json({**summarize(session, paths), "conflicts": [str(conflict) for conflict in conflicts]})
    else:
        left_out = f", left out {len(conflicts)} in conflict" if conflicts else ""
        notify(f"applied {count(len(session.history.decisions), 'decision')} from {log}{left_out}")
        notify(describe_outcome(session, paths))
    return int(bool(conflicts))


def _import(file: str, paths: Paths, sheet: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.files import read_text
    from hierarchy.review import open_session
    from hierarchy.review.ui import from_sheet

    with open_session(file, paths, by=by, notify=notify) as session:
        edits = from_sheet(read_text(sheet), session.proposal, str(sheet))
        if edits:
            session.edit(*edits)
        else:
            notify(f"{sheet} changes nothing")
    for edit in edits if not as_json else ():
        typer.echo(str(edit))
    _report(session, paths, as_json)
    return 0


def _export(session: Session, paths: Paths, sheet: Path, as_json: bool) -> None:
    from hierarchy.files import same_file, write_text
    from hierarchy.review.ui import is_replaceable, to_sheet

    if sheet.suffix.lower() != ".csv":
        raise OutputError(f"cannot write {str(sheet)!r}: the ending is {sheet.suffix!r}; use .csv")
    if same_file(sheet, paths.result):
        raise OutputError(f"cannot write {str(sheet)!r}: it is the hierarchy; choose another name")
    if not is_replaceable(sheet):
        raise OutputError(f"cannot write {str(sheet)!r}: it exists and is not a sheet; choose another name")
    write_text(sheet, to_sheet(session.state))
    if as_json:
        _report(session, paths, as_json)
    else:
        typer.echo(str(sheet))


def _print_changes(session: Session, as_json: bool) -> None:
    from hierarchy.review import list_changes

    changes = list_changes(session.history)
    if as_json:
        print_json([asdict(change) for change in changes])
        return
    for change in changes:
        typer.echo(f"{change.before or 'unsettled'}  ->  {change.after or 'unsettled'}    ({change.by})")
        for id in change.ids:
            typer.echo(f"    {session.name(id)}" + (f"  {id}" if id != session.name(id) else ""))
    if not changes:
        typer.echo("nothing has changed")


def _print_log(session: Session, as_json: bool) -> None:
    from hierarchy.review import Undo, decision_to_dict

    decisions = session.log.decisions
    if as_json:
        print_json([decision_to_dict(decision) for decision in decisions])
        return
    in_effect = {decision.number for decision in session.history.decisions}
    for decision in decisions:
        undone = "" if decision.number in in_effect or isinstance(decision.what, Undo) else "  (undone)"
        typer.echo(f"{decision.number:5}  {decision.time}  {decision.who}  {decision}{undone}")
    if not decisions:
        typer.echo("no decisions yet")


def _report(session: Session, paths: Paths, as_json: bool) -> None:
    from hierarchy.review import describe_outcome, summarize

    if as_json:
        print_json(summarize(session, paths))
    elif session.log.decisions:
        notify(describe_outcome(session, paths))
