"""Programs in fresh processes that do not pay for torch: a server imports it, with all that timm needs, and forks.

Neither timm nor timm_nhl is imported there, so their first import is what a program does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import traceback
from typing import NamedTuple


class Ended(NamedTuple):
    """What a program left."""

    code: int
    out: str
    err: str


class Server:
    """Runs programs; a context manager."""

    def __enter__(self):
        words = [sys.executable, "-W", "ignore", "-c", "from support.fresh import serve; serve()"]
        path = os.pathsep.join(filter(None, sys.path))
        self.process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()

    def run(self, program, *, folder="/"):
        """What `python -c program` gives in a folder."""
        print(json.dumps([program, str(folder)]), file=self.process.stdin, flush=True)
        return Ended(*json.loads(self.process.stdout.readline()))

    def run_module(self, name, *arguments, folder="/"):
        """What `python -m name arguments` gives in a folder."""
        return self.run(
            f"import os, runpy, sys; sys.path[0] = os.getcwd(); sys.argv = ['', *{[*map(str, arguments)]}]; "
            f"runpy.run_module({name!r}, run_name='__main__', alter_sys=True)",
            folder=folder,
        )


def serve():
    """Runs the programs that stdin names, one at a time."""
    import torch
    import torchvision  # noqa: F401 - timm imports it

    assert torch and not {"timm", "timm_nhl"} & {*sys.modules}
    for line in sys.stdin:
        with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
            child = os.fork()
            if child == 0:
                os.dup2(out.fileno(), 1)
                os.dup2(err.fileno(), 2)
                _be(*json.loads(line))
            _, status = os.waitpid(child, 0)
            out.seek(0)
            err.seek(0)
            print(json.dumps([os.waitstatus_to_exitcode(status), out.read().decode(), err.read().decode()]), flush=True)


def _be(program, folder):
    """Becomes a program, and ends with it."""
    code = 0
    try:
        os.chdir(folder)
        sys.path[0] = ""
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
