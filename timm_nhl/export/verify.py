"""Writing atomically, and only what gives the model's own numbers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from timm_nhl.errors import ExportError, OptionError, summarize
from timm_nhl.models import NHL

# of the largest logit: what reordered sums of a type differ by in the models tested, times ten
TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 5e-3, torch.float32: 1e-4, torch.float64: 1e-4}


def export_checked(model: nn.Module, path: Path, write: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    """Writes a model, in eval mode, to a file in another format.

    Raises:
        ExportError: the exporter cannot write the model, or what it wrote gives other numbers.
    """
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            write_checked(path, write, check)
    except (ExportError, OptionError, KeyboardInterrupt):
        raise
    except Exception as error:
        raise ExportError(f"cannot export to {str(path)!r}: {summarize(error)}") from error
    finally:
        model.train(training)


def write_checked(
    target: Path, write: Callable[[Path], None], check: Callable[[Path], None] = lambda path: None
) -> None:
    """Writes to a temporary place next to the target, checks it there, then moves it over the target."""
    if not target.parent.is_dir():
        raise ExportError(f"cannot write {str(target)!r}: no folder {str(target.parent)!r}; create it first")
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        temporary = scratch / target.name
        write(temporary)
        check(temporary)
        if target.is_dir():
            target.rmdir()  # empty, as `check_new` made sure
        temporary.replace(target)
    finally:
        shutil.rmtree(scratch)


class WithNone(nn.Module):
    """The logits of an expert, and the probability that an image is of none of its groups: (B, K), (B,)."""

    def __init__(self, model: NHL) -> None:
        super().__init__()
        self.model, self.router = model, model.find_router()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) -> (B, K), (B,)."""
        logits, scores = self.model.forward_scores(x)
        return logits, self.router.none_of_these(scores)


def choose_outputs(model: nn.Module) -> tuple[nn.Module, list[str]]:
    """What is exported of a model in eval mode, and the names of its outputs.

    An expert with a router also gives `none_of_these`; in a network that was not cut it would always be 0.

    Raises:
        timm_nhl.errors.OptionError: the router was never trained.
    """
    if isinstance(model, NHL) and model.router is not None and not model.router.is_whole:
        return WithNone(model), ["logits", "none_of_these"]
    return model, ["logits"]


def check_same(
    written: Callable[[Tensor], Any], model: nn.Module, *, batches: Sequence[int], run: nn.Module | None = None
) -> None:
    """Compares what was written with the model, in eval mode, on random images.

    Args:
        run: what was exported of the model, if it is not the model itself (`choose_outputs`).

    Raises:
        ExportError: the numbers differ by more than the model's type explains.
    """
    training, allowed = model.training, _allow(find_weight(model))
    model.eval()
    try:
        for batch in batches:
            x = draw_images(model, batch)
            with torch.no_grad():
                results = [each(x) for each in (run or model, written)]
            expected, actual = ([y] if isinstance(y, Tensor) else list(y) for y in results)
            worst = max(_compare(*pair) for pair in zip(actual, expected, strict=True))
            if not worst <= allowed:
                raise ExportError(
                    f"the exported model gives other numbers than the model: they differ by {worst:.1e} of the largest"
                    f" logit at batch size {batch}, {allowed:.0e} is allowed; nothing was written"
                )
    finally:
        model.train(training)


def _compare(actual: Tensor, expected: Tensor) -> float:
    """The largest difference, relative to the largest number if that is above 1."""
    actual, expected = actual.float().cpu(), expected.float().cpu()
    return (actual - expected).abs().max().item() / max(1.0, expected.abs().max().item())


def draw_images(model: nn.Module, batch: int) -> Tensor:
    """Random images (B, C, H, W) on the model's device, of its type."""
    config: Any = model.pretrained_cfg
    size = (batch, cast(int, model.in_chans), *config["input_size"][1:])
    return torch.randn(size, generator=torch.Generator().manual_seed(batch)).to(find_weight(model))


def find_weight(model: nn.Module) -> Tensor:
    """One of a model's weights, for its device and type; without weights, what a fresh one would be."""
    return next(model.parameters(), torch.empty(0))


def _allow(weight: Tensor) -> float:
    """By how much numbers may differ; a GPU rounds float32 to TF32, as fine as float16, in between."""
    coarse = weight.dtype == torch.float32 and weight.device.type != "cpu"
    return TOLERANCE[torch.float16 if coarse else weight.dtype]
