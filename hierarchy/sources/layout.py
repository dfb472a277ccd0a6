"""Which files of a folder are of which split: told by folders of images, and by the names of parquet files."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError
from hierarchy.sources.classes import SPLITS


def image_files(folder: Path) -> dict[str, Any]:
    """What the library's reader of image folders is to be told: files by split, and whether folders name classes.

    Folders are splits, whatever they are called, where each of them holds folders; else they are classes. Those called
    `train`, `test` and the like are splits where they are alone, and where files of metadata describe the images.

    Raises:
        SourceError: there are no images, or they lie so that some would be of no class or of a wrong split.
    """
    seen = _look(folder)
    if not seen.images and not seen.described:
        if seen.archives:
            return {"data_dir": glob.escape(str(folder))}  # the library looks into them
        raise SourceError(f"folder {str(folder)!r} holds no saved data set, no .parquet and no images; check the name")
    if seen.inner is not None:
        above = str((folder / seen.inner).parent)
        raise SourceError(f"folder {str(folder)!r} holds splits further down, as {seen.inner!r}; give {above!r}")
    splits = _splits(seen, folder)
    root = glob.escape(str(folder))
    files = {split: [f"{root}/{split}/**"] for split in splits}
    if not files:
        linked = [f"{root}/{glob.escape(top)}/**" for top in seen.linked]  # which ** passes over
        files = {SPLITS[0]: [f"{root}/**", *linked]}
    beside = set(splits) & set(SPLITS)  # then what lies beside the folders is of no split
    if any(top or not beside for top in seen.described):
        return {"data_files": files}
    depths = {depth: path for (top, depth), path in seen.images.items() if top or not beside}
    if len(depths) > 1:
        one, other = (repr(depths[depth]) for depth in sorted(depths)[:2])
        raise SourceError(
            f"images in folder {str(folder)!r} lie at different depths, as {one} and {other};"
            " arrange all as CLASS/IMAGE, or all as SPLIT/CLASS/IMAGE"
        )
    (depth,) = depths
    return {"data_files": files, "drop_labels": depth < (2 if splits else 1)}


def table_files(paths: Sequence[Path], root: Path) -> dict[str, list[str]]:
    """Parquet files by split: as a file is called, with a number or without, or else as its folder is.

    Files that are only numbered, and one alone, are of `train`.

    Raises:
        SourceError: there are several that may be of several splits.

    >>> table_files([Path("test-00000-of-00001.parquet"), Path("train-1.parquet"), Path("train-2.parquet")], Path())
    {'train': ['train-1.parquet', 'train-2.parquet'], 'test': ['test-00000-of-00001.parquet']}
    >>> table_files([Path("test/0000.parquet"), Path("train/0000.parquet")], Path())
    {'train': ['train/0000.parquet'], 'test': ['test/0000.parquet']}
    """
    told = {path: _told(path, root) for path in paths}
    untold = [path for path, name in told.items() if name is None]
    homes = {path: _unnumbered(str(path.relative_to(root).parent)) for path in paths}
    if len(set(homes.values())) > 1:
        told |= {path: path.parent.name for path in untold if path.parent != root}
    elif set(told.values()) & set(SPLITS):
        told |= {path: path.stem for path in untold}
    elif len(untold) == len(paths) and len({_unnumbered(path.stem) for path in paths}) == 1:
        told |= dict.fromkeys(untold, SPLITS[0])
    home_of: dict[str, str] = {}  # the folder whose files a name was given to
    for path in untold:
        name = told[path] or ""
        if not _can_be_split(name) or name.isdigit() or home_of.setdefault(name, homes[path]) != homes[path]:
            few = ", ".join(repr(str(path.relative_to(root))) for path in untold[:3])
            more = f" and {len(untold) - 3} more" if len(untold) > 3 else ""
            raise SourceError(
                f"nothing tells the splits of {few}{more} in {str(root)!r}; name files as train-00000.parquet, put them"
                " into folders as train and test, or give one file"
            )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, told_name in told.items():
        found[told_name or ""].append(glob.escape(str(path)))
    return {name: found[name] for name in _in_order(found)}


# Folders of images


@dataclass(frozen=True)
class _Seen:
    """What lies in a folder.

    Args:
        images: (a folder in it, or "" for itself; how many folders an image lies in) -> the first image that does.
        described: those folders, or "", in which files of metadata lie.
        linked: those that are links.
        archives: whether there are any.
        inner: a folder called as a split is, inside one that is not.
    """

    images: Mapping[tuple[str, int], str]
    described: frozenset[str]
    linked: tuple[str, ...]
    archives: bool
    inner: str | None


def _look(folder: Path) -> _Seen:
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    endings = set(ImageFolder.EXTENSIONS)
    images: dict[tuple[str, int], str] = {}
    described: set[str] = set()
    archives, inner = False, None
    _, tops, _ = next(os.walk(folder), ("", [], []))  # none where it cannot be read
    linked = tuple(sorted(top for top in tops if (folder / top).is_symlink() and not top.startswith(_HIDDEN)))
    for parts, name in _files(folder, linked):
        top, ending = (parts[0] if parts else ""), "." + name.rpartition(".")[2].lower()
        if ending in endings:
            images.setdefault((top, len(parts)), "/".join((*parts, name)))
            above = parts[1:-1]  # the last is the class
        elif name in ImageFolder.METADATA_FILENAMES:
            described.add(top)
            above = parts[1:]
        else:
            archives |= ending == ".zip"
            continue
        if inner is None and top not in SPLITS and set(above) & set(SPLITS):
            inner = "/".join(parts[: 2 + next(i for i, part in enumerate(above) if part in SPLITS)])
    return _Seen(images, frozenset(described), linked, archives, inner)


_HIDDEN = (".", "__")  # how names of folders begin that the library passes over


def _files(folder: Path, linked: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The folders each file lies in, and its name; what the library passes over is left out."""
    for start in (folder, *(folder / name for name in linked)):
        for at, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith(_HIDDEN))
            parts = Path(at).relative_to(folder).parts
            yield from ((parts, name) for name in sorted(names) if not name.startswith("."))


def _splits(seen: _Seen, folder: Path) -> list[str]:
    """The folders that are splits; none where they are classes."""
    tops = {top for top in (*(top for top, _ in seen.images), *seen.described) if top}
    known = tops & set(SPLITS)
    if known != tops or not tops:
        if "" in seen.described or (seen.described and not known):
            return []
        if not seen.described and any(depth < 2 for top, depth in seen.images if top or not known):
            return []
    odd = sorted(top for top in tops if not _can_be_split(top))
    if odd and known:
        raise SourceError(f"folder {str(folder / odd[0])!r} cannot be a split by its name; use letters, digits and _")
    return [] if odd else _in_order(tops)


# Names


def _told(path: Path, root: Path) -> str | None:
    """The split that the name of a file tells, or those of the folders it is in."""
    numbered = re.match(rf"({_NAME})-\d+", path.stem)
    own = numbered[1] if numbered else re.sub(r"[-_.]?\d+$", "", path.stem)
    above = [folder.name for folder in path.relative_to(root).parents]
    known = next((name for name in (own, *above) if name in SPLITS), None)
    return own if numbered and known is None else known


_NAME = r"\w+(?:\.\w+)*"  # of a split, as the library wants it


def _can_be_split(name: str) -> bool:
    return re.fullmatch(_NAME, name) is not None


def _unnumbered(text: str) -> str:
    return re.sub(r"\d+", "", text)


def _in_order(splits: Iterable[str]) -> list[str]:
    """Splits in the order in which they are used, then by name."""
    return sorted(splits, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))
