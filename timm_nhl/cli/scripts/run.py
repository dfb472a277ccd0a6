"""The command `timm-nhl run`: somebody's timm script, with the nested models registered and labels paired."""

from __future__ import annotations

import os
import runpy
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from timm_nhl.errors import OptionError


def run_command(
    context: typer.Context,
    script: Annotated[
        Path, typer.Argument(metavar="SCRIPT", help="A script like timm's validate.py, train.py or bulk_runner.py.")
    ],
    trust_labels: Annotated[
        bool,
        typer.Option("--trust-labels", help="Skip pairing: label i of the data is class i of the hierarchy."),
    ] = False,
) -> None:
    """Runs a timm script with the nested models registered; arguments after SCRIPT are the script's own.

    Classes of its datasets are paired with the model's hierarchy by id or name. timm itself would number image folders
    by sorted name.
    """
    if not script.is_file():
        raise OptionError(f"no such script: {str(script)!r}; give a Python file")
    import timm

    from timm_nhl.cli.scripts.labels import paired_labels

    def notify(line: str) -> None:
        if os.environ.get("RANK", "0") == "0":  # one of torchrun's processes reports
            typer.echo(line, err=True)

    folder = script.parent.resolve()
    sys.argv = [str(script), *context.args]
    if (folder / "timm").is_dir():  # a checkout of timm: also workers that are spawned import the installed one
        sys.path.append(str(folder))
        notify(f"using the installed timm {timm.__version__}, not the one next to {script.name}")
    else:
        sys.path.insert(0, str(folder))  # as Python does for a script
    with ExitStack() as block:
        block.enter_context(registered_children(trust_labels=trust_labels))
        if not trust_labels:
            block.enter_context(paired_labels(notify))
        try:
            runpy.run_path(str(script), run_name="__main__")
        except KeyboardInterrupt:  # what the script had half-written is not known here
            sys.exit(130)


@contextmanager
def registered_children(*, trust_labels: bool) -> Iterator[None]:
    """Has scripts that start Python scripts, like timm's bulk_runner.py, start them with `timm-nhl run`.

    They start what PYTHON_EXEC names (as torchrun does), or plain Python.
    """
    if os.name == "nt":  # no such script can be started there; children are plain Python
        yield
        return
    words = [sys.executable, "-u", "-m", "timm_nhl", "run", *(["--trust-labels"] if trust_labels else [])]
    before = os.environ.get("PYTHON_EXEC")
    with tempfile.TemporaryDirectory(prefix="timm-nhl-") as folder:
        python = Path(folder) / "python"
        python.write_text(f'#!/bin/sh\n[ "$1" = -u ] && shift\nexec {shlex.join(words)} "$@"\n')
        python.chmod(0o700)
        os.environ["PYTHON_EXEC"] = str(python)
        try:
            yield
        finally:
            del os.environ["PYTHON_EXEC"]
            if before is not None:
                os.environ["PYTHON_EXEC"] = before
