"""What outputs depend on, as one digest: weights, images, transform, and the libraries that compute them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch
from torch import nn

from timm_nhl.data import Images

LIBRARIES = ("timm", "torch", "torchvision", "pillow")


def digest_all(
    compute: nn.Module,
    images: Images,
    inputs: Mapping[str, Any],
    transform: Any,
    seed: int,
    shapes: Mapping[str, tuple[int, ...]],
) -> str:
    """The address of an entry; equal if and only if the outputs are, up to rounding."""
    how = repr(transform)
    assert " at 0x" not in how, f"a transform that does not say what it does: {how}"
    about = {
        "inputs": {name: str(value) for name, value in sorted(inputs.items())},
        "transform": how,
        "seed": None if transform is None else seed,
        "outputs": {name: list(shape) for name, shape in shapes.items()},
        "versions": {name: version(name) for name in LIBRARIES},
    }
    whole = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16)
    whole.update(digest_weights(compute))
    whole.update(images.digest())
    return whole.hexdigest()


def digest_weights(module: nn.Module) -> bytes:
    """A digest of all parameters and buffers, and of the structure around them."""
    whole = hashlib.blake2b(repr(module).encode(), digest_size=16)
    for name, value in sorted(module.state_dict().items()):
        flat = value.detach().cpu().contiguous().flatten()
        whole.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        whole.update(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
    return whole.digest()
