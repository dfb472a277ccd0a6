"""The packages that some formats need, which extras of timm-nhl install."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from timm_nhl.errors import ExportError

MODULES = {"openvino": "openvino", "executorch": "executorch.exir", "litert": "litert_torch"}  # by format


def import_package(form: str) -> Any:
    """What writes a format; its extra has the same name.

    Raises:
        ExportError: it is not installed.
    """
    module = MODULES[form]
    try:
        return import_module(module)
    except ImportError:
        package = module.partition(".")[0].replace("_", "-")
        raise ExportError(f"this format needs {package!r}; install 'timm-nhl[{form}]'") from None
