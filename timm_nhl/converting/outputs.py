"""What frozen networks give for images, once for each view: the trunk's features, the flat network's answers."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from timm_nhl.converting.teacher import Teacher
from timm_nhl.models import Trunk


class FrozenOutputs(nn.Module):
    """A trunk and a teacher, run together: (B, 3, H, W) -> {"trunk": (B, C, h, w), "logits": (B, K)}.

    Logits of classes that the teacher does not have are 0.

    Args:
        maps: also the teacher's last maps, "maps": (B, D, h', w').
    """

    outputs: Tensor

    def __init__(self, trunk: Trunk, teacher: Teacher, *, maps: bool = False) -> None:
        super().__init__()
        self.trunk, self.teacher, self.maps = trunk, teacher.model, maps
        self.register_buffer("outputs", torch.tensor(teacher.outputs))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = x.contiguous(memory_format=torch.channels_last)
        logits = self.teacher(x)  # (B, outputs)
        known = self.outputs >= 0
        logits = torch.where(known, logits[:, self.outputs.clamp(min=0)], 0.0)  # (B, outputs) -> (B, K)
        made = {"trunk": self.trunk(x), "logits": logits}
        if self.maps:
            teacher: Any = self.teacher
            last = len(teacher.feature_info) - 1
            made["maps"] = teacher.forward_intermediates(x, indices=[last], output_fmt="NCHW", intermediates_only=True)[
                0
            ]
        return made
