"""A model on disk: the folder that timm loads, an ONNX file, a torch.export program.

Each is written atomically, and only after what was written gave the model's own numbers.
"""

from timm_nhl.export.folder import check_nested_name, find_folder, list_label_names, load, load_model, save, write_files
from timm_nhl.export.onnx import export_onnx
from timm_nhl.export.program import export_program

__all__ = [
    "check_nested_name",
    "export_onnx",
    "export_program",
    "find_folder",
    "list_label_names",
    "load",
    "load_model",
    "save",
    "write_files",
]
