"""Where images and models go: the device that training and evaluation compute on."""

from __future__ import annotations

import torch

from timm_nhl.errors import OptionError


def choose_device(wanted: str | None) -> torch.device:
    """The device that is wanted; by default a GPU if there is one.

    Raises:
        OptionError: there is no such device.
    """
    try:
        device = torch.device(wanted or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError):  # what torch raises if it was built without one
        raise OptionError(f"device {wanted!r} is not available; use --device cpu, or remove the flag") from None
    return device
