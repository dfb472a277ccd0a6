"""Keeps a network's outputs for every image and view in files of a few megabytes, which are renamed into place.

So a file is whole or missing, whenever a process is killed. A lock for each file keeps two processes from computing the
same one; each goes on with what the other has not begun.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hierarchy.english import count
from hierarchy.errors import Locked, os_reason
from hierarchy.files import lock, replacing
from timm_nhl.data import BlockSampler, Images, eval_loader, train_loader
from timm_nhl.errors import FeatureError
from timm_nhl.features.digest import digest_all

BLOCK = 32 * 2**20  # bytes of a file: large enough to write fast, small enough to lose little when killed
GIB = 2**30
WAIT = 0.2  # seconds between looks for a file that another process computes


@dataclass
class Cached:
    """Outputs on disk, memory-mapped; float16.

    Args:
        folder: of the files.
        images: how many.
        views: of each image.
        shapes: of each output, for one image.
        rows: images in a file.
        labels: (M,) of the images.
        seconds: that this process computed; 0 if all files were there.
        computed: outputs that it computed, as views times images.
    """

    folder: Path
    images: int
    views: int
    shapes: Mapping[str, tuple[int, ...]]
    rows: int
    labels: Any
    seconds: float = 0.0
    computed: int = 0
    _open: dict[Path, dict[str, Tensor]] = field(default_factory=dict, repr=False)

    @property
    def bytes(self) -> int:
        """What all files hold."""
        return self.images * self.views * count_bytes(self.shapes)

    def path(self, view: int, block: int) -> Path:
        """The file of some images of a view."""
        return self.folder / f"view{view:03}-{block:06}.safetensors"

    def blocks(self) -> Iterator[tuple[int, int]]:
        """(view, block) of every file."""
        return ((view, block) for view in range(self.views) for block in range(-(-self.images // self.rows)))

    def read(self, view: int, numbers: Sequence[int] | NDArray[np.int64] | Tensor) -> dict[str, Tensor]:
        """The outputs for some images, by their positions: name -> (B, ...)."""
        blocks, rows = np.divmod(np.asarray(numbers, dtype=np.int64), self.rows)
        order = np.argsort(blocks, kind="stable")  # a file at a time: one copy for each is faster than one for each row
        found: dict[str, Tensor] = {}
        for name, shape in self.shapes.items():
            parts = [
                self._map(self.path(view, block))[name][torch.from_numpy(rows[order[blocks[order] == block]])]
                for block in np.unique(blocks).tolist()
            ]
            found[name] = torch.empty((len(rows), *shape), dtype=torch.float16)
            found[name][torch.from_numpy(order)] = torch.cat(parts)
        return found

    def _map(self, path: Path) -> dict[str, Tensor]:
        if path not in self._open:
            with safe_open(path, framework="pt") as file:
                self._open[path] = {name: file.get_tensor(name) for name in self.shapes}
        return self._open[path]

    @property
    def summary(self) -> str:
        """What is kept, and what it cost."""
        what = f"{self.views} views of {self.images:,} images" if self.views > 1 else f"{self.images:,} images"
        cost = f"computed {self.computed:,} in {self.seconds:.0f} s" if self.computed else "all were there"
        return f"features of {what}: {self.bytes / GIB:.2f} GiB in {str(self.folder)!r}, {cost}"


def cache_outputs(
    compute: nn.Module,
    images: Images,
    *,
    folder: Path,
    inputs: Mapping[str, Any],
    transform: Any = None,
    views: int = 1,
    seed: int = 42,
    limit: int = 10 * GIB,
    batch_size: int = 64,
    workers: int = 0,
    device: torch.device | str = "cpu",
) -> Cached:
    """Computes the outputs of a network for every image and view, unless they are on disk; returns where they are.

    Args:
        compute: (B, 3, H, W) images -> name -> (B, ...); in eval mode, run without gradients.
        folder: of the cache; entries of other weights, data or transforms may be there, too.
        inputs: size and normalisation of the images, from `timm.data.resolve_data_config`.
        transform: a random transform, as for `train_loader`; None is that of evaluation, which has one view.
        views: of each image; view v is what a training with this seed sees in epoch v.
        limit: bytes that the folder may take, other entries included.

    Raises:
        FeatureError: more than the limit would be needed, the folder cannot be written, or outputs exceed float16.
        DataError: an image cannot be read.
    """
    assert transform is not None or views == 1, "evaluation has one view"
    compute.eval()
    shapes = find_shapes(compute, inputs["input_size"], device)
    entry = folder / digest_all(compute, images, inputs, transform, seed, shapes)
    rows = max(1, BLOCK // count_bytes(shapes))
    cached = Cached(entry, len(images), views, shapes, rows, images.labels)
    check_limit(cached, folder, limit)
    loaders: dict[str, Any] = {"inputs": inputs, "batch_size": batch_size, "workers": workers, "device": device}
    load = partial(load_block, images, transform=transform, seed=seed, **loaders)
    began = time.monotonic()
    try:
        entry.mkdir(parents=True, exist_ok=True)
        while missing := [each for each in cached.blocks() if not cached.path(*each).exists()]:
            done = sum(fill(cached, view, block, compute, load) for view, block in missing)
            cached.computed += done
            if not done:
                time.sleep(WAIT)  # another process is at the rest; if it dies, its locks are free
    except OSError as error:
        reason = os_reason(error)
        raise FeatureError(f"cannot write to the cache {str(folder)!r}: {reason}; choose another folder") from None
    cached.seconds = time.monotonic() - began if cached.computed else 0.0
    return cached


def fill(cached: Cached, view: int, block: int, compute: nn.Module, load: Any) -> int:
    """Computes a file; returns how many images it holds, 0 if another process has or is at it."""
    path = cached.path(view, block)
    numbers = range(block * cached.rows, min((block + 1) * cached.rows, cached.images))
    with suppress(Locked), lock(path.with_suffix(".lock"), busy=f"{str(path)!r} is being written"):
        if path.exists():
            return 0
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink()  # by a process that was killed: whoever holds the lock is alone
        parts: dict[str, list[Tensor]] = {name: [] for name in cached.shapes}
        with torch.no_grad():
            for x, _ in load(view, numbers):
                for name, value in compute(x).items():
                    parts[name].append(value.to(device="cpu", dtype=torch.float16))
        outputs = {name: torch.cat(part).contiguous() for name, part in parts.items()}
        odd = [name for name, value in outputs.items() if not torch.isfinite(value).all()]
        if odd:
            raise FeatureError(
                f"the cache cannot hold outputs {odd[0]!r}: they exceed the range of float16; check the weights, or"
                " train without --cache"
            )
        with replacing(path) as temporary:
            save_file(outputs, temporary)
        return len(numbers)
    return 0


def load_block(
    images: Images,
    view: int,
    numbers: range,
    *,
    transform: Any,
    seed: int,
    inputs: Mapping[str, Any],
    batch_size: int,
    workers: int,
    device: torch.device | str,
) -> Any:
    """Batches of some images, in order."""
    if transform is None:
        part = images.select(np.asarray(numbers), name=images.name)
        return eval_loader(part, inputs, batch_size=batch_size, workers=workers, device=device)
    sampler = BlockSampler(view, numbers, batch_size=batch_size, seed=seed)
    return train_loader(images, inputs, transform=transform, sampler=sampler, workers=workers, device=device)


def find_shapes(compute: nn.Module, size: Sequence[int], device: torch.device | str) -> dict[str, tuple[int, ...]]:
    """The shape of each output for one image."""
    with torch.no_grad():
        outputs = compute(torch.zeros(1, *size, device=device))
    return {name: tuple(value.shape[1:]) for name, value in outputs.items()}


def count_bytes(shapes: Mapping[str, Sequence[int]]) -> int:
    """Bytes of an image's outputs."""
    return 2 * int(sum(np.prod(shape, dtype=np.int64) for shape in shapes.values()))


def check_limit(cached: Cached, folder: Path, limit: int) -> None:
    """Checks that the folder will not exceed the limit.

    Raises:
        FeatureError: it would; the message says how many views fit.
    """
    others = (path for path in folder.glob("*/*.safetensors") if path.parent != cached.folder)
    taken = 0
    for path in others:
        with suppress(FileNotFoundError):  # somebody empties the folder
            taken += path.stat().st_size
    left = max(0, limit - taken)
    if cached.bytes > left:
        fit = left // (cached.bytes // cached.views or 1)
        raise FeatureError(
            f"{count(cached.views, 'view')} of {count(cached.images, 'image')} would take {cached.bytes / GIB:.2f} GiB,"
            f" but {str(folder)!r} may grow by {left / GIB:.2f}, for {fit} of them; use fewer views, empty the folder,"
            " or raise --cache-gb"
        )
