"""Input and output of all commands: results on stdout, progress and one-line errors on stderr, exit codes."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import typer

from hierarchy.errors import HierarchyError

if TYPE_CHECKING:
    from hierarchy.llm import Progress


class show_progress:  # lower case: a context manager used like a function
    """Shows the running stage on stderr, and the seconds each stage took.

    >>> with show_progress() as progress:
    ...     progress("counting")
    """

    def __enter__(self) -> show_progress:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._stage: tuple[str, float] | None = None
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._finish(done=error[0] is None)
        self._status.stop()

    def __call__(self, stage: str) -> None:
        """Starts a stage."""
        self._finish(done=True)
        self._stage = (stage, time.monotonic())
        self._status.update(stage)

    def about(self, calls: Progress) -> None:
        """Shows the progress of model calls, or prints a note about them."""
        if calls.note:
            self._status.console.print(calls.note, highlight=False, markup=False)
            return
        self._status.update(f"{self._stage[0] if self._stage else 'asking'}: {calls}")

    def _finish(self, done: bool) -> None:
        if self._stage and done:
            stage, start = self._stage
            self._status.console.print(f"{time.monotonic() - start:6.1f} s  {stage}", highlight=False)


def notify(message: str) -> None:
    """Says something to the person, on stderr."""
    typer.echo(message, err=True)


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout; all numbers must be finite, since JSON has no others."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def run(app: typer.Typer, name: str = "hierarchy", *, errors: tuple[type[Exception], ...] = (HierarchyError,)) -> int:
    """Runs the command line and returns its exit code: 0 for success, 1 for findings, 2 for failure.

    Errors are printed as one line on stderr, without a traceback.

    Args:
        errors: exceptions with a message for the user.
    """
    try:
        result = app(prog_name=name, standalone_mode=False)
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except errors as error:
        typer.echo(f"error: {error}", err=True)
    except USAGE_ERROR as error:
        _show_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("interrupted; no partial files were left", err=True)
    except BrokenPipeError:
        sys.stderr.close()
    return 2


# click's UsageError; newer versions of typer contain a copy of click without a public name.
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
INTERRUPTED = 130  # what typer returns after Ctrl-C


def _show_usage(error: Any) -> None:
    """Prints what is wrong with the command line; a command without arguments prints its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    message = error.format_message().rstrip(".")
    message = re.sub(r"\. Did you mean (.*?)\?| \(Possible options: (.*)\)", r"; nearest: \1\2", message)
    message = re.sub(r"(?<=: )(Value error, |Input (?=should))", "", message)  # pydantic's
    message = re.sub(r"(^|: )([A-Z])", lambda found: found[1] + found[2].lower(), message)
    path = error.ctx.command_path if error.ctx else "hierarchy"
    typer.echo(f"error: {message}; see `{path} --help`", err=True)
