"""Whether milliseconds follow multiply-accumulates: plain networks and experts in ONNX Runtime, one thread, in turns.

    python benchmarks/experts_time.py --img-size 48
    python benchmarks/experts_time.py --img-size 224
    python benchmarks/experts_time.py --img-size 224 --task "5 related" --model resnet18

The networks have the shapes of the study of experts, or both presets on another backbone, and random weights.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import timm
import torch
from accuracy_run import make_tree
from experts_plan import BACKBONE, PLAIN, SHAPES, TREES, Network
from experts_tasks import draw_tasks
from speed import time_in_turns

import hierarchy
import timm_nhl  # noqa: F401  registers the nested models
from timm_nhl.costs import cost
from timm_nhl.export import export_onnx
from timm_nhl.models import NHL
from timm_nhl.train.build import parse_kwargs

DRAWS = 3  # experts of each shape
CLASSES = 5


def list_networks(backbone: str) -> Sequence[Network]:
    """The plain network first, then nested ones; of the study's backbone also its rival and one without a tree."""
    if backbone == BACKBONE:
        return (*SHAPES, TREES[-1])
    nested = (Network(preset, f"{backbone}_nhl", f"preset={preset}", "people") for preset in ("edge", "tiny"))
    return (Network(PLAIN, backbone), *nested)


def make_models(backbone: str, task: str, data: Path, img_size: int) -> dict[str, tuple[torch.nn.Module, int]]:
    """Networks and experts by name, each with its multiply-accumulates."""
    size = (3, img_size, img_size)
    people = hierarchy.load(data / "hierarchy.json")
    found: dict[str, tuple[torch.nn.Module, int]] = {}
    for network in list_networks(backbone):
        options = parse_kwargs("--options", [network.options])
        if not network.tree:
            model: Any = timm.create_model(network.model, num_classes=CLASSES, **options)
            found[network.name] = model, cost(model, input_size=size).macs
            continue
        nested = timm.create_model(network.model, hierarchy=make_tree(network.tree, data), **options)
        assert isinstance(nested, NHL)
        for number, classes in enumerate(draw_tasks(task, people, seed=0)[:DRAWS]):
            expert = nested.expert(classes)
            found[f"{network.name}, expert {number}"] = expert, cost(expert, input_size=size).macs
    for model, _ in found.values():
        model.pretrained_cfg |= {"input_size": size}  # type: ignore[operator]  # timm's dictionary
    return found


def open_session(model: torch.nn.Module, folder: Path, number: int) -> Any:
    """The model, fused where it can be, in ONNX Runtime."""
    model.eval()
    fused = model.fuse() if isinstance(model, NHL) else model
    export_onnx(fused, folder / f"{number}.onnx")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(str(folder / f"{number}.onnx"), options, providers=["CPUExecutionProvider"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    parser.add_argument("--img-size", type=int, default=48)
    parser.add_argument("--task", choices=("5 random", "5 related"), default="5 random", help="classes of the experts")
    parser.add_argument("--model", default=BACKBONE, help="the backbone")
    parser.add_argument("--rounds", type=int, default=50)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = make_models(options.model, options.task, options.data, options.img_size)
    with tempfile.TemporaryDirectory() as folder:
        numbered = enumerate(models.items())
        sessions = {name: open_session(model, Path(folder), number) for number, (name, (model, _)) in numbered}
    print(f"| {options.img_size} px | M MACs | batch | ms, least | time over plain | time over plain, per MAC |")
    print("|---|---|---|---|---|---|")
    for batch in (1, 16):
        x = np.random.default_rng(0).standard_normal((batch, 3, options.img_size, options.img_size), np.float32)
        runs = {name: partial(session.run, None, {"images": x}) for name, session in sessions.items()}
        seconds = time_in_turns(runs, rounds=options.rounds)
        first, plain_macs = min(seconds[PLAIN]), models[PLAIN][1]
        for name, each in seconds.items():
            ratio = min(each) / first
            print(
                f"| {name} | {models[name][1] / 1e6:.2f} | {batch} | {1000 * min(each):.2f} | {ratio:.3f}"
                f" (median {statistics.median(each) / statistics.median(seconds[PLAIN]):.3f}) |"
                f" {ratio / (models[name][1] / plain_macs):.2f} |"
            )


if __name__ == "__main__":
    main()
