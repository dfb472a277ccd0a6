"""Random numbers as a function of where they are drawn, not of what was drawn before.

A training seeds the global generators for every step and every image, by numbers that say which. So a resumed run, or
one with another number of workers, draws the same numbers.
"""

from __future__ import annotations

import random

import numpy as np
import torch

INITIALIZATION, ORDER, IMAGE, STEP = 0, 1, 2, 4  # what a seed is for; part of every result, so they never change
CPU = torch.device("cpu")


def generator(seed: int, purpose: int, *where: int) -> np.random.Generator:
    """A separate generator for one purpose at one place.

    >>> generator(42, ORDER, 0).permutation(5).tolist() == generator(42, ORDER, 0).permutation(5).tolist()
    True
    """
    return np.random.default_rng([seed, purpose, *where])


def seed_all(seed: int, purpose: int, *where: int, device: torch.device = CPU) -> None:
    """Seeds the global generators of Python, numpy and torch, on the CPU and on a device.

    >>> seed_all(42, STEP, 7)
    >>> first = torch.rand(2)
    >>> seed_all(42, STEP, 7)
    >>> torch.equal(first, torch.rand(2))
    True
    """
    words = np.random.SeedSequence([seed, purpose, *where]).generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)
    torch_seed = int(words[0]) << 31 | int(words[1]) >> 1  # 63 bits: torch takes no more
    if device.type == "cpu":
        # 2 us instead of the 1.4 ms of `torch.manual_seed`, for every image; workers must not touch the GPU anyway
        torch.default_generator.manual_seed(torch_seed)
    else:
        torch.manual_seed(torch_seed)
