"""The digest of a hierarchy as a buffer of a model: weights of another hierarchy cannot be loaded unnoticed."""

from __future__ import annotations

import torch
from torch import Tensor

from hierarchy import Hierarchy
from timm_nhl.errors import CheckpointError

DIGEST = "hierarchy_digest"  # its name in a state dict
BITS = 256


def encode_digest(hierarchy: Hierarchy) -> Tensor:
    """(256,): the bits of a hierarchy's SHA-256, as 0.0 and 1.0.

    Floats, so that averages and casts of a model's weights keep them (docs/decisions/0011).
    """
    return torch.tensor([float(bit) for bit in f"{int(hierarchy.digest, 16):0{BITS}b}"])


def decode_digest(tensor: Tensor) -> str:
    """The digest that `encode_digest` made a tensor of, also after all weights were averaged or cast.

    Raises:
        CheckpointError: it has another length, or values that are neither 0 nor 1.

    >>> from hierarchy import load
    >>> pets = load("cifar100")
    >>> decode_digest(encode_digest(pets).half() * 0.9999) == decode_digest(encode_digest(pets).bool()) == pets.digest
    True
    """
    bits = tensor.float().cpu()
    if bits.shape != (BITS,) or not bool(((bits - bits.round()).abs() < 0.1).logical_and((bits - 0.5).abs() < 1).all()):
        raise CheckpointError(
            f"cannot read the hierarchy of these weights: {DIGEST!r} of shape {tuple(tensor.shape)} and type"
            f" {str(tensor.dtype).removeprefix('torch.')} does not hold {BITS} bits; if the weights belong to the"
            " model's hierarchy, put the model's own in its place"
        )
    return f"{int(''.join('1' if bit > 0.5 else '0' for bit in bits.tolist()), 2):0{BITS // 4}x}"
