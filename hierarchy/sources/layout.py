"""Which files of a dataset belong to which split and class: by the folders of images, or the names of parquet files."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hierarchy.errors import SourceError

SPLITS = ("train", "training", "val", "valid", "validation", "test")
NAME = r"\w+(?:\.\w+)*"  # of a split, as the `datasets` library wants it
HIDDEN = (".", "__")  # how names of folders begin that the `datasets` library passes over


def image_files(folder: Path) -> dict[str, Any]:
    """Arguments for the library's `imagefolder` reader: files by split, and whether folders are classes.

    Folders are splits by the rule of `choose_splits`; `train`, `test` and the like are also splits if metadata files
    describe the images.

    Raises:
        SourceError: there are no images, or some of them would get no class or a wrong split.
    """
    seen = _look(folder)
    if not seen.images and not seen.described:
        raise SourceError(f"folder {str(folder)!r} has no saved dataset, no .parquet and no images; check the name")
    if seen.inner is not None:
        above = str((folder / seen.inner).parent)
        raise SourceError(f"folder {str(folder)!r} has its splits further down, as in {seen.inner!r}; give {above!r}")
    splits = _splits(seen, folder)
    root = glob.escape(str(folder))
    files = {split: [f"{root}/{split}/**"] for split in splits}
    if not files:
        linked = [f"{root}/{glob.escape(top)}/**" for top in seen.linked]  # ** does not follow links
        files = {SPLITS[0]: [f"{root}/**", *linked]}
    known = set(splits) & set(SPLITS)  # then files next to the folders belong to no split
    if any(top or not known for top in seen.described):
        return {"data_files": files}
    depths = {depth: path for (top, depth), path in seen.images.items() if top or not known}
    if len(depths) > 1:
        one, other = (repr(depths[depth]) for depth in sorted(depths)[:2])
        raise SourceError(
            f"images in folder {str(folder)!r} are at different depths, as in {one} and {other};"
            " arrange all as CLASS/IMAGE, or all as SPLIT/CLASS/IMAGE"
        )
    (depth,) = depths
    return {"data_files": files, "drop_labels": depth < (2 if splits else 1)}


def find_classes(folder: Path) -> dict[tuple[str, ...], Path]:
    """Names down to a class -> a folder of its images, of the classes that a dataset of these images has.

    The names are of the class, or of its superclass, its group and itself where folders lie between a split, or the
    top, and the class. With splits, the classes are those of the first split with a usual name (`train`, ...), else of
    all splits.

    Raises:
        SourceError: a split has a name that is not possible.
    """
    seen = _look(folder)
    splits = _splits(seen, folder)
    if splits and splits[0] in SPLITS:
        splits = splits[:1]
    found: dict[tuple[str, ...], Path] = {}
    for parts in seen.folders:
        if parts[:1] and (not splits or (parts[0] in splits and len(parts) > 1)):
            found.setdefault(parts[1:] if splits else parts, folder.joinpath(*parts))
    return found


def table_files(paths: Sequence[Path], root: Path) -> dict[str, list[str]]:
    """Parquet files by split: named by the file, with or without a number, or else by its folder.

    A single file and files with only numbers for names are `train`.

    Raises:
        SourceError: the splits of several files cannot be derived from their names.

    >>> table_files([Path("test-00000-of-00001.parquet"), Path("train-1.parquet"), Path("train-2.parquet")], Path())
    {'train': ['train-1.parquet', 'train-2.parquet'], 'test': ['test-00000-of-00001.parquet']}
    >>> table_files([Path("test/0000.parquet"), Path("train/0000.parquet")], Path())
    {'train': ['train/0000.parquet'], 'test': ['test/0000.parquet']}
    """
    split_of = {path: _split_in_name(path, root) for path in paths}
    unnamed = [path for path, name in split_of.items() if name is None]
    homes = {path: _unnumbered(str(path.relative_to(root).parent)) for path in paths}
    if len(set(homes.values())) > 1:
        split_of |= {path: path.parent.name for path in unnamed if path.parent != root}
    elif set(split_of.values()) & set(SPLITS):
        split_of |= {path: path.stem for path in unnamed}
    elif len(unnamed) == len(paths) and len({_unnumbered(path.stem) for path in paths}) == 1:
        split_of |= dict.fromkeys(unnamed, SPLITS[0])
    home_of: dict[str, str] = {}  # the folder whose files got a name
    for path in unnamed:
        name = split_of[path] or ""
        if not can_be_split(name) or name.isdigit() or home_of.setdefault(name, homes[path]) != homes[path]:
            few = ", ".join(repr(str(path.relative_to(root))) for path in unnamed[:3])
            more = f" and {len(unnamed) - 3} more" if len(unnamed) > 3 else ""
            raise SourceError(
                f"cannot determine the splits of {few}{more} in {str(root)!r}; name files like train-00000.parquet, put"
                " them into folders like train and test, or give one file"
            )
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, split in split_of.items():
        found[split or ""].append(glob.escape(str(path)))
    return {name: found[name] for name in in_order(found)}


# Folders of images


@dataclass(frozen=True)
class _Seen:
    """The content of a folder.

    Args:
        images: (a folder in it, or "" for itself; the depth of an image below) -> the first image there.
        folders: the names from it down to each folder that contains images.
        described: those folders, or "", that contain metadata files.
        linked: those that are links.
        inner: a folder with the name of a split, inside one without.
    """

    images: Mapping[tuple[str, int], str]
    folders: Collection[tuple[str, ...]]
    described: frozenset[str]
    linked: tuple[str, ...]
    inner: str | None


def _look(folder: Path) -> _Seen:
    from datasets.packaged_modules.imagefolder.imagefolder import ImageFolder

    endings = set(ImageFolder.EXTENSIONS)
    images: dict[tuple[str, int], str] = {}
    folders: dict[tuple[str, ...], None] = {}
    described: set[str] = set()
    inner = None
    _, tops, _ = next(os.walk(folder), ("", [], []))  # none if it cannot be read
    linked = tuple(sorted(top for top in tops if (folder / top).is_symlink() and not top.startswith(HIDDEN)))
    for parts, name in _files(folder, linked):
        top, ending = (parts[0] if parts else ""), "." + name.rpartition(".")[2].lower()
        if ending in endings:
            images.setdefault((top, len(parts)), "/".join((*parts, name)))
            folders[parts] = None
            above = parts[1:-1]  # the last is the class
        elif name in ImageFolder.METADATA_FILENAMES:
            described.add(top)
            above = parts[1:]
        else:
            continue
        if inner is None and top not in SPLITS and set(above) & set(SPLITS):
            inner = "/".join(parts[: 2 + next(i for i, part in enumerate(above) if part in SPLITS)])
    return _Seen(images, folders, frozenset(described), linked, inner)


def _files(folder: Path, linked: Iterable[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The folders above each file, and its name; without what the library passes over."""
    for start in (folder, *(folder / name for name in linked)):
        for at, folders, names in os.walk(start):
            folders[:] = sorted(name for name in folders if not name.startswith(HIDDEN))
            parts = Path(at).relative_to(folder).parts
            yield from ((parts, name) for name in sorted(names) if not name.startswith("."))


def _splits(seen: _Seen, folder: Path) -> list[str]:
    """The folders that are splits; none if they are classes."""
    tops = {top for top in (*(top for top, _ in seen.images), *seen.described) if top}
    known = tops & set(SPLITS)
    if seen.described and known != tops and ("" in seen.described or not known):
        return []
    if not seen.described:
        depths: defaultdict[str, set[int]] = defaultdict(set)
        for top, depth in seen.images:
            if top or not known:
                depths[top].add(depth)
        if not choose_splits(depths) or (not known and _are_superclasses(seen.folders)):
            return []
    odd = sorted(top for top in tops if not can_be_split(top))
    if odd and known:
        raise SourceError(f"folder {str(folder / odd[0])!r} cannot be a split; rename it with letters, digits and _")
    return [] if odd else in_order(tops)


def _are_superclasses(folders: Iterable[tuple[str, ...]]) -> bool:
    """Whether the uppermost folders are superclasses: each has classes of its own, where splits share theirs."""
    tops: defaultdict[str, set[str]] = defaultdict(set)
    for parts in folders:
        if len(parts) > 1:
            tops[parts[-1]].add(parts[0])
    shared = sum(len(above) > 1 for above in tops.values())
    return len(set().union(*tops.values())) > 1 and 2 * shared < len(tops)


# Names of splits


def choose_splits(depths: Mapping[str, Collection[int]]) -> list[str]:
    """Which of some folders are splits: all of them, in the order in which splits are used, or none.

    They are splits if each holds its images in folders of its own, or if all have the names of splits.

    Args:
        depths: folder -> how many folders lie between its parent and its images.

    >>> choose_splits({"test": [2], "holdout": [2], "train": [2]}), choose_splits({"train": [1], "bus": [1]})
    (['train', 'test', 'holdout'], [])
    """
    if set(depths) <= set(SPLITS) or all(min(found) >= 2 for found in depths.values()):
        return in_order(depths)
    return []


def in_order(splits: Iterable[str]) -> list[str]:
    """Splits in the order in which they are used, then by name."""
    return sorted(splits, key=lambda name: (SPLITS.index(name) if name in SPLITS else len(SPLITS), name))


def can_be_split(name: str) -> bool:
    """Whether the `datasets` library takes this as the name of a split."""
    return re.fullmatch(NAME, name) is not None


def _split_in_name(path: Path, root: Path) -> str | None:
    """The split in the name of a file or of the folders above it."""
    numbered = re.match(rf"({NAME})-\d+", path.stem)
    own = numbered[1] if numbered else re.sub(r"[-_.]?\d+$", "", path.stem)
    above = [folder.name for folder in path.relative_to(root).parents]
    known = next((name for name in (own, *above) if name in SPLITS), None)
    return own if numbered and known is None else known


def _unnumbered(text: str) -> str:
    return re.sub(r"\d+", "", text)
