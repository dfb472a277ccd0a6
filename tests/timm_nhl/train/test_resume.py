"""A training that is killed and resumes ends with the weights it would have had: bit for bit."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields, replace

import pytest
import torch
from support.training_runs import SERVER, dataset, free_port, run, small

from hierarchy.errors import Locked
from timm_nhl.train import Settings, train

RANDOM = {  # everything that draws random numbers, and everything that has a state
    "opt": "adamw",
    "lr": 0.002,
    "mixup": 0.2,
    "cutmix": 0.5,
    "reprob": 0.5,
    "aa": "rand-m5-mstd0.5",
    "drop": 0.2,
    "drop_path": 0.2,
    "model_ema": True,
    "model_ema_decay": 0.9,
    "model_ema_warmup": True,
    "model_kwargs": ["widths=8,4,4 expansion=2 drop=0.1"],
    "grad_accum_steps": 2,
    "clip_grad": 1.0,
    "epochs": 2,
}
LOOP, RUN_DIR = "timm_nhl.train.loop", "timm_nhl.train.run_dir"
KILLS = (  # at which call of which function
    (LOOP, "RunDir.lock", 1),  # before anything is written
    ("timm_nhl.train.trainer", "Trainer.optimizer_step", 2),  # in the first epoch
    ("timm_nhl.export.folder", "publish", 2),  # between the files of a model
    (RUN_DIR, "save_checkpoint", 1),  # all but the checkpoint of the first epoch
    ("timm_nhl.train.trainer", "Trainer.optimizer_step", 5),  # in the second epoch
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


def left_by(folder):
    """What a training left: its checkpoint without times, and the bytes of its models."""
    state = torch.load(folder / "resume.pt", weights_only=True)
    for row in state["rows"]:
        del row["seconds"]
    return state, {name: (folder / name / "model.safetensors").read_bytes() for name in ("last", "best")}


def same(one, other):
    """Whether two values are equal, tensors within them bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(("processes", "kills"), [(1, KILLS), (2, KILLS[-1:])])
def test_a_killed_training_ends_with_the_same_bits(data, tmp_path, processes, kills):
    settings = small(data, tmp_path / "calm", **RANDOM, batch_size=4 // processes)
    assert run(settings, processes=processes) == [0] * processes
    killed = replace(settings, out=str(tmp_path / "killed"))
    for kill in kills:
        assert run(killed, processes=processes, kill=kill)[0] == -signal.SIGKILL, kill
    assert run(killed, processes=processes) == [0] * processes
    assert same(left_by(tmp_path / "killed"), left_by(tmp_path / "calm"))
    assert not list((tmp_path / "killed").glob(".*"))


def test_two_runs_do_not_write_to_one_folder(data, tmp_path):
    settings = small(data, tmp_path / "run", epochs=99)
    first = SERVER.Process(target=train, args=(settings,))
    first.start()
    while not (tmp_path / "run" / "resume.pt").exists():
        assert first.is_alive()
        time.sleep(0.01)
    with pytest.raises(Locked, match=r"run' is being trained by another process; wait for it, or end it first$"):
        train(settings)
    first.kill()
    first.join()


def test_training_needs_no_posix_locks(data, tmp_path):
    settings = small(data, tmp_path / "run", epochs=1)
    assert run(settings, without="fcntl", kill=(RUN_DIR, "save_checkpoint", 1)) == [-signal.SIGKILL]
    assert run(settings, without="fcntl") == [0]
    assert (tmp_path / "run" / "last" / "model.safetensors").exists()


@pytest.mark.slow
def test_torchrun_trains_and_one_process_speaks(data, tmp_path):
    settings = small(data, tmp_path / "run", epochs=1, scale=(0.1, 0.2), amp=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port"]
    command = [*torchrun, str(free_port()), "-m", "timm_nhl", "train", *as_flags(settings)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(tmp_path / "run")]
    assert done.stderr.count("eval_top1") == 1
    saved = json.loads((tmp_path / "run" / "settings.json").read_text())
    given = json.loads(json.dumps(asdict(settings)))
    assert all(saved["settings"][name] == value for name, value in given.items() if value is not None)
    assert saved["facts"]["processes"] == 2


def as_flags(settings):
    """The flags of settings, and of nothing else."""
    words = [settings.source]
    for field in fields(Settings)[1:]:
        value = getattr(settings, field.name)
        flag = "--" + field.name.replace("_", "-")
        if value == field.default:
            continue
        if isinstance(value, bool):
            words.append(flag)
        elif isinstance(value, list):
            words += [word for each in value for word in (flag, each)]
        else:
            words += [flag, *(map(str, value) if isinstance(value, tuple) else [str(value)])]
    return words
