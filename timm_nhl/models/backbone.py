"""Any timm backbone up to a split point: the part that all branches share."""

from __future__ import annotations

import copy
import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import timm
import torch
from timm.models import register_notrace_module
from torch import Tensor, nn

from timm_nhl.errors import SplitError
from timm_nhl.presets import SplitRule, below_last_stage

# timm cannot trim these to what leads to one tap: they keep parallel branches, whose weights become buffers here
SIDE_BRANCHES = ("CoaT", "CrossVit", "HighResolutionNet")
_log = logging.getLogger(__name__)


@register_notrace_module  # torch.fx wraps a backbone's own untraceable functions only where that is the root
class Trunk(nn.Module):
    """A timm backbone up to a split point, trimmed with timm's own `prune_intermediate_layers`.

    `forward` takes images (B, in_chans, H, W) and gives features (B, C, h, w), for every architecture: token maps are
    folded back, channels-last ones transposed.

    Args:
        backbone: name of a timm architecture, without a tag.
        split: which tap of the backbone is the last to keep, counted from the end: -1 keeps all; or a rule that
            chooses one by the strides of all taps.
        backbone_args: what the backbone's own entry point takes (`in_chans`, `img_size`, `drop_path_rate`, ...).

    Raises:
        SplitError: there is no such tap; the message lists the strides of those that exist.
        TypeError: the backbone does not know one of `backbone_args`.

    >>> trunk = Trunk("test_resnet")
    >>> trunk.split, trunk.channels, trunk.stride
    (-2, 192, 16)
    """

    net: Any  # a model of timm's, which none of its types describes

    def __init__(self, backbone: str, *, split: int | SplitRule = below_last_stage, **backbone_args: Any) -> None:
        super().__init__()
        net: Any = timm.create_model(backbone, num_classes=0, **backbone_args)
        taps = [dict(tap) for tap in net.feature_info]
        self.net = net
        self.backbone = backbone
        self.backbone_args = {name: value for name, value in backbone_args.items() if value is not None}
        self.taps = taps
        self.all_taps, self.whole_stride = len(taps), int(taps[-1]["reduction"])
        self.cut(_index(backbone, split, taps))

    def cut(self, index: int) -> None:
        """Removes all that lies behind tap `index`, norm and head included."""
        training = self.net.training
        self.net.prune_intermediate_layers([index], prune_norm=True, prune_head=True)
        self.net.train(training)
        self.index = index
        self.split = index - self.all_taps
        self.taps = self.taps[: index + 1]
        self.channels = int(self.taps[index]["num_chs"])
        self.stride = int(self.taps[index]["reduction"])
        if type(self.net).__name__ in SIDE_BRANCHES:
            self._retire_unused()

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, C, h, w)."""
        y: Tensor = self.net.forward_intermediates(
            x, indices=[self.index], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )[0]
        return y

    def forward_taps(self, x: Tensor, indices: Sequence[int]) -> list[Tensor]:
        """(B, in_chans, H, W) -> [(B, C_i, h_i, w_i), ...]: features at some taps, then those at the split point."""
        wanted = sorted({*indices, self.index})
        features = self.net.forward_intermediates(
            x, indices=wanted, stop_early=True, output_fmt="NCHW", intermediates_only=True
        )
        of_index = dict(zip(wanted, features, strict=True))
        return [of_index[index] for index in indices] + [of_index[self.index]]

    def set_grad_checkpointing(self, enable: bool) -> None:
        """Recomputes the backbone's stages in the backward pass, where the backbone can."""
        try:
            self.net.set_grad_checkpointing(enable)
        except AssertionError:
            _log.info("%s has no activation checkpointing of its own; only the levels recompute", self.backbone)

    def share(self) -> Trunk:
        """A trunk on the same memory, with parameters of its own: `to`, `half` and `train` leave this one as it is."""
        memo: dict[int, Any] = {id(buffer): buffer.detach() for buffer in self.buffers()}
        for parameter in self.parameters():
            memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=parameter.requires_grad)
        for module in self.modules():  # a module has a dozen empty tables, and deepcopy takes long for each
            tables = [table for table in vars(module).values() if type(table) in (dict, OrderedDict) and not table]
            memo |= {id(table): type(table)() for table in tables}
        return copy.deepcopy(self, memo)

    def measure(self, input_size: Sequence[int]) -> tuple[int, int]:
        """Height and width of the features of images of a size (channels, height, width), by a run on the meta device.

        >>> Trunk("test_resnet").measure((3, 160, 160))
        (10, 10)
        """
        shadow = copy.deepcopy(self).to("meta").eval()
        y = shadow(torch.empty(1, *input_size, device="meta", dtype=next(shadow.parameters()).dtype))
        return y.shape[-2], y.shape[-1]

    def _retire_unused(self) -> None:
        """Turns parameters that the features do not depend on into buffers: no optimizer and no DDP waits for them."""
        shadow = copy.deepcopy(self).to("meta")
        side = self.backbone_args.get("img_size") or self.net.pretrained_cfg["input_size"][1:]
        height, width = (side, side) if isinstance(side, int) else side
        x = torch.empty(2, int(self.backbone_args.get("in_chans", 3)), height, width, device="meta")
        shadow(x.to(next(shadow.parameters()).dtype)).sum().backward()
        for name, parameter in shadow.named_parameters():
            if parameter.grad is None:
                path, _, last = name.rpartition(".")
                owner = self.get_submodule(path)
                values = getattr(owner, last).detach()
                delattr(owner, last)
                owner.register_buffer(last, values)

    def extra_repr(self) -> str:
        return f"{self.backbone!r}, split={self.split}, channels={self.channels}, stride={self.stride}"


def _index(backbone: str, split: int | SplitRule, taps: Sequence[dict[str, Any]]) -> int:
    strides = [int(tap["reduction"]) for tap in taps]
    if callable(split):
        return split(strides)
    if isinstance(split, int) and not isinstance(split, bool) and -len(taps) <= split <= -1:
        return len(taps) + split
    raise SplitError(
        f"split={split!r} is out of range: {backbone} has {len(taps)} feature levels"
        f" (strides {', '.join(map(str, strides))}); use -{len(taps)} to -1"
    )
