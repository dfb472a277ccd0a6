"""Random numbers as a function of where they are drawn, not of what was drawn before.

A training seeds all generators anew at every step and for every image, by names and numbers that say which. So a run that
is stopped and goes on, at any step, draws what it would have drawn; so do other numbers of workers.
"""

from __future__ import annotations

import random

import numpy as np
import torch

# What a seed is for; the numbers are part of every result, so they never change.
MODEL, ORDER, IMAGE, ERASE, STEP = range(5)


def generator(seed: int, purpose: int, *where: int) -> np.random.Generator:
    """A generator of its own, for one purpose at one place.

    >>> generator(42, ORDER, 0).permutation(5).tolist() == generator(42, ORDER, 0).permutation(5).tolist()
    True
    """
    return np.random.default_rng([seed, purpose, *where])


def seed_all(seed: int, purpose: int, *where: int) -> None:
    """Seeds the global generators of Python, numpy and torch, on all devices.

    >>> seed_all(42, STEP, 7)
    >>> first = torch.rand(2)
    >>> seed_all(42, STEP, 7)
    >>> torch.equal(first, torch.rand(2))
    True
    """
    words = _seed_python(seed, purpose, *where)
    torch.manual_seed(words)


def seed_cpu(seed: int, purpose: int, *where: int) -> None:
    """As `seed_all` but for other devices: cheap enough for every image, and for processes that may not touch a GPU."""
    words = _seed_python(seed, purpose, *where)
    torch.default_generator.manual_seed(words)


def _seed_python(seed: int, purpose: int, *where: int) -> int:
    """Seeds Python's and numpy's generators; gives the seed of torch's."""
    words = np.random.SeedSequence([seed, purpose, *where]).generate_state(4)
    random.seed(words.tobytes())
    np.random.seed(words)
    return int(words[0]) << 31 | int(words[1]) >> 1  # 63 bits: torch takes no more
