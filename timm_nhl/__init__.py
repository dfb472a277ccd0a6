"""Networks whose high-level features are nested along a class hierarchy, as a plugin for timm.

Importing it registers `<backbone>_nhl` for every backbone of timm, as soon as timm itself is imported:

>>> import timm, timm_nhl
>>> model = timm.create_model("test_resnet_nhl", num_classes=8)
>>> expert = model.expert(["class 3", "superclass 0"])
>>> len(expert.hierarchy)
4
"""

import importlib
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import TYPE_CHECKING, Any

from timm_nhl.errors import NHLError

if TYPE_CHECKING:  # what type checkers and editors see of the names that are loaded when first used
    from timm_nhl.converting import Conversion, convert
    from timm_nhl.costs import Cost, cost
    from timm_nhl.export import load, save
    from timm_nhl.growing import Growth, grow
    from timm_nhl.models import NHL
    from timm_nhl.serving import Experts

_LAZY = {  # loaded when first used: a command that only parses its arguments needs no torch
    "NHL": "timm_nhl.models",
    "Conversion": "timm_nhl.converting",
    "convert": "timm_nhl.converting",
    "Cost": "timm_nhl.costs",
    "cost": "timm_nhl.costs",
    "Experts": "timm_nhl.serving",
    "Growth": "timm_nhl.growing",
    "grow": "timm_nhl.growing",
    "load": "timm_nhl.export",
    "save": "timm_nhl.export",
}
__all__ = ["NHL", "Conversion", "Cost", "Experts", "Growth", "NHLError", "convert", "cost", "grow", "load", "save"]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


class _RegisterAfterTimm(MetaPathFinder):
    """Finds timm as the other finders do, and registers the nested models once it is imported."""

    def find_spec(self, name: str, path: Any = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != "timm":
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next(filter(None, (finder.find_spec(name, path, target) for finder in others)), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                execute(module)
                importlib.import_module("timm_nhl.models.registry")

            spec.loader.exec_module = execute_and_register  # type: ignore[method-assign]
        return spec


if "timm" in sys.modules:
    importlib.import_module("timm_nhl.models.registry")
elif not any(type(finder).__name__ == _RegisterAfterTimm.__name__ for finder in sys.meta_path):  # after a reload
    sys.meta_path.insert(0, _RegisterAfterTimm())
