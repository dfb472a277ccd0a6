"""The presets and their values; docs/reference/models.md has the cost and the accuracy of each."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

from timm_nhl.presets.rules import below_last_stage, scale_widths, up_to_stride
from timm_nhl.presets.shape import Shape

DEFAULT = "published"  # of models that are created without a preset

# an early split, behind which branches shrink the map at once; chosen by the study of shapes in benchmarks/RESULTS.md
EDGE = Shape(
    split=up_to_stride(8, blocks=1 / 3),
    widths=scale_widths((48, 24, 12), channels=64, power=0.25),
    strides=(2, 2, 1),
)
PRESETS = MappingProxyType(
    {
        "edge": EDGE,
        "tiny": replace(EDGE, widths=scale_widths((32, 16, 8), channels=64, power=0.25)),
        # Kelm et al. (2024), arXiv 2403.05601
        "published": Shape(split=below_last_stage, widths=(128, 64, 32), strides=(1, 1, 2)),
    }
)
