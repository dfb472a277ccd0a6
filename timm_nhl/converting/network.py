"""The nested network around a flat network's trunk, and what both give for images while they are frozen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import timm
import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy.english import count
from timm_nhl.converting.teacher import Teacher
from timm_nhl.errors import NHLError, OptionError, summarize
from timm_nhl.models import NHL, SUFFIX, Trunk
from timm_nhl.weights import list_differences

OF_THE_HEAD = ("num_classes", "global_pool", "drop_rate", "drop_path_rate", "pretrained_cfg", "pretrained_cfg_overlay")


def build_network(teacher: Teacher, tree: Hierarchy, *, preset: str | None, options: Mapping[str, Any]) -> NHL:
    """A nested network of some classes, whose trunk is the teacher's own; the branches are fresh.

    Args:
        preset, options: its shape, as `timm.create_model` takes them.

    Raises:
        NHLError: the options are invalid.
        OptionError: the options change the layers of the trunk.
    """
    flat: Any = teacher.model
    backbone = {name: value for name, value in getattr(flat, "_model_args", {}).items() if name not in OF_THE_HEAD}
    try:
        model: Any = timm.create_model(
            f"{teacher.backbone}{SUFFIX}", hierarchy=tree, preset=preset, **{**backbone, **options}
        )
    except (NHLError, HierarchyError):
        raise
    except (TypeError, ValueError, AssertionError, RuntimeError) as error:
        raise OptionError(f"cannot nest {teacher.source!r}: {summarize(error)}; see --model-kwargs") from error
    assert isinstance(model, NHL)
    mine, theirs = model.trunk.net.state_dict(), flat.state_dict()
    odd = list_differences(mine, {name: value for name, value in theirs.items() if name in mine})
    if odd:
        raise OptionError(
            f"--model-kwargs change the trunk: it cannot load {count(len(odd), 'tensor')} of {teacher.source!r} (like"
            f" {odd[0]!r}); keep only options of the branches"
        )
    model.trunk.net.load_state_dict({name: theirs[name] for name in mine})
    model.trunk.requires_grad_(False)
    inputs = resolve_data_config({}, model=flat)
    # what timm recommends for testing its own weights was measured with another end
    inputs |= {"test_input_size": None, "test_crop_pct": None, "test_pool_size": None}
    model.pretrained_cfg |= inputs
    return model


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
