"""A model on disk: the folder that timm loads, an ONNX file, a torch.export program.

Each is written atomically, and only after what was written gave the model's own numbers.
"""

from timm_nhl.export.folder import (
    check_nested_name,
    check_new,
    find_folder,
    list_label_names,
    load,
    load_model,
    save,
    write_files,
)
from timm_nhl.export.onnx import describe, export_onnx, import_onnx, trace_onnx
from timm_nhl.export.program import export_program
from timm_nhl.export.verify import export_checked, write_checked

__all__ = [
    "check_nested_name",
    "check_new",
    "describe",
    "export_checked",
    "export_onnx",
    "export_program",
    "find_folder",
    "import_onnx",
    "list_label_names",
    "load",
    "load_model",
    "save",
    "trace_onnx",
    "write_checked",
    "write_files",
]
