"""Training of any timm model, nested or plain, on one process or several; resumes bit for bit at the end of an epoch.

`Settings` is all that decides a training, `train` the loop; what it leaves in a folder is what timm loads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from timm_nhl.train.settings import Settings, describe

if TYPE_CHECKING:
    from timm_nhl.train.build import parse_kwargs, train_transform
    from timm_nhl.train.loop import say, train, train_in_memory
    from timm_nhl.train.run_dir import RunDir
    from timm_nhl.train.splits import Splits, split_images
    from timm_nhl.train.trial import try_out

__all__ = [
    "RunDir",
    "Settings",
    "Splits",
    "describe",
    "parse_kwargs",
    "say",
    "split_images",
    "train",
    "train_in_memory",
    "train_transform",
    "try_out",
]


def __getattr__(name: str) -> Any:
    """Imports the loop, and with it torch, when it is first used: the command line needs the settings alone."""
    if name in ("say", "train", "train_in_memory"):
        from timm_nhl.train import loop

        return getattr(loop, name)
    if name == "try_out":
        from timm_nhl.train.trial import try_out

        return try_out
    if name in ("parse_kwargs", "train_transform"):
        from timm_nhl.train import build

        return getattr(build, name)
    if name in ("Splits", "split_images"):
        from timm_nhl.train import splits

        return getattr(splits, name)
    if name == "RunDir":
        from timm_nhl.train.run_dir import RunDir

        return RunDir
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
