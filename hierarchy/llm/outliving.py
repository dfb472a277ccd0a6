"""Processes that outlive the run which starts them, until what they have paid for is stored (docs/decisions/0020)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO


def start(module: str, argument: str, errors: IO[bytes]) -> subprocess.Popen[str]:
    """Starts `python -m MODULE ARGUMENT` in a session of its own, to be spoken to in lines over stdin and stdout.

    Args:
        errors: the file that is its stderr; not our own, which is to end with us.
    """
    # The same modules as here, wherever they were found, and none that lies about in the current folder.
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", module, argument],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        text=True,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C and the end of the terminal are not for it
        env={**os.environ, "PYTHONPATH": paths, "PYTHONSAFEPATH": "1", "PYTHONIOENCODING": "utf-8"},
    )


def last_words(errors: IO[bytes]) -> str:
    """The last line on the stderr of a process that ended, in brackets; nothing where there is none."""
    errors.seek(0)
    said = errors.read().decode(errors="replace").strip().splitlines()[-1:]
    return f" ({said[0]})" if said else ""
