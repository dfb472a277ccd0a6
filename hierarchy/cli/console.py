"""How commands talk: results on stdout, progress on stderr, an error in one line, and what the exit code says."""

from __future__ import annotations

import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import typer

from hierarchy.errors import HierarchyError

if TYPE_CHECKING:
    from hierarchy.llm import Progress


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
    """Prints a value as JSON on stdout, for scripts; numbers in it are finite, since JSON has no others."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1, allow_nan=False))


def run(app: typer.Typer, name: str = "hierarchy", *, errors: tuple[type[Exception], ...] = (HierarchyError,)) -> int:
    """Runs a command line by its name; gives its exit code: 0 done, 1 done and found errors, 2 could not be done.

    Errors are one line on stderr: no traceback, and no file is left half-written.

    Args:
        errors: those whose message is for the one who typed the command.
    """
    try:
        with _interrupted_where_it_is_heard():
            result = app(prog_name=name, standalone_mode=False)
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except errors as error:
        typer.echo(f"error: {error}", err=True)
    except USAGE_ERROR as error:
        _show_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("stopped; no file is half-written", err=True)
    except BrokenPipeError:
        sys.stderr.close()
    return 2


# click's UsageError: of click itself or, in newer typers, of the copy they carry, which has no public name.
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
INTERRUPTED = 130  # what typer makes of Ctrl-C


@contextmanager
def _interrupted_where_it_is_heard() -> Iterator[None]:
    """Has Ctrl-C wait for the end of an import or a `__del__`, where it would be passed over or become another error.

    Of 110 interrupts in the first second of a command, 3 came out so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        if _is_deaf(frame):
            signal.setitimer(signal.ITIMER_REAL, 0.02)  # asks again
        else:
            raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler and hasattr(signal, "setitimer")
    if not ours or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGALRM)}
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_deaf(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>" or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


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
