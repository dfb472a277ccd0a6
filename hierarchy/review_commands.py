"""The commands `hierarchy review` and `hierarchy edit`: composition and flags only."""

from __future__ import annotations

import getpass
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hierarchy.errors import EditError, FormatError, ReviewError, nearest

if TYPE_CHECKING:
    from hierarchy.log_file import LogFile, Paths
    from hierarchy.proposal_file import ProposalFile
    from hierarchy.review import Review
    from hierarchy.standing import Replayed

File = Annotated[str, typer.Argument(help="The hierarchy to review: a .json or .csv file.")]
By = Annotated[str | None, typer.Option(help="Who decides.  [default: git's user.name, or the user's name]")]
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
    from hierarchy.questions import parse_kinds

    kinds = parse_kinds(only)
    asked = {"--replay": replay, "--export": export, "--import": import_, "--diff": diff, "--log": log, "--look": look}
    chosen = [flag for flag, value in asked.items() if value]
    if len(chosen) > 1:
        raise ReviewError(f"{' and '.join(chosen)} are different things to do; give one")
    where = _where(file, out)
    if replay:
        return _replay(where, replay, by, as_json)
    if import_:
        return _import(where, import_, by, as_json)
    if export or diff or log:
        held = open_review(where, who="")
        return _export(held, export) if export else _diff(held, as_json) if diff else _log(held, as_json)
    with sitting(where, by, look=look, only=kinds) as held:
        _converse(held, plain, as_json)
    if look:
        return 0
    _report(held, as_json)
    return 0


def edit_command(
    file: File,
    verb: Annotated[str, typer.Argument(help="move, rename, merge, split or undo.")],
    words: Annotated[list[str] | None, typer.Argument(help="What and where, as listed above.")] = None,
    new: Annotated[bool, typer.Option("--new", help="A move may make a group.")] = False,
    by: By = None,
    as_json: AsJson = False,
) -> int:
    """Makes one edit of a hierarchy under review, for scripts; it goes into the same decision log.

    move CLASS GROUP | rename NODE NAME | merge NODE INTO | split NODE NAME CLASS... | undo [NUMBER]

    A CLASS is an id, or a name only one class has; nodes are given by their paths.
    """
    with sitting(_where(file, None), by) as held:
        said = _edit(held.review, verb, words or [], new)
    if not as_json:
        typer.echo(said)
    _report(held, as_json)
    return 0


# A review on the disk


@dataclass(frozen=True)
class Where:
    """What is reviewed, and where the review is kept."""

    file: str
    paths: Paths


@dataclass(frozen=True)
class Held:
    """A review that is open."""

    paths: Paths
    base: ProposalFile
    journal: LogFile
    review: Review


def _where(file: str, out: Path | None) -> Where:
    from hierarchy.reviewed import paths_of

    return Where(file, paths_of(out if out is not None else file))


def open_review(where: Where, *, who: str, look: bool = False, only: tuple[str, ...] = ()) -> Held:
    """Opens a review; whoever decides holds the lock."""
    from hierarchy.log_file import LogFile, Looking
    from hierarchy.review import Review
    from hierarchy.reviewed import check_result, read_base_for, read_findings

    base = read_base_for(where.file, where.paths)
    journal = LogFile(where.paths, base, tell=tell)
    if str(where.paths.result) == where.file:
        check_result(where.paths, base, journal.log)
    findings = read_findings(where.file)
    review = Review(base, Looking(journal) if look else journal, who=who, only=only, findings=findings)
    return Held(where.paths, base, journal, review)


@contextmanager
def sitting(where: Where, by: str | None, *, look: bool = False, only: tuple[str, ...] = ()) -> Iterator[Held]:
    """A review that one person holds; the result is written when it ends, however that is."""
    from hierarchy.lock import Lock
    from hierarchy.review import utc_now
    from hierarchy.reviewed import write_result

    if look:
        yield open_review(where, who="", look=True, only=only)
        return
    who = _who(by)
    with Lock(where.paths, who, utc_now()):
        held = open_review(where, who=who, only=only)
        try:
            yield held
        finally:
            if held.journal.log.decisions:
                write_result(held.paths, held.base, held.journal.log)


def tell(message: str) -> None:
    """Talks to the person, on stderr."""
    typer.echo(message, err=True)


def _who(by: str | None) -> str:
    from hierarchy.tree import name_fault

    if by is not None:
        fault = name_fault(by.replace("/", ""))
        if fault:
            raise ReviewError(f"--by {by!r} {fault}")
        return by
    try:
        found = subprocess.run(["git", "config", "user.name"], capture_output=True, text=True, check=False).stdout
    except (OSError, UnicodeDecodeError):
        found = ""
    try:
        name = found.strip() or getpass.getuser()
    except (OSError, KeyError):
        name = ""
    if name_fault(name.replace("/", "")):
        raise ReviewError("nobody knows who decides; say it with --by NAME")
    return name


# What is done


def _converse(held: Held, plain: bool, as_json: bool) -> None:
    """The full screen where there is one, else line by line."""
    from hierarchy.editor import in_editor

    if not plain and not as_json and sys.stdin.isatty() and sys.stdout.isatty():
        from hierarchy.tui import run_app

        run_app(held.review, title=held.paths.result.name, edit_text=in_editor)
        return
    from hierarchy.dialogue import converse

    converse(held.review, ask=_ask_on(as_json), say=lambda text: typer.echo(text, err=as_json), edit_text=in_editor)


def _ask_on(err: bool) -> Any:
    def ask(prompt: str) -> str | None:
        typer.echo(prompt, err=err, nl=False)
        try:
            line = sys.stdin.readline()
        except UnicodeDecodeError:
            return "\ufffd"  # answers nothing, and is explained
        return line.rstrip("\r\n") if line else None

    return ask


def _replay(where: Where, log: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.decisions import read_log
    from hierarchy.lock import Lock
    from hierarchy.review import utc_now
    from hierarchy.reviewed import read_base_for, take_over, write_result

    with Lock(where.paths, _who(by), utc_now()):
        base = read_base_for(where.file, where.paths)
        old, torn = read_log(log)
        if old is None:
            raise FormatError(f"{log} holds no decisions; give the log of a review")
        if torn:
            tell(f"{log}: its last line is torn ({len(torn)} bytes of a write that was cut off) and does not count")
        replayed = take_over(old, where.paths, base)
        for conflict in replayed.conflicts:
            tell(f"conflict: {conflict}")
        result = write_result(where.paths, base, read_log(where.paths.log)[0] or old)
    if as_json:
        _print({**_summary(where.paths, result), "conflicts": [str(conflict) for conflict in replayed.conflicts]})
    else:
        conflicts = f", {len(replayed.conflicts)} in conflict left out" if replayed.conflicts else ""
        tell(f"{len(replayed.decisions)} decisions taken over from {log}{conflicts}")
        tell(_written(where.paths, result))
    return int(bool(replayed.conflicts))


def _import(where: Where, sheet: Path, by: str | None, as_json: bool) -> int:
    from hierarchy.files import read_text
    from hierarchy.sheet import from_sheet

    with sitting(where, by) as held:
        edits = from_sheet(read_text(sheet), held.review.draft, str(sheet))
        if edits:
            held.review.do(*edits)
        else:
            tell(f"{sheet} changes nothing")
    if not as_json:
        for edit in edits:
            typer.echo(str(edit))
    _report(held, as_json)
    return 0


def _export(held: Held, sheet: Path) -> int:
    from hierarchy.errors import OutputError
    from hierarchy.files import write_text
    from hierarchy.sheet import to_sheet

    if sheet.suffix.lower() != ".csv":
        raise OutputError(f"cannot write {str(sheet)!r}: the ending is {sheet.suffix!r}; use .csv")
    if sheet.absolute() == held.paths.result.absolute():
        raise OutputError(f"cannot write {str(sheet)!r}: it is the hierarchy; choose another name")
    write_text(sheet, to_sheet(held.review.standing, held.review.opinions))
    typer.echo(str(sheet))
    return 0


def _diff(held: Held, as_json: bool) -> int:
    from hierarchy.changes import changes

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
        from hierarchy.decisions import line

        _print([json.loads(line(decision)) for decision in held.journal.log.decisions])
        return 0
    for decision in held.journal.log.decisions:
        undone = "" if decision.number in in_effect or str(decision).startswith("undo") else "  (undone)"
        typer.echo(f"{decision.number:5}  {decision.time}  {decision.who}  {decision}{undone}")
    if not held.journal.log.decisions:
        typer.echo("nothing is decided")
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
    from hierarchy.edits import Edit, Merge, Move, Rename, Split
    from hierarchy.standing import groups

    if verb not in USAGE:
        raise EditError(f"no verb {verb!r}{nearest(verb, USAGE)}; there are {', '.join(USAGE)}")
    most = {"split": len(words), "undo": 1}.get(verb, VERBS[verb])
    if not VERBS[verb] <= len(words) <= most:
        raise EditError(f"{verb} with {len(words)} words; give {USAGE[verb]}")
    if verb == "undo":
        if words and not words[0].isdecimal():
            raise EditError(f"undo {words[0]!r}; give the number of a decision, or nothing for the last")
        return review.undo(int(words[0]) if words else None)
    edit: Edit
    if verb == "move":
        known = groups(review.draft)
        if words[1] not in known and not new:
            raise EditError(f"no group {words[1]!r}{nearest(words[1], known)}; --new makes one")
        edit = Move(review.class_id(words[0]), words[1])
    elif verb == "rename":
        edit = Rename(words[0], words[1])
    elif verb == "merge":
        edit = Merge(words[0], words[1])
    else:
        edit = Split(words[0], words[1], tuple(review.class_id(word) for word in words[2:]))
    return review.do(edit)


# What is said at the end


def _report(held: Held, as_json: bool) -> None:
    from hierarchy.standing import replay

    replayed = replay(held.journal.log, held.base.draft)
    if as_json:
        left = held.review.counter.disputed
        _print({**_summary(held.paths, replayed), "disputed": left})
    elif held.journal.log.decisions:
        tell(_written(held.paths, replayed))


def _summary(paths: Paths, replayed: Replayed) -> dict[str, Any]:
    unsettled = replayed.draft.unsettled
    return {
        "file": str(paths.result),
        "written": not unsettled,
        "digest": replayed.draft.digest,
        "decisions": len(replayed.decisions),
        "reviewed": len(replayed.standings[-1].classes),
        "classes": len(replayed.draft.classes),
        "unsettled": list(unsettled),
    }


def _written(paths: Paths, replayed: Replayed) -> str:
    count = len(replayed.decisions)
    decided = f"{count} decision{'s' * (count != 1)}, {len(replayed.standings[-1].classes)} of"
    decided += f" {len(replayed.draft.classes)} classes reviewed"
    unsettled = replayed.draft.unsettled
    if not unsettled:
        return f"{paths.result}: {decided}"
    first = ", ".join(map(repr, unsettled[:6])) + (f" and {len(unsettled) - 6} more" if len(unsettled) > 6 else "")
    return f"{paths.result} waits: unsettled {first}; {paths.log} keeps {decided}"


def _print(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))
