"""Random numbers as a function of where they are drawn, not of what was drawn before.

A training seeds the generators anew for every step and every image, by numbers that say which. So a run that is stopped
and goes on, at any step, draws what it would have drawn; so does one with another number of workers.
"""

from __future__ import annotations

import random

import numpy as np
import torch

# What a seed is for. They are part of every result, so they never change.
MODEL, ORDER, IMAGE, ERASE, STEP = range(5)
CPU = torch.device("cpu")


def generator(seed: int, purpose: int, *where: int) -> np.random.Generator:
    """A generator of its own, for one purpose at one place.

    >>> generator(42, ORDER, 0).permutation(5).tolist() == generator(42, ORDER, 0).permutation(5).tolist()
    True
    """
    return np.random.default_rng([seed, purpose, *where])


def seed_all(seed: int, purpose: int, *where: int, device: torch.device = CPU) -> None:
    """Seeds the global generators of Python, numpy and torch, and of a device beside the CPU.

    >>> seed_all(42, STEP, 7)
    >>> first = torch.rand(2)
    >>> seed_all(42, STEP, 7)
    >>> torch.equal(first, torch.rand(2))
    True
    """
    words = np.random.SeedSequence([seed, purpose, *where]).generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)
    seed_of_torch = int(words[0]) << 31 | int(words[1]) >> 1  # 63 bits: torch takes no more
    if device.type == "cpu":
        # `torch.manual_seed` takes 1.4 ms while no GPU is in use yet, this 2 us; and it is called for every image, also
        # by processes that must not touch the GPU
        torch.default_generator.manual_seed(seed_of_torch)
    else:
        torch.manual_seed(seed_of_torch)
