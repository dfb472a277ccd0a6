"""Short trainings in processes of their own, which can be killed, and the data they train on.

The processes are forked by a server that has imported everything once; a fresh one would take seconds to start.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import sys
from pathlib import Path

import numpy as np

from support.trees import shape
from timm_nhl.train import Settings

TREE = shape(2, 4, 6)
SMALL = ["widths=8,4,4 expansion=2"]
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["timm_nhl.train.loop", "datasets", "torch.utils.tensorboard", "torch._dynamo"])


def dataset(folder, *, images=26, side=32, tree=TREE, splits=("train", "test")):
    """Saves a dataset of colored noise, each class of its own color, with its hierarchy."""
    from datasets import ClassLabel, Dataset, DatasetDict, Features, Image
    from PIL import Image as Pillow

    from hierarchy import save

    draw = np.random.default_rng(0)
    colors = draw.integers(0, 200, (len(tree), 3))
    features = Features({"image": Image(), "label": ClassLabel(names=list(tree.classes))})
    parts = {}
    for split in splits:
        labels = draw.permutation(np.arange(images) % len(tree))
        noise = draw.integers(0, 56, (images, side, side, 3)) + colors[labels][:, None, None]
        decoded = [Pillow.fromarray(image.astype(np.uint8)) for image in noise]
        parts[split] = Dataset.from_dict({"image": decoded, "label": labels.tolist()}, features=features)
    DatasetDict(parts).save_to_disk(str(folder))
    save(tree, Path(folder) / "hierarchy.json")
    return str(folder)


def small(source, out="", **values):
    """Settings of a short training."""
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
    return Settings(str(source), str(out), **{**defaults, **values})


def run(settings, *, processes=1, kill=None, without=None):
    """Trains in fresh processes; returns their exit codes.

    Args:
        kill: (module, attribute, call): the first process kills itself at this call of a function, counted from 1.
        without: a module of the standard library that this machine shall lack.
    """
    port = free_port()
    started = [
        SERVER.Process(target=_work, args=(settings, rank, processes, port, kill if rank == 0 else None, without))
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


def free_port():
    """A free port of this machine."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _work(settings, rank, processes, port, kill, without):
    """One process of a training, as torchrun starts it."""
    import torch

    if without is not None:
        for name in [name for name in sys.modules if name.partition(".")[0] == "filelock"]:
            del sys.modules[name]  # the one that has looked for it before
        sys.modules[without] = None
    from timm_nhl.train import train

    torch.set_num_threads(1)
    if processes > 1:
        os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(processes)}
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    if kill is not None:
        _kill_at(*kill)
    train(settings)


def _kill_at(module, attribute, call):
    import importlib

    owner = importlib.import_module(module)
    *outer, name = attribute.split(".")
    for each in outer:
        owner = getattr(owner, each)
    function, left = getattr(owner, name), [call]

    def deadly(*args, **kwargs):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*args, **kwargs)

    setattr(owner, name, deadly)
