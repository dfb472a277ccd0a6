"""Trainings in processes of their own, which can be killed at any of many places, and the data they train on.

The processes are forked by a server that has imported everything once; a fresh one would take seconds to start.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
from pathlib import Path

import numpy as np

from support.trees import shape
from timm_nhl.train.config import Settings

TREE = shape(2, 4, 6)
SMALL = ("widths=8,4,4 expansion=2",)
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(
    ["timm_nhl.train.loop", "datasets", "plotly.subplots", "torch.utils.tensorboard", "torch._dynamo", "torchvision"]
)
PLACES = (  # where a process may be killed, before or after
    ("timm_nhl.train.learner", "Learner.learn"),
    ("timm_nhl.train.learner", "Learner.update"),
    ("timm_nhl.train.learner", "Learner.evaluate"),
    ("timm_nhl.train.run_dir", "RunFolder._write_settings"),
    ("timm_nhl.train.run_dir", "RunFolder.write_metrics"),
    ("timm_nhl.train.run_dir", "RunFolder.write_model"),
    ("pathlib", "Path.replace"),
    ("torch", "save"),
)


def dataset(folder, *, images=26, side=32, tree=TREE, splits=("train", "test")):
    """Saves a data set of colored noise, each class of its own color, with its hierarchy."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
    from PIL import Image as Picture

    from hierarchy import save

    draw = np.random.default_rng(0)
    colors = draw.integers(0, 200, (len(tree), 3))
    features = Features({"image": Image(), "label": ClassLabel(names=list(tree.classes))})
    parts = {}
    for split in splits:
        labels = draw.permutation(np.arange(images) % len(tree))
        noise = draw.integers(0, 56, (images, side, side, 3)) + colors[labels][:, None, None]
        pictures = [Picture.fromarray(picture.astype(np.uint8)) for picture in noise]
        parts[split] = Dataset.from_dict({"image": pictures, "label": labels.tolist()}, features=features)
    DatasetDict(parts).save_to_disk(str(folder))
    save(tree, Path(folder) / "hierarchy.json")
    return str(folder)


def small(source, **values):
    """Settings of a short training with everything random in it."""
    defaults = {
        "model": "test_resnet_nhl",
        "model_kwargs": SMALL,
        "val_split": "test",
        "img_size": 32,
        "epochs": 2,
        "batch_size": 4,
        "lr": 0.01,
        "warmup_epochs": 0,
        "workers": 0,
        "device": "cpu",
    }
    return Settings.of(source, **{**defaults, **values})


def run(settings, out, *, processes=1, kill=None):
    """Trains in fresh processes; gives their exit codes.

    Args:
        kill: kill the first process at this call of any of `PLACES`.
    """
    meeting = port()
    started = [
        SERVER.Process(target=_work, args=(settings, out, rank, processes, meeting, kill if rank == 0 else None))
        for rank in range(processes)
    ]
    for process in started:
        process.start()
    started[0].join()
    for process in started[1:]:
        process.join(None if started[0].exitcode == 0 else 0)
        if process.exitcode is None:
            os.kill(process.pid, signal.SIGKILL)  # as torchrun ends the others
            process.join()
    return [process.exitcode for process in started]


def port():
    """A port of this machine where processes can meet."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _work(settings, out, rank, processes, meeting, kill):
    """One process of a training, as torchrun starts it."""
    import torch

    from timm_nhl.train.loop import train

    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(meeting)}
    if kill is not None:
        _kill_at(kill)
    train(settings, out=out)


def _kill_at(call):
    """Kills this process before or after the call of any of `PLACES` with this number, each in turn."""
    import importlib

    left = [call]

    def count():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def deadly(function):
        def counted(*args, **kwargs):
            count()
            result = function(*args, **kwargs)
            count()
            return result

        return counted

    for module, name in PLACES:
        owner = importlib.import_module(module)
        *outer, name = name.split(".")
        for each in outer:
            owner = getattr(owner, each)
        setattr(owner, name, deadly(getattr(owner, name)))
