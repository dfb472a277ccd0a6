"""Any timm backbone up to a split point: the part that all branches share."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import timm
import torch
from timm.models import register_notrace_module
from torch import Tensor, nn

from timm_nhl.errors import SplitError

# timm cannot trim these to what leads to one tap: they keep parallel branches, which are frozen here
SIDE_BRANCHES = ("CoaT", "CrossVit", "HighResolutionNet")
_log = logging.getLogger(__name__)


@register_notrace_module  # torch.fx wraps a backbone's own untraceable functions only where that is the root
class Trunk(nn.Module):
    """A timm backbone up to a split point, trimmed with timm's own `prune_intermediate_layers`.

    `forward` takes images (B, in_chans, H, W) and gives features (B, C, h, w), for every architecture: token maps are
    folded back, channels-last ones transposed.

    Args:
        backbone: name of a timm architecture, without a tag.
        split: which tap of the backbone is the last to keep, counted from the end: -1 keeps all. None removes the
            last stage of a pyramid, the last quarter of the blocks of an isotropic network.
        backbone_args: what the backbone's own entry point takes (`in_chans`, `img_size`, `drop_path_rate`, ...).

    Raises:
        SplitError: there is no such tap; the choices are listed with their strides and costs.
        TypeError: the backbone does not know one of `backbone_args`.

    >>> trunk = Trunk("test_resnet")
    >>> trunk.split, trunk.channels, trunk.stride
    (-2, 192, 16)
    """

    if TYPE_CHECKING:  # only then: TorchScript reads annotations of a class when it runs
        net: Any  # a model of timm's, which none of its types describes

    def __init__(self, backbone: str, *, split: int | None = None, **backbone_args: Any) -> None:
        super().__init__()
        net: Any = timm.create_model(backbone, num_classes=0, **backbone_args)
        taps = [dict(tap) for tap in net.feature_info]
        self.net = net
        self.backbone = backbone
        self.backbone_args = {name: value for name, value in backbone_args.items() if value is not None}
        self.taps = taps
        self.all_taps = len(taps)
        self.channels_last = getattr(net, "output_fmt", "NCHW") == "NHWC"
        self.prefix_tokens = int(getattr(net, "num_prefix_tokens", 0) or 0)
        self.cut(_index(backbone, split, taps, backbone_args))

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
            for name in _unused(self):
                self.get_parameter(name).requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_chans, H, W) -> (B, C, h, w)."""
        if torch.jit.is_scripting():
            # TorchScript cannot compile every `forward_intermediates`; a trimmed `forward_features` ends at the tap
            return self._arrange(self.net.forward_features(x), x.shape[-2], x.shape[-1])
        y: Tensor = self.net.forward_intermediates(
            x, indices=[self.index], stop_early=True, output_fmt="NCHW", intermediates_only=True
        )[0]
        return y

    def taps_of(self, x: Tensor, indices: Sequence[int]) -> list[Tensor]:
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

    def _arrange(self, x: Tensor, height: int, width: int) -> Tensor:
        """Tokens (B, prefix + h*w, C) or maps (B, h, w, C) -> (B, C, h, w); (B, C, h, w) as it is."""
        if x.dim() == 3:
            x = x[:, self.prefix_tokens :].transpose(1, 2)  # (B, prefix + h*w, C) -> (B, C, h*w)
            rows = int((x.shape[2] * height / width) ** 0.5 + 0.5)
            return x.reshape(x.shape[0], x.shape[1], rows, x.shape[2] // rows)  # (B, C, h*w) -> (B, C, h, w)
        if self.channels_last:
            return x.permute(0, 3, 1, 2)  # (B, h, w, C) -> (B, C, h, w)
        return x

    def extra_repr(self) -> str:
        return f"{self.backbone!r}, split={self.split}, channels={self.channels}, stride={self.stride}"


def default_index(strides: Sequence[int]) -> int:
    """The published split point: below the last stage, or below the last quarter of equal blocks.

    >>> default_index([2, 4, 8, 16, 32]), default_index([16] * 12), default_index([8, 16, 16, 16])
    (3, 8, 0)
    """
    if strides[0] == strides[-1]:
        return len(strides) - max(1, len(strides) // 4) - 1 if len(strides) > 1 else 0
    return max(index for index, stride in enumerate(strides) if stride < strides[-1])


def choices(backbone: str, **backbone_args: Any) -> list[dict[str, Any]]:
    """All split points of a backbone: `split`, `stride`, `channels`, `params` and `macs` of the trunk up to there.

    Computed on the meta device at the backbone's own input size.
    """
    from timm_nhl.cost import trunk_cost

    args = {**backbone_args, "device": "meta"}
    net: Any = timm.create_model(backbone, num_classes=0, **args)
    rows = []
    for split in range(-len(net.feature_info), 0):
        trunk = Trunk(backbone, split=split, **args)
        cost = trunk_cost(trunk)
        rows.append(
            {
                "split": split,
                "stride": trunk.stride,
                "channels": trunk.channels,
                "params": cost.params,
                "macs": cost.macs,
            }
        )
    return rows


def _index(backbone: str, split: int | None, taps: Sequence[dict[str, Any]], backbone_args: dict[str, Any]) -> int:
    strides = [int(tap["reduction"]) for tap in taps]
    if split is None:
        return default_index(strides)
    if isinstance(split, int) and not isinstance(split, bool) and -len(taps) <= split <= -1:
        return len(taps) + split
    listed = "; ".join(
        f"{row['split']}: stride {row['stride']}, {row['params'] / 1e6:.2f}M parameters, {row['macs'] / 1e9:.2f} GMACs"
        for row in choices(backbone, **{k: v for k, v in backbone_args.items() if k not in ("device", "dtype")})
    )
    raise SplitError(
        f"split={split!r} is out of range: {backbone} has {len(taps)} feature levels"
        f" (strides {', '.join(map(str, strides))}); use {-len(taps)} to -1 ({listed})"
    )


def _unused(trunk: Trunk) -> list[str]:
    """Parameters that the features at the split point do not depend on, found on the meta device."""
    shadow = copy.deepcopy(trunk).to("meta")
    size = trunk.net.pretrained_cfg["input_size"][1:]
    parameter = next(shadow.parameters())
    channels = int(trunk.backbone_args.get("in_chans", 3))
    size = trunk.backbone_args.get("img_size") or size
    height, width = (size, size) if isinstance(size, int) else size
    shadow(torch.empty(2, channels, height, width, device="meta", dtype=parameter.dtype)).sum().backward()
    return [name for name, parameter in shadow.named_parameters() if parameter.requires_grad and parameter.grad is None]
