"""The GPU benchmark, run on the CPU at a small size."""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import gpu
import pytest
import torch

from timm_nhl.models.levels import ParentConv

SMALL = ["--backbones", "test_resnet", "--nodes", "2", "3", "6", "--batch", "2", "--size", "64", "--rounds", "1"]
ARGUMENTS = ["gpu.py", "--device", "cpu", "--no-compile", *SMALL]


def run(monkeypatch, capsys, *more):
    """Runs the script; returns whether it failed, and its lines."""
    monkeypatch.setattr(sys, "argv", [*ARGUMENTS, *more])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    return bool(ended.value.code), [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_checks_and_times_all_models_and_measures_their_memory(monkeypatch, capsys):
    failed, lines = run(monkeypatch, capsys)
    assert not failed
    checks = {line["check"] for line in lines if "check" in line}
    assert {"expert and NHL", "NHL and one module per branch", "fused and NHL"} <= checks
    timed = {line["mode"]: line for line in lines if "ms" in line}
    assert set(timed) == {"inference", "training"}
    names = {"plain", "trunk", "nhl", "expert", "module per branch"}
    for line in timed.values():
        assert set(line["ms"]) == set(line["time over MACs"]) == names
        assert line["time over MACs"]["plain"] == 1.0
    assert {line["memory_of"] for line in lines if "memory_of" in line} == names
    assert not [line for line in lines if "skipped" in line]


def test_numbers_that_disagree_set_the_exit_code(monkeypatch, capsys):
    fold = ParentConv.fold
    monkeypatch.setattr(ParentConv, "fold", lambda self, norm: fold(self, None))
    failed, lines = run(monkeypatch, capsys)
    assert failed
    assert {line["check"] for line in lines if line.get("holds") is False} == {"fused and NHL"}


def test_without_time_only_the_checks_run(monkeypatch, capsys):
    failed, lines = run(monkeypatch, capsys, "--seconds", "0")
    assert not failed
    assert not [line for line in lines if "ms" in line or "memory_of" in line]
    assert len([line for line in lines if "skipped" in line]) == 2 + 5


def test_compiled_models_are_timed_too(monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda model: model)  # takes minutes
    monkeypatch.setattr(sys, "argv", [argument for argument in ARGUMENTS if argument != "--no-compile"])
    with pytest.raises(SystemExit):
        gpu.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    timed = [line for line in lines if line.get("compiled")]
    assert [line["mode"] for line in timed] == ["inference", "training"]
    assert all(set(line["ms"]) == {"plain", "trunk", "nhl", "expert"} for line in timed)


class Placed(torch.nn.Linear):
    """A layer that only records its device."""

    place = "gpu"

    def to(self, device):
        self.place = str(device)
        return self


@pytest.mark.parametrize("name", ["small", "large"])
def test_memory_is_measured_with_one_model_on_the_gpu(name, monkeypatch):
    monkeypatch.setattr(gpu, "prepare_step", lambda model, x, train: lambda: None)
    earlier = Placed(1024, 1024, bias=False)  # another backbone, still on the GPU
    models = {"small": Placed(512, 512, bias=False), "large": Placed(512, 2048, bias=False)}

    def allocated():
        return sum(layer.weight.nbytes for layer in (earlier, *models.values()) if layer.place == "gpu")

    memory = SimpleNamespace(
        memory_allocated=allocated,
        max_memory_allocated=allocated,
        reset_peak_memory_stats=lambda: None,
        empty_cache=lambda: None,
    )
    assert (
        gpu.measure_peak_mib(models, name, SimpleNamespace(device="gpu"), memory) == {"small": 1.0, "large": 4.0}[name]
    )
    assert {layer.place for layer in models.values()} == {"cpu"}


def test_a_gpu_is_timed_by_the_wall_clock_after_synchronizing(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # with one thread, the CPU is timed by the process
    running = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: [time.sleep(running.pop()) for _ in tuple(running)])
    names = ("plain", "trunk", "nhl", "expert")
    macs = dict(zip(names, (2, 1, 3, 2), strict=True))
    monkeypatch.setattr(gpu, "prepare_step", lambda model, x, train: lambda: running.append(0.02))
    found = gpu.time_models(dict.fromkeys(names), macs, SimpleNamespace(is_cuda=True), train=False, rounds=1)
    assert all(20 <= ms < 2000 for ms in found["ms"].values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_runs_on_a_gpu(monkeypatch, capsys):
    failed, _ = run(monkeypatch, capsys, "--device", "cuda")
    assert not failed
