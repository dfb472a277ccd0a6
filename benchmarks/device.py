"""From a trained network to the device: size, time and accuracy of bundles, and how well they reject other classes.

    python benchmarks/icons.py build/icons && python benchmarks/experts.py run   # the trained networks
    python benchmarks/shapes.py run       # resnet18
    python benchmarks/device.py reject    # "none of these", from the logits that the trainings left
    python benchmarks/device.py export    # bundles of an expert of 5 and of plain networks, and their accuracy
    python benchmarks/device.py whole     # int8 against fp32 on all test images, by the networks of all classes
    python benchmarks/device.py files     # 500 files of many sizes and forms: bundles against timm's preparation
    python benchmarks/device.py time      # all bundles in turns, batch 1, one thread; again with --img-size 224
    python benchmarks/device.py report    # the table

`export` and `time` leave their results in build/device, one file for each bundle, and go on where they were stopped.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from accuracy_statistics import mark_correct
from experts_tasks import Task, draw_tasks
from PIL import Image

import hierarchy
import timm_nhl  # noqa: F401  registers the nested models
from timm_nhl.bundle import BundleSettings, find_preparation, open_bundle, write_bundle
from timm_nhl.data import decode_image, open_images
from timm_nhl.eval import (
    Seen,
    estimate_difference,
    estimate_mean,
    estimate_share,
    measure_rejection,
)
from timm_nhl.export import load_model
from timm_nhl.latency import Entry, measure
from timm_nhl.rejection import choose_threshold, compute_score

TRAINED = {  # name -> folder of its training
    "plain": "plain_seed0",
    "plain, half the width": "plain_050_seed0",
    "expert, edge": "nested_48_24_12__people_seed0",
    "expert, tiny": "nested_32_16_8__people_seed0",
}
RESNET = {  # trained by `python benchmarks/shapes.py run`, on the 91 classes of its own data
    "resnet18": "resnet18__plain_seed0",
    "resnet18 expert, edge": "resnet18__edge_seed0",
    "resnet18 expert, tiny": "resnet18__tiny_seed0",
}
UNTRAINED = ("expert, published", "resnet18 expert, published")  # for size and time only
NAMES = (*TRAINED, *RESNET, *UNTRAINED)
FORMS = ("RGB", "L", "RGBA", "P", "1", "LA", "I;16", "CMYK", "turned")
TRAINED_AT = 48  # pixels; networks for other sizes have random weights
PRECISIONS = ("fp32", "fp16", "int8")
RUNTIMES = ("onnx", "openvino")
CALIBRATION = 256  # training images of the task
UNJUDGED = 16  # of bundles that are only timed
TASKS = 3  # experts whose accuracy is measured; the first is timed


def cut(name: str, runs: Path, tree: hierarchy.Hierarchy, task: Task, img_size: int) -> Any:
    """The network of a task's classes: an expert, or a plain network whose classifier has their rows only."""
    labels = list(tree.labels(*task))
    ids = [tree.classes[label] for label in labels]
    if name in UNTRAINED or img_size != TRAINED_AT:
        return create(name, tree, ids, img_size)
    model: Any = load_model(runs / {**TRAINED, **RESNET}[name] / "run" / "last")
    if hasattr(model, "expert"):
        return model.expert(ids)
    old = model.get_classifier()
    model.reset_classifier(len(labels))
    with torch.no_grad():
        model.get_classifier().weight.copy_(old.weight[labels])
        model.get_classifier().bias.copy_(old.bias[labels])
    model.pretrained_cfg = {**model.pretrained_cfg, "label_names": ids, "num_classes": len(labels)}
    return model.eval()


def create(name: str, tree: hierarchy.Hierarchy, ids: list[str], img_size: int) -> Any:
    """A network of a task's classes with random weights."""
    torch.manual_seed(0)
    backbone = "resnet18" if name.startswith("resnet18") else "mobilenetv4_conv_small"
    if "expert" in name:
        whole: Any = timm.create_model(f"{backbone}_nhl", hierarchy=tree, preset=name.rpartition(" ")[2]).eval()
        whole.pretrained_cfg = {**whole.pretrained_cfg, "input_size": (3, img_size, img_size)}
        return whole.expert(ids)
    plain: Any = timm.create_model(backbone, num_classes=len(ids)).eval()
    plain.pretrained_cfg = {**plain.pretrained_cfg, "label_names": ids, "input_size": (3, img_size, img_size)}
    return plain


def export(options: argparse.Namespace) -> None:
    """Writes the bundles that are missing and measures their accuracy."""
    for name in options.names:
        small = name in RESNET and options.img_size == TRAINED_AT
        runs, data = (options.shapes, options.shapes / "icons") if small else (options.runs, options.data)
        tree = hierarchy.load(data / "hierarchy.json")
        judged = name not in UNTRAINED and options.img_size == TRAINED_AT
        for number, task in enumerate(draw_tasks("5 random", tree, seed=0)[: TASKS if judged else 1]):
            for precision in options.precisions:
                folder = options.out / f"{options.img_size}" / f"{name} {number} {precision}"
                if (number and precision == "fp16") or folder.with_suffix(".json").exists():
                    continue
                photos = open_images(str(data), hierarchy=tree, split="train", classes=task)
                some = np.random.default_rng(0).permutation(len(photos))[: CALIBRATION if judged else UNJUDGED]
                if not folder.exists():
                    folder.parent.mkdir(parents=True, exist_ok=True)
                    settings = BundleSettings(formats=RUNTIMES, precision=precision, img_size=options.img_size)
                    model = cut(name, runs, tree, task, options.img_size)
                    write_bundle(model, folder, settings, images=[photos[int(i)][0] for i in some])
                found = judge(folder, data, tree) if judged else {}
                folder.with_suffix(".json").write_text(json.dumps(found))
                print(folder.name, {key: float(np.mean(value)) for key, value in found.items()}, flush=True)


def judge(folder: Path, data: Path, tree: hierarchy.Hierarchy) -> dict[str, list[bool]]:
    """Whether each runtime of a bundle is right about each test image of its classes."""
    found = {}
    for runtime in RUNTIMES:
        bundle = open_bundle(folder, runtime=runtime, threads=1)
        ids = [label.id for label in bundle.labels]
        images = open_images(str(data), hierarchy=tree, split="test", classes=ids)
        outputs = [ids[int(bundle.predict(image)["logits"].argmax())] for image, _ in images]
        found[runtime] = [said == images.classes[label] for said, label in zip(outputs, images.labels, strict=True)]
    return found


def whole(options: argparse.Namespace) -> None:
    """Prints the top-1 of whole networks in int8 and how far it is from fp32: all classes, and among 5 random ones."""
    tree = hierarchy.load(options.data / "hierarchy.json")
    photos = open_images(str(options.data), hierarchy=tree, split="train")
    some = np.random.default_rng(0).permutation(len(photos))[:CALIBRATION]
    calibration = [photos[int(i)][0] for i in some]
    images = open_images(str(options.data), hierarchy=tree, split="test")
    labels = np.asarray(images.labels)
    tasks = [tree.classes, *draw_tasks("5 random", tree, seed=0)]
    print("| | runtime | top-1, int8 | less fp32 | top-1 among 5, int8 | less fp32 | otherwise than fp32 |")
    print("|---|---|---|---|---|---|---|")
    for name in options.names:
        if name not in TRAINED:
            continue
        found: dict[tuple[str, str], Any] = {}
        for precision in ("fp32", "int8"):
            folder = options.out / "whole" / f"{name} {precision}"
            if not folder.exists():
                folder.parent.mkdir(parents=True, exist_ok=True)
                settings = BundleSettings(formats=tuple(options.runtimes), precision=precision)
                model = cut(name, options.runs, tree, tree.classes, options.img_size)
                write_bundle(model, folder, settings, images=calibration)
            for runtime in options.runtimes:
                bundle = open_bundle(folder, runtime=runtime, threads=1)
                order = [[label.id for label in bundle.labels].index(id) for id in tree.classes]
                logits = np.stack([bundle.predict(image)["logits"][0, order] for image, _ in images])
                found[runtime, precision] = [mark(logits, labels, tree, some) for some in (tasks[:1], tasks[1:])]
        for runtime in options.runtimes:
            cells = []
            for own, wide in zip(found[runtime, "int8"], found[runtime, "fp32"], strict=True):
                less = estimate_difference(own, wide)
                cells.append(f"{100 * own.mean():.2f}")
                cells.append("{:+.2f} [{:+.2f}, {:+.2f}]".format(*(100 * x for x in (less.value, less.low, less.high))))
            changed = int((found[runtime, "int8"][0] != found[runtime, "fp32"][0]).sum())
            print(f"| {name} | {runtime} | {' | '.join(cells)} | {changed} of {len(labels)} |", flush=True)


def files(options: argparse.Namespace) -> None:
    """Prints for how many of 500 files a bundle says another class than `timm-nhl evaluate` would."""
    tree, generator = hierarchy.load(options.data / "hierarchy.json"), np.random.default_rng(0)
    photos = open_images(str(options.data), hierarchy=tree, split="test")
    model = cut("expert, edge", options.runs, tree, tree.classes, options.img_size)
    preparation = find_preparation(model)
    folder = options.out / "whole" / "expert, edge fp32"
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        write_bundle(model, folder, BundleSettings(formats=RUNTIMES), images=[photos[0][0]])
    bundles = {runtime: open_bundle(folder, runtime=runtime, threads=1) for runtime in RUNTIMES}
    other = dict.fromkeys(RUNTIMES, 0)
    for number in generator.permutation(len(photos))[:500]:
        width, height = (int(2 ** generator.uniform(4, 10)) for _ in range(2))
        image = photos[int(number)][0].resize((width, height), Image.Resampling.BICUBIC)
        decoded = decode_image(encode(image, FORMS[number % len(FORMS)]))
        with torch.inference_mode():
            wanted = tree.classes[int(model(preparation.transform(decoded)[None]).argmax())]
        for runtime, bundle in bundles.items():
            other[runtime] += bundle.labels[int(bundle.predict(decoded)["logits"].argmax())].id != wanted
    print(f"500 files, 16 to 1,024 pixels a side, {len(FORMS)} forms: another class in {other}")


def encode(image: Image.Image, form: str) -> bytes:
    """An image as a file of a form: a mode, where JPEG may be turned by its EXIF data."""
    file = io.BytesIO()
    if form == "I;16":
        Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(file, "PNG")
    elif form in ("CMYK", "turned"):
        exif = Image.Exif()
        exif[0x0112] = 6 if form == "turned" else 1
        image.convert("CMYK" if form == "CMYK" else "RGB").save(file, "JPEG", exif=exif)
    else:
        image.convert(form).save(file, "GIF" if form == "P" else "PNG")
    return file.getvalue()


def mark(logits: Any, labels: Any, tree: hierarchy.Hierarchy, tasks: list[Task]) -> Any:
    """Whether the largest logit among the classes of an image's task is that of its class."""
    found = [mark_correct(logits, labels, sorted(tree.labels(*task))) for task in tasks]
    return np.concatenate([each[~np.isnan(each)] for each in found]).astype(bool)


def time(options: argparse.Namespace) -> None:
    """Times the first task's bundles in turns, plain first."""
    place = options.out / f"{options.img_size}"
    entries = [
        Entry(f"{name}|{precision}", place / f"{name} 0 {precision}", runtime)
        for name in NAMES
        for precision in PRECISIONS
        for runtime in RUNTIMES
        if (place / f"{name} 0 {precision}").exists()
    ]
    rows = measure(entries, batches=(1,), rounds=options.rounds)
    found = {
        f"{row.entry.name}|{row.entry.runtime}": {"bytes": row.size, "memory": row.memory, **vars(row.timings[0])}
        for row in rows
    }
    (place / "times.json").write_text(json.dumps(found, indent=1))


def report(options: argparse.Namespace) -> None:
    """Prints the table: size, time over plain's in the same form, accuracy, and its difference to fp32."""
    place = options.out / f"{options.img_size}"
    times = json.loads((place / "times.json").read_text())
    heads = (*(f"{each}: MB | least ms | median ms" for each in ("ONNX", "OpenVINO")), "top-1, ONNX", "less fp32")
    print(f"| | | {' | '.join(heads)} | top-1, OpenVINO | less fp32 |")
    print("|---" * 12 + "|")
    for name in NAMES:
        for precision in PRECISIONS:
            cells = []
            for runtime in RUNTIMES:
                row = times.get(f"{name}|{precision}|{runtime}")
                base = times.get(f"{'resnet18' if name.startswith('resnet18') else 'plain'}|{precision}|{runtime}")
                if row is None or base is None:
                    break
                cells.append(f"{row['bytes'] / 1e6:.2f} ({row['bytes'] / base['bytes']:.0%})")
                for time in ("least", "median"):
                    cells.append(f"{row[time]:.2f} ({row[time] / base[time]:.0%})")
            else:
                for runtime in RUNTIMES:
                    cells += _describe_accuracy(place, name, precision, runtime)
                print(f"| {name} | {precision} | {' | '.join(cells)} |")


def _describe_accuracy(place: Path, name: str, precision: str, runtime: str) -> Iterator[str]:
    """Top-1 over all tasks measured, and the paired difference to fp32."""
    pairs = []
    for number in range(TASKS):
        files = [place / f"{name} {number} {each}.json" for each in (precision, "fp32")]
        if all(file.exists() for file in files):
            pairs.append([json.loads(file.read_text()).get(runtime) for file in files])
    if not pairs or pairs[0][0] is None:
        yield from ("", "")
        return
    own, wide = (np.concatenate([pair[place] for pair in pairs]) for place in (0, 1))
    share, less = estimate_share(int(own.sum()), len(own)), estimate_difference(own, wide)
    yield "{:.1f} [{:.1f}, {:.1f}]".format(*(100 * each for each in (share.value, share.low, share.high)))
    yield "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * each for each in (less.value, less.low, less.high)))


def reject(options: argparse.Namespace) -> None:
    """Prints AUROC, FPR95 and what is kept at 5 % false accepts; and what a threshold from validation does on test."""
    tree = hierarchy.load(options.data / "hierarchy.json")
    for kind in ("5 random", "5 related", "20 random"):
        parts = [tree.labels(*task) for task in draw_tasks(kind, tree, seed=0)]
        print(f"\n| {kind}, {len(parts)} experts | score | AUROC | FPR95 | kept at 5 % | test: others pass | kept |")
        print("|---|---|---|---|---|---|---|")
        for name, folder in TRAINED.items():
            found = np.load(options.runs / folder / "logits.npz")
            whole = np.arange(len(tree))
            test = Seen(name, whole, found["test"], None, None, found["test_labels"])
            for row in measure_rejection([test], parts):
                values = [
                    f"{each.value:.3f} ± {each.high - each.value:.3f}" for each in (row.area, row.fpr95, row.kept)
                ]
                print(
                    f"| {name} | {row.score} | {' | '.join(values)} | {' | '.join(transfer(found, parts, row.score))} |"
                )


def transfer(found: Any, parts: list[tuple[int, ...]], score: str) -> list[str]:
    """What a threshold for 5 % of the validation images of other classes lets pass of the test images."""
    passed, kept = [], []
    for part in parts if score in ("largest logit", "energy") else ():
        scores = {}
        for split in ("validation", "test"):
            values = compute_score(score, {"logits": found[split][:, list(part)]})
            inside = np.isin(found[f"{split}_labels"], part)
            scores[split] = values[inside], values[~inside]
        chosen = choose_threshold(*({score: each} for each in scores["validation"]), 0.05)
        own, others = scores["test"]
        passed.append((others > chosen.value).mean())
        kept.append((own > chosen.value).mean())
    means = [estimate_mean(each, 0, 1) for each in (passed, kept) if each]
    return [f"{each.value:.3f} ± {each.high - each.value:.3f}" for each in means] or ["", ""]


STEPS = {"reject": reject, "export": export, "whole": whole, "files": files, "time": time, "report": report}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=[*STEPS])
    parser.add_argument("--data", type=Path, default=Path("build") / "icons")
    parser.add_argument("--runs", type=Path, default=Path("build") / "experts")
    parser.add_argument("--shapes", type=Path, default=Path("build") / "shapes", help="trainings of resnet18")
    parser.add_argument("--out", type=Path, default=Path("build") / "device")
    parser.add_argument("--img-size", type=int, default=TRAINED_AT)
    parser.add_argument("--names", nargs="*", default=[*NAMES], help="what to export; everything by default")
    parser.add_argument("--runtimes", nargs="*", default=[*RUNTIMES], help="of whole networks")
    parser.add_argument("--precisions", nargs="*", default=[*PRECISIONS], help="of bundles")
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    STEPS[options.step](options)


if __name__ == "__main__":
    sys.exit(main())
