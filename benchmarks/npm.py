"""Downloads packages of artwork with npm unless they are in the cache."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
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
        command = [npm, "pack", f"{package}@{version}", "--silent", "--pack-destination", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        packed = Path(folder) / target.name
        if done.returncode or not packed.exists():
            reason = next(iter(done.stderr.strip().splitlines()), f"exit code {done.returncode}")
            raise SourceError(f"npm cannot download {package}@{version} ({reason}); check the network connection")
        packed.replace(target)
    return target
