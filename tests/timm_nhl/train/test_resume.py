"""A training that is killed, again and again, ends with the weights it would have had: bit for bit."""

from __future__ import annotations

import csv
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from support.training_runs import SERVER, dataset, port, run, small

from timm_nhl.cli.train_flags import command_of
from timm_nhl.errors import TrainingError
from timm_nhl.train.loop import train

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
    "model_kwargs": ("widths=8,4,4 expansion=2 drop=0.1",),
    "grad_accum_steps": 2,
    "clip_grad": 1.0,
    "level_loss": (0.1, 0.2),
    "save_every": 2,
    "epochs": 2,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


def left_by(folder):
    """What a training left: its state, the bytes of its models, and its table without times."""
    state = torch.load(folder / "resume.pt", weights_only=True)
    models = {name: (folder / name / "model.safetensors").read_bytes() for name in ("last", "best")}
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    for row in (*rows, *state["progress"]["rows"]):
        del row["seconds"]
    return state, models, rows


def same(one, other):
    """Whether two values are equal, tensors within them bit for bit."""
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.mark.parametrize(("processes", "batch_size"), [(1, 4), (2, 2)])
def test_a_training_killed_at_random_places_ends_with_the_same_bits(data, tmp_path, processes, batch_size):
    settings = small(data, **RANDOM, batch_size=batch_size)
    assert run(settings, tmp_path / "calm", processes=processes) == [0] * processes
    draw = random.Random(processes)
    kills = [draw.randrange(8, 40) for _ in range(4)]
    codes = [run(settings, tmp_path / "killed", processes=processes, kill=kill)[0] for kill in kills]
    assert codes.count(-9) >= 3 and set(codes) <= {-9, 0}
    assert run(settings, tmp_path / "killed", processes=processes) == [0] * processes
    assert same(left_by(tmp_path / "killed"), left_by(tmp_path / "calm"))
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.mark.parametrize("kill", range(1, 8))
def test_a_training_killed_before_its_first_step_begins_again(data, tmp_path, kill):
    settings = small(data, epochs=1)
    assert run(settings, tmp_path / "run", kill=kill) == [-9]
    assert run(settings, tmp_path / "run") == [0]


def test_two_runs_do_not_write_to_one_folder(data, tmp_path):
    settings = small(data, epochs=60, save_every=1)
    first = SERVER.Process(target=train, args=(settings,), kwargs={"out": tmp_path / "run"})
    first.start()
    while not (tmp_path / "run" / "resume.pt").exists():
        assert first.is_alive()
        time.sleep(0.01)
    with pytest.raises(TrainingError, match=r"run' is being trained by another process; wait for it, or end it first$"):
        train(settings, out=tmp_path / "run")
    first.kill()
    first.join()


@pytest.mark.slow
def test_torchrun_goes_on_after_its_group_is_killed(data, tmp_path):
    settings = small(data, **RANDOM, batch_size=2)
    assert run(settings, tmp_path / "calm", processes=2) == [0, 0]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--master-port", str(port())]
    words = shlex.split(command_of(settings, tmp_path / "killed"))
    command = [*torchrun, "-m", "timm_nhl.train.loop", *words[2:]]
    started = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    while not (tmp_path / "killed" / "resume.pt").exists():
        assert started.poll() is None
        time.sleep(0.01)
    workers = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()
    for worker in workers:  # torchrun gives them sessions of their own, so they outlive its group
        os.killpg(int(worker), signal.SIGKILL)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    assert len(workers) == 2
    assert torch.load(tmp_path / "killed" / "resume.pt", weights_only=True)["progress"]["step"] < 6
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [str(tmp_path / "killed")]  # one process talks
    assert "going on behind step" in done.stderr
    assert same(left_by(tmp_path / "killed"), left_by(tmp_path / "calm"))
