"""Memory of a training step per image: what autograd keeps for the backward pass, ResNet50-NHL and ResNet50.

    python benchmarks/memory.py

Runs a batch of 8 images at 224x224 in float32 on the CPU, adds up the storages that autograd saves (each once,
without parameters), and divides by 8. Gradients and optimizer state do not grow with the batch: they are a constant
times the number of parameters.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import timm
import torch

from timm_nhl.models import SUFFIX

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.trees import shape

BATCH = 8


def measure_bytes(model: torch.nn.Module) -> float:
    """Bytes per image that a forward pass in train mode keeps for the backward pass."""
    own = {tensor.untyped_storage().data_ptr() for tensor in model.state_dict().values()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = model.train()(torch.randn(BATCH, 3, 224, 224))
    total = sum(kept.values()) / BATCH  # while `y` keeps them alive
    del y
    return total


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    plain = timm.create_model("resnet50", num_classes=100)
    nested = timm.create_model("resnet50_nhl", hierarchy=shape(7, 23, 100))
    rows = {"ResNet50": measure_bytes(plain), f"ResNet50{SUFFIX}, 7/23/100": measure_bytes(nested)}
    nested.set_grad_checkpointing()
    rows["the same with activation checkpointing"] = measure_bytes(nested)
    base = rows["ResNet50"]
    for name, size in rows.items():
        print(f"| {name} | {size / 2**20:.1f} MiB | {size / base:.2f}x |")


if __name__ == "__main__":
    main()
