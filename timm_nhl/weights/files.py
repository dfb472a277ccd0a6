"""Reading weights from a file, and putting them into a model: each in one place, and nothing in a file is executed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
from safetensors import SafetensorError
from torch import Tensor, nn

from timm_nhl.errors import CheckpointError, summarize


def read_weights(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Reads a file of weights: safetensors, or a checkpoint of timm or PyTorch; executes nothing in it.

    Raises:
        CheckpointError: it is missing, cut short, holds no weights, or is a pickle with more than tensors.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"no such file: {str(path)!r}; check the name and the folder")
    try:
        state: Any = timm.models.load_state_dict(str(path), device="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, OSError) as error:
        if isinstance(error, pickle.UnpicklingError) or isinstance(error.__cause__, pickle.UnpicklingError):
            raise CheckpointError(
                f"{str(path)!r} is cut short or a pickle with more than tensors, and was not executed; save the weights"
                " alone, as safetensors"
            ) from None
        raise CheckpointError(
            f"{str(path)!r} cannot be read as weights ({summarize(error)}); is the file complete?"
        ) from error
    if not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise CheckpointError(f"{str(path)!r} holds no weights; pass a file that a model was saved to")
    return dict(state)


def load_weights(model: nn.Module, weights: Mapping[str, Tensor], *, unfit: str, fix: str) -> None:
    """Gives a model all of its weights.

    Args:
        unfit, fix: what is wrong and what to do about it, for weights of another model.

    Raises:
        CheckpointError: they belong to another model; with the number of tensors that differ and one of them.
    """
    try:
        model.load_state_dict(weights)
    except RuntimeError:  # torch lists every tensor, over several lines
        odd = list_differences(model.state_dict(), weights)
        raise CheckpointError(f"{unfit}: {len(odd)} tensors differ (like {odd[0]!r}); {fix}") from None


def list_differences(own: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> list[str]:
    """Names of the tensors that only one of two models has, then of those whose shapes differ.

    >>> import torch
    >>> one, other = {"bias": torch.zeros(2), "scale": torch.ones(2)}, {"bias": torch.zeros(3), "shift": torch.zeros(2)}
    >>> list_differences(one, other)
    ['scale', 'shift', 'bias']
    """
    shared = sorted(own.keys() & other.keys())
    return sorted(own.keys() ^ other.keys()) + [name for name in shared if own[name].shape != other[name].shape]
