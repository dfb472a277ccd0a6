"""The README of a bundle: what it is, and three lines that run it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hierarchy.english import count
from timm_nhl.bundle.graphs.executorch_graph import LARGEST
from timm_nhl.bundle.preparation import Preparation

PACKAGES = {
    "onnx": "onnxruntime",
    "openvino": "openvino",
    "executorch": "executorch",
    "litert": "ai-edge-litert",
    "torch": "torch",
}
OPEN = """image = np.asarray(ImageOps.exif_transpose(Image.open("golden.png")).convert("RGB"))[None]"""
NAME = 'open("labels.txt", encoding="utf-8").read().splitlines()'
LINES = {
    "onnx": f"""import numpy as np, onnxruntime; from PIL import Image, ImageOps
{OPEN}
print({NAME}[onnxruntime.InferenceSession("model.onnx").run(["probabilities"], {{"images": image}})[0].argmax()])""",
    "openvino": f"""import numpy as np, openvino; from PIL import Image, ImageOps
{OPEN}
print({NAME}[openvino.compile_model("model.xml", "CPU")([image])["probabilities"].argmax()])""",
    "executorch": f"""import numpy as np, torch; from executorch.runtime import Runtime; from PIL import Image, ImageOps
{OPEN}; run = Runtime.get().load_program("model.pte").load_method("forward").execute
print({NAME}[run([torch.from_numpy(image.copy())])[1].argmax()])""",
    "litert": f"""import numpy as np; from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps
image = ImageOps.exif_transpose(Image.open("golden.png")).convert("RGB")
CROP
run = Interpreter(model_path="model.tflite").get_signature_runner("serving_default")
print({NAME}[run(args_0=np.asarray(image)[None])["output_1"].argmax()])""",
    "torch": f"""import numpy as np, torch; from PIL import Image, ImageOps
{OPEN}
print({NAME}[torch.export.load("model.pt2").module()(torch.from_numpy(image.copy()))[1].argmax()])""",
}
FILES = {
    "labels.txt": "a line for each output: id, name and path, with tabs between them",
    "bundle.json": "what the bundle is: formats, precision, preparation, provenance",
    "config.json": "the model's config in timm's form, with label_names",
    "golden.png, golden.json": "an image, and the outputs that each graph gives for it",
}


def write_readme(folder: Path, facts: Mapping[str, Any], classes: int, *, sample: bool) -> None:
    """Writes README.md.

    Args:
        sample: whether the golden image is the photo of scikit-learn.
    """
    provenance = facts["provenance"]
    text = f"# {provenance['architecture']}: {count(classes, 'class')}, {facts['precision']}\n\n"
    for name in facts["graphs"]:
        text += f"Run it with {PACKAGES[name]}, numpy and pillow, in this folder:\n\n"
        lines = LINES[name].replace("CROP", "" if facts["raw"] else _crop(facts["preparation"]))
        text += _explain_raw(facts) if facts["raw"] else f"```python\n{lines}\n```\n\n"
    if not facts["raw"] and "litert" in facts["graphs"]:
        text += "The graph of LiteRT takes one image, resized and cropped as above: bytes, (1, height, width, 3).\n\n"
    if not facts["raw"] and facts["graphs"] != ["litert"]:
        text += (
            "The graph takes RGB images as they are: bytes, (batch, height, width, 3), of any size. It resizes, crops"
            " and normalises them itself, so do not.\n\n"
        )
        if "executorch" in facts["graphs"]:
            text += (
                f"That of ExecuTorch takes one image of at most {LARGEST} pixels a side; halve larger ones first.\n\n"
            )
    text += _explain_rejection(facts)
    text += "| file | |\n|---|---|\n" + "".join(f"| {name} | {what} |\n" for name, what in FILES.items())
    text += (
        f"\n## Provenance\n\nLicense of the weights: {provenance['license'] or 'not stated; ask who trained them'}.\n"
    )
    if sample:
        text += (
            'golden.png is "china.jpg" by danielbuechele (CC BY 2.0), as it comes with scikit-learn, made smaller.\n'
        )
    text += f"\n```json\n{json.dumps(provenance, indent=1, ensure_ascii=False)}\n```\n"
    (folder / "README.md").write_text(text, encoding="utf-8", newline="")


RULES = {
    "largest logit": "the largest of its `logits` is",
    "energy": "the logarithm of the sum of exp(`logits`) is",
    "router": "1 - `none_of_these` is",
}


def _explain_rejection(facts: Mapping[str, Any]) -> str:
    chosen = facts["reject"]
    if chosen is None:
        return ""
    return (
        f"An image is of none of the classes unless {RULES[chosen['score']]} above {chosen['value']:.6g}. On the images"
        f" that this was chosen with, {chosen['false_accepts']:.1%} of other classes' images pass, and"
        f" {chosen['kept']:.1%} of the classes' own.\n\n"
    )


def _crop(preparation: Mapping[str, Any]) -> str:
    """Three lines that resize and crop an image as timm does."""
    asked = Preparation(**preparation)
    (tall, wide), (_, height, width) = asked.scale_size, asked.input_size
    size = f"w, h = {wide}, {tall}"
    if asked.crop_mode == "center":
        size = f"w, h = image.size; w, h = max({wide}, w * {tall} // h), max({tall}, h * {wide} // w)"
        if asked.rounds:
            sides = f"(2 * w * {tall} + h) // (2 * h)", f"(2 * h * {wide} + w) // (2 * w)"
            size = f"w, h = image.size; w, h = max({wide}, {sides[0]}), max({tall}, {sides[1]})"
    return f"""{size}
x, y = round((w - {width}) / 2), round((h - {height}) / 2)
image = image.resize((w, h), Image.Resampling.{asked.interpolation.upper()}).crop((x, y, x + {width}, y + {height}))"""


def _explain_raw(facts: Mapping[str, Any]) -> str:
    return (
        "The graph takes prepared images: float32, (batch, channels, height, width). Prepare them as timm does:\n\n"
        f"```json\n{json.dumps(facts['preparation'], indent=1)}\n```\n\n"
    )
