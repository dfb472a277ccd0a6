"""A validation script made of timm's parts, for an image folder, as somebody would write it who knows only timm.

timm's own validate.py is in neither its wheel nor its source distribution. The tests run it too if TIMM_VALIDATE names
it.
"""

import argparse
import json
from pathlib import Path

import timm
import torch
from timm.data import create_dataset, create_loader, resolve_data_config
from timm.utils import accuracy


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data-dir")
    parser.add_argument("--split")
    parser.add_argument("--model")
    parser.add_argument("--device")
    parser.add_argument("--img-size", type=int)
    parser.add_argument("--crop-pct", type=float)
    parser.add_argument("--amp", action="store_true")
    parser.add_argument("--channels-last", action="store_true")
    args = parser.parse_args()
    model = timm.create_model(args.model, pretrained=True).eval()
    config = resolve_data_config(vars(args), model=model, use_test_size=True)
    dataset = create_dataset("", root=args.data_dir, split=args.split)
    names = ("interpolation", "mean", "std", "crop_pct", "crop_mode")
    loader = create_loader(
        dataset,
        config["input_size"],
        32,
        num_workers=0,
        device=torch.device(args.device),
        **{name: config[name] for name in names},
    )
    memory = torch.channels_last if args.channels_last else torch.contiguous_format
    model = model.to(memory_format=memory)
    top, right, right5 = [], 0.0, 0.0
    with torch.no_grad(), torch.autocast(args.device, torch.bfloat16, enabled=args.amp):
        for images, targets in loader:
            logits = model(images.to(memory_format=memory))
            one, five = accuracy(logits, targets, topk=(1, 5))
            right += one.item() / 100 * len(targets)
            right5 += five.item() / 100 * len(targets)
            top += logits.topk(min(5, logits.shape[1])).indices.tolist()
    files = [Path(name).stem for name in dataset.filenames(basename=True)]
    print(json.dumps({"top1": right, "top5": right5, "images": dict(zip(files, top, strict=True))}))


if __name__ == "__main__":
    main()
