"""Downloads packages of artwork with npm unless they are in the cache."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

from hierarchy.errors import SourceError

CACHE = Path("build") / "npm"


def fetch(package: str, version: str, cache: Path) -> Path:
    """Downloads a package with npm unless it is in the cache; returns the path of its archive.

    Raises:
        SourceError: npm is not installed or cannot download it.
    """
    target = cache / f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    if target.exists():
        return target
    npm = shutil.which("npm")
    if npm is None:
        raise SourceError(
            f"cannot download {package}: npm is not installed; install it (apt-get install npm, brew install node or"
            f" nodejs.org), or save the package as {str(target)!r}"
        )
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, suffix=".tmp") as folder:
        command = [npm, "pack", f"{package}@{version}", "--json", "--loglevel=error", "--fetch-retries=0"]
        done = subprocess.run([*command, "--pack-destination", folder], capture_output=True, text=True)
        packed = Path(folder) / target.name
        if done.returncode or not packed.exists():
            reason = find_reason(done)
            raise SourceError(f"npm cannot download {package}@{version} ({reason}); check the network connection")
        packed.replace(target)
    return target


def find_reason(done: subprocess.CompletedProcess[str]) -> str:
    """Why npm failed, in its words."""
    with suppress(ValueError, KeyError, TypeError):
        return str(json.loads(done.stdout)["error"]["summary"]).splitlines()[0]
    return next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
