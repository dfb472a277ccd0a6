"""How commands talk: results on stdout, progress on stderr, an error in one line, and what the exit code says."""

from __future__ import annotations

import json
import re
import sys
import time
from typing import TYPE_CHECKING, Any, cast

import typer

from hierarchy.errors import HierarchyError

if TYPE_CHECKING:
    from hierarchy.budget import Progress


class progress:  # a context manager, used as a function is
    """Shows on stderr which stage is running, and how long each took.

    >>> with progress() as tell:
    ...     tell("counting")
    """

    def __enter__(self) -> progress:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._stage: tuple[str, float] | None = None
        self._status.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._finish(done=error[0] is None)
        self._status.stop()

    def __call__(self, stage: str) -> None:
        """Begins a stage."""
        self._finish(done=True)
        self._stage = (stage, time.monotonic())
        self._status.update(stage)

    def about(self, calls: Progress) -> None:
        """Shows how far the calls of the stage are; says a note aloud."""
        if calls.note:
            self._status.console.print(calls.note, highlight=False, markup=False)
            return
        self._status.update(f"{self._stage[0] if self._stage else 'asking'}: {calls}")

    def _finish(self, done: bool) -> None:
        if self._stage and done:
            stage, start = self._stage
            self._status.console.print(f"{time.monotonic() - start:6.1f} s  {stage}", highlight=False)


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout, for scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def run(app: typer.Typer, name: str = "hierarchy") -> int:
    """Runs a command line by its name; gives its exit code: 0 done, 1 done and found errors, 2 could not be done.

    Errors are one line on stderr: no traceback, and no file is left half-written.
    """
    try:
        result = app(prog_name=name, standalone_mode=False)
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HierarchyError as error:
        typer.echo(f"error: {error}", err=True)
    except USAGE_ERROR as error:
        _show_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        exec("")  # makes Python forget a Ctrl-C amid such text, which dataclasses are made of; else it ends by SIGINT
        typer.echo("stopped; no file is half-written", err=True)
    except BrokenPipeError:
        sys.stderr.close()
    return 2


# click's UsageError: of click itself or, in newer typers, of the copy they carry, which has no public name.
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
INTERRUPTED = 130  # what typer makes of Ctrl-C


def _show_usage(error: Any) -> None:
    """Says what is wrong with a command line, and how help is had; a command without arguments shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    message = error.format_message().rstrip(".")
    message = re.sub(r"\. Did you mean (.*?)\?| \(Possible options: (.*)\)", r"; nearest: \1\2", message)
    message = re.sub(r"(^|: )([A-Z])", lambda found: found[1] + found[2].lower(), message)
    path = error.ctx.command_path if error.ctx else "hierarchy"
    typer.echo(f"error: {message}; `{path} --help` shows what there is", err=True)
