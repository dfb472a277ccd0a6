"""The shape of a network, from the name of a preset and the options that replace some of its values."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

from hierarchy.errors import nearest
from timm_nhl.errors import OptionError
from timm_nhl.presets.shape import Shape
from timm_nhl.presets.table import DEFAULT, PRESETS


def choose_shape(preset: str | None, **options: Any) -> Shape:
    """The shape of a preset, by default of `DEFAULT`, with those options that are not None in place of its values.

    Raises:
        OptionError: there is no such preset, or the options leave nothing for it to decide.

    >>> choose_shape("published", strides=(2, 1, 2)).strides
    (2, 1, 2)
    """
    shape = PRESETS[check_preset(DEFAULT if preset is None else preset)]
    given = {name: value for name, value in options.items() if value is not None}
    names = [field.name for field in fields(Shape)]
    if preset is not None and given.keys() >= set(names):
        raise OptionError(
            f"preset={preset!r} has no effect: {', '.join(names)} are all given, by the call or by a saved config;"
            " omit the preset"
        )
    return replace(shape, **given)


def check_preset(name: str) -> str:
    """The name of a preset, as it is.

    Raises:
        OptionError: there is no such preset.
    """
    if name not in PRESETS:
        raise OptionError(
            f"preset={name!r} is not available; use one of {', '.join(map(repr, PRESETS))}{nearest(str(name), PRESETS)}"
        )
    return name
