"""Installs WordNet 3.0's data files where NLTK looks: from NLTK's download, the system's copy or Debian's packages."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

from hierarchy.errors import OutputError, WordNetMissing, os_reason
from hierarchy.wordnet.datafiles import LEXNAMES

DEBIAN_PACKAGES = ("wordnet-base", "wordnet-sense-index")
SYSTEM_FOLDERS = ("/usr/share/wordnet", "/usr/local/WordNet-3.0/dict", "/opt/local/share/WordNet-3.0/dict")
FILES = (
    *(f"{kind}.{pos}" for kind in ("index", "data") for pos in ("noun", "verb", "adj", "adv")),
    *(f"{pos}.exc" for pos in ("noun", "verb", "adj", "adv")),
    "index.sense",
    "cntlist.rev",
)


def install_wordnet(target: Path | None = None, *, progress: Callable[[str], None] = lambda line: None) -> Path:
    """Installs WordNet 3.0 in an `nltk_data` folder.

    Args:
        target: the `nltk_data` folder; by default the virtual environment's own, else the one in the home folder.
        progress: receives a line about each attempt.

    Returns:
        The folder of the data files, `<target>/corpora/wordnet`; immediately if they are already there.

    Raises:
        OutputError: the folder cannot be made.
        WordNetMissing: every attempt failed; the message gives the reasons.
    """
    place = (target or default_target()) / "corpora" / "wordnet"
    if _complete(place):
        progress(f"WordNet is already in {place}")
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = os_reason(error)
        raise OutputError(f"cannot install WordNet in {str(place)!r}: {reason}; give --dir a writable folder") from None
    failures = []
    for name, fetch in (
        ("NLTK's downloader", _from_nltk),
        ("the system's WordNet", _from_system),
        ("Debian's packages", _from_debian),
    ):
        with tempfile.TemporaryDirectory() as scratch:
            try:
                found = fetch(Path(scratch))
                _copy(found, place)
            except (OSError, subprocess.SubprocessError, WordNetMissing) as error:
                failures.append(f"{name}: {_reason(error)}")
                progress(f"{name} failed ({_reason(error)})")
                continue
        progress(f"installed WordNet 3.0 from {name} in {place}")
        return place
    raise WordNetMissing(f"cannot install WordNet ({'; '.join(failures)}); set WNSEARCHDIR to a copy of it")


def _reason(error: Exception) -> str:
    """Why an attempt failed: for a program, the last line of its error output."""
    output = error.stderr if isinstance(error, subprocess.CalledProcessError) else None
    lines = output.decode(errors="replace").strip().splitlines() if isinstance(output, bytes) else []
    return lines[-1] if lines else str(error)


def default_target() -> Path:
    """The `nltk_data` folder of the virtual environment, or of the user outside of one."""
    return Path(sys.prefix if sys.prefix != sys.base_prefix else Path.home()) / "nltk_data"


def _from_nltk(scratch: Path) -> Path:
    from nltk.downloader import Downloader

    with redirect_stdout(sys.stderr), Path(os.devnull).open("w") as silence:
        try:
            done = Downloader(download_dir=str(scratch)).download("wordnet", quiet=True, print_error_to=silence)
        except Exception as error:  # a proxy's error page, a truncated archive: it raises many kinds
            raise WordNetMissing(f"{type(error).__name__}: {error}") from error
        if not done:
            raise WordNetMissing("cannot reach its index")
    found = next(scratch.rglob("data.noun"), None)
    if found is None:  # nltk keeps some corpora zipped
        for archive in scratch.rglob("wordnet.zip"):
            shutil.unpack_archive(archive, scratch)
        found = next(scratch.rglob("data.noun"), None)
    if found is None:
        raise WordNetMissing("its archive has no data.noun")
    return found.parent


def _from_system(scratch: Path) -> Path:
    folders = [os.environ.get("WNSEARCHDIR", ""), f"{os.environ.get('WNHOME', '')}/dict", *SYSTEM_FOLDERS]
    for folder in folders:
        if folder and (Path(folder) / "data.noun").is_file():
            return Path(folder)
    raise WordNetMissing(f"no data.noun in {', '.join(SYSTEM_FOLDERS)}, WNSEARCHDIR or WNHOME")


def _from_debian(scratch: Path) -> Path:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise WordNetMissing(f"{tool} is not installed")
    try:
        _download(scratch, ())
    except (
        subprocess.CalledProcessError
    ):  # no package lists yet: download them into the scratch folder, which needs no root
        lists = scratch / "lists"
        (lists / "partial").mkdir(parents=True)
        option = ("-o", f"Dir::State::Lists={lists}")
        subprocess.run(["apt-get", *option, "update"], check=True, capture_output=True, timeout=300)
        _download(scratch, option)
    for package in scratch.glob("*.deb"):
        subprocess.run(["dpkg", "-x", str(package), str(scratch / "root")], check=True, capture_output=True, timeout=60)
    return scratch / "root" / "usr" / "share" / "wordnet"


def _download(scratch: Path, options: tuple[str, ...]) -> None:
    command = ["apt-get", *options, "download", *DEBIAN_PACKAGES]
    subprocess.run(command, cwd=scratch, check=True, capture_output=True, timeout=300)


def _copy(found: Path, place: Path) -> None:
    """Copies the data files into place atomically."""
    missing = [name for name in FILES if not (found / name).is_file()]
    if missing:
        raise WordNetMissing(f"{found} lacks {', '.join(missing)}")
    with (found / "data.noun").open("rb") as file:
        licence = file.read(3000)
    if b"WordNet 3.0 Copyright" not in licence:
        raise WordNetMissing(f"{found} is not WordNet 3.0, which the ids of ImageNet need")
    with tempfile.TemporaryDirectory(dir=place.parent) as scratch:
        whole = Path(scratch) / "wordnet"
        whole.mkdir()
        for name in FILES:
            shutil.copyfile(found / name, whole / name)
        lines = (f"{number:02}\t{name}\t{pos}\n" for number, (name, pos) in enumerate(LEXNAMES))
        (whole / "lexnames").write_text("".join(lines), encoding="utf-8")
        if place.exists():  # incomplete
            place.rename(Path(scratch) / "old")
        whole.rename(place)


def _complete(place: Path) -> bool:
    return all((place / name).is_file() for name in (*FILES, "lexnames"))
