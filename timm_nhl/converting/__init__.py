"""From a trained flat classifier to a nested network: its own trunk, branches that learn what it answers.

`convert` makes a folder like that of a training; parts of the classes that were converted apart are joined by `merge`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from timm_nhl.converting.settings import Conversion

if TYPE_CHECKING:
    from timm_nhl.converting.parts import merge
    from timm_nhl.converting.steps import convert

__all__ = ["Conversion", "convert", "merge"]


def __getattr__(name: str) -> Any:
    """Imports what needs torch when it is first used: the command line needs the settings alone."""
    if name == "convert":
        from timm_nhl.converting.steps import convert

        return convert
    if name == "merge":
        from timm_nhl.converting.parts import merge

        return merge
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
