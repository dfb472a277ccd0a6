"""The command `hierarchy review`: composition and flags only."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.errors import FormatError, ReviewError

if TYPE_CHECKING:
    from hierarchy.review.session import Held, Where

File = Annotated[str, typer.Argument(help="The hierarchy to review: a .json or .csv file.")]
By = Annotated[str | None, typer.Option(help="Who decides; git's user.name, or the user's, by default.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print a summary as JSON on stdout, all talk on stderr.")]


def review_command(
    file: File,
    plain: Annotated[bool, typer.Option("--plain", help="Ask line by line, not on the full screen.")] = False,
    only: Annotated[str, typer.Option(help="Kinds of questions to ask: disputed,ambiguous,oversized,...")] = "",
    by: By = None,
    look: Annotated[bool, typer.Option("--look", help="Look only: nothing is decided, nobody kept out.")] = False,
    out: Annotated[Path | None, typer.Option(help="Review a copy, kept there.")] = None,
    replay: Annotated[Path | None, typer.Option(help="Take a decision log over to FILE.", metavar="LOG")] = None,
    export: Annotated[Path | None, typer.Option(help="Write a sheet for a spreadsheet.", metavar="CSV")] = None,
    import_: Annotated[Path | None, typer.Option("--import", help="Read a sheet back.", metavar="CSV")] = None,
    diff: Annotated[bool, typer.Option("--diff", help="Print what the review has changed, who and when.")] = False,
    log: Annotated[bool, typer.Option("--log", help="Print the decisions.")] = False,
    as_json: AsJson = False,
) -> int:
    """Asks about the classes and nodes of a hierarchy, the most disputed first, and keeps every decision in a log.

    Quit or crash at any point and go on later: the decisions lie beside FILE, and FILE is made from them.
    """
    from hierarchy.review.queue import parse_kinds
    from hierarchy.review.session import open_review, sitting, where_of

    kinds = parse_kinds(only)
    asked = {"--replay": replay, "--export": export, "--import": import_, "--diff": diff, "--log": log, "--look": look}
    chosen = [flag for flag, value in asked.items() if value]
    if len(chosen) > 1:
        raise ReviewError(f"{' and '.join(chosen)} are different things to do; give one")
    where = where_of(file, out)
    given = {"--plain": plain, "--only": only, "--by": by is not None}
    for flag in IDLE.get(chosen[0], ()) if chosen else ():
        if given[flag]:
            raise ReviewError(f"{flag} does nothing with {chosen[0]}; leave it out")
    if replay:
        return _replay(where, replay, by, as_json)
    if import_:
        return _import(where, import_, by, as_json)
    if export or diff or log:
        held = open_review(where, who="", tell=tell)
        return _export(held, export, as_json) if export else _diff(held, as_json) if diff else _log(held, as_json)
    with sitting(where, by, tell=tell, look=look, only=kinds) as held:
        _converse(held, plain, as_json)
    if as_json or not look:
        _report(held, as_json)
    return 0


_READING = ("--plain", "--only", "--by")
IDLE = {  # flags that have nothing to say beside another one
    "--replay": ("--plain", "--only"),
    "--import": ("--plain", "--only"),
    "--look": ("--by",),
    "--export": _READING,
    "--diff": _READING,
    "--log": _READING,
}


def tell(message: str) -> None:
    """Talks to the person, on stderr."""
    typer.echo(message, err=True)


# What is done


def _converse(held: Held, plain: bool, as_json: bool) -> None:
    """The full screen where there is one, else line by line."""
    from hierarchy.review.editor import in_editor

    if not plain and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        from hierarchy.review.tui.app import ReviewApp

        ReviewApp(held.review, title=held.paths.result.name, edit_text=in_editor).run()
        return
    from hierarchy.review.line_ui import converse

    converse(held.review, ask=_ask_on(as_json), say=lambda text: typer.echo(text, err=as_json), edit_text=in_editor)


def _ask_on(err: bool) -> Callable[[str], str | None]:
    def ask(prompt: str) -> str | None:
        typer.echo(prompt, err=err, nl=False)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            return "\ufffd"  # answers nothing, and is explained
        return line.rstrip("\r\n") if line else None

    return ask


def _replay(where: Where, log: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.review.log import read_log
    from hierarchy.review.review import utc_now
    from hierarchy.review.reviewed import check_is_new, read_base_for, read_findings, take_over, write_result
    from hierarchy.review.session import summary, who_decides, written
    from hierarchy.review.storage import hold

    with hold(where.paths, who_decides(by), utc_now()):
        base = read_base_for(where.file, where.paths)
        old, torn = read_log(log)
        if old is None:
            raise FormatError(f"{log} holds no decisions; give the log of a review")
        if torn:
            tell(f"{log}: its last line is torn ({len(torn)} bytes of a write that was cut off) and does not count")
        check_is_new(old, log, base)
        replayed = take_over(old, where.paths, base, read_findings(where.file))
        for conflict in replayed.conflicts:
            tell(f"conflict: {conflict}")
        result = write_result(where.paths, base, read_log(where.paths.log)[0] or old)
    if as_json:
        _print({**summary(where.paths, result), "conflicts": [str(conflict) for conflict in replayed.conflicts]})
    else:
        conflicts = f", {len(replayed.conflicts)} in conflict left out" if replayed.conflicts else ""
        tell(f"{len(replayed.decisions)} decisions taken over from {log}{conflicts}")
        tell(written(where.paths, result))
    return int(bool(replayed.conflicts))


def _import(where: Where, sheet: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.files import read_text
    from hierarchy.review.session import sitting
    from hierarchy.review.spreadsheet import from_sheet

    with sitting(where, by, tell=tell) as held:
        edits = from_sheet(read_text(sheet), held.review.proposal, str(sheet))
        if edits:
            held.review.do(*edits)
        else:
            tell(f"{sheet} changes nothing")
    if not as_json:
        for edit in edits:
            typer.echo(str(edit))
    _report(held, as_json)
    return 0


def _export(held: Held, sheet: Path, as_json: bool) -> int:
    from hierarchy.errors import OutputError
    from hierarchy.files import same_file, write_text
    from hierarchy.review.spreadsheet import may_be_replaced, to_sheet

    if sheet.suffix.lower() != ".csv":
        raise OutputError(f"cannot write {str(sheet)!r}: the ending is {sheet.suffix!r}; use .csv")
    if same_file(sheet, held.paths.result):
        raise OutputError(f"cannot write {str(sheet)!r}: it is the hierarchy; choose another name")
    if not may_be_replaced(sheet):
        raise OutputError(f"cannot write {str(sheet)!r}: it is there already and is no sheet; choose another name")
    write_text(sheet, to_sheet(held.review.standing, held.review.votes))
    if as_json:
        _report(held, as_json)
    else:
        typer.echo(str(sheet))
    return 0


def _diff(held: Held, as_json: bool) -> int:
    from hierarchy.review.changes import changes

    found = changes(held.review.decisions, held.review.standings)
    if as_json:
        _print([change.to_dict() for change in found])
        return 0
    for change in found:
        typer.echo(f"{change.before or 'unsettled'}  ->  {change.after or 'unsettled'}    ({change.by})")
        for id in change.ids:
            typer.echo(f"    {held.review.name(id)}" + (f"  {id}" if id != held.review.name(id) else ""))
    if not found:
        typer.echo("nothing is changed")
    return 0


def _log(held: Held, as_json: bool) -> int:
    in_effect = {decision.number for decision in held.review.decisions}
    if as_json:
        from hierarchy.review.log import line

        _print([json.loads(line(decision)) for decision in held.journal.log.decisions])
        return 0
    for decision in held.journal.log.decisions:
        undone = "" if decision.number in in_effect or str(decision).startswith("undo") else "  (undone)"
        typer.echo(f"{decision.number:5}  {decision.time}  {decision.who}  {decision}{undone}")
    if not held.journal.log.decisions:
        typer.echo("nothing is decided")
    return 0


def _report(held: Held, as_json: bool) -> None:
    from hierarchy.review.session import report

    about, said = report(held)
    if as_json:
        _print(about)
    elif said:
        tell(said)


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))
