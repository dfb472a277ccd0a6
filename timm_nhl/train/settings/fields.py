"""What the fields of `Settings` are made of: kinds of values with their bounds, and the headings of the flags."""

# no `from __future__ import annotations`: these are values, not annotations

import math
from functools import partial
from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from typer import Option

Interpolation = Literal["nearest", "bilinear", "bicubic", "box", "hamming", "lanczos"]
Count = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1)]
DropRate = Annotated[float, Field(ge=0, lt=1)]


def each(low: float, high: float = math.inf) -> AfterValidator:
    """A bound for every number of a tuple; typer takes no bounds inside one."""

    def validate(values: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if values is not None and not all(low <= value <= high for value in values):
            raise ValueError(
                f"should be numbers of at least {low:g}" + (f" and at most {high:g}" if high < math.inf else "")
            )
        return values

    return AfterValidator(validate)


BY_DATA = "by the data"
DATA, MODEL, OPTIMIZER, SCHEDULE, AUGMENTATION, LOSS, AVERAGE, MACHINE, RECORD = (
    partial(Option, rich_help_panel=panel)
    for panel in (
        "Data",
        "Model",
        "Optimizer",
        "Schedule",
        "Augmentation",
        "Loss",
        "Moving average",
        "Machine",
        "Evaluation and logging",
    )
)
