"""The one call that measures everything on a GPU, tried out on the CPU at a small size."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
import gpu

from timm_nhl.per_parent import PerParent

SMALL = ["--backbones", "test_resnet", "--nodes", "2", "3", "6", "--batch", "2", "--size", "64", "--rounds", "1"]
ARGUMENTS = ["gpu.py", "--device", "cpu", "--no-compile", *SMALL]


def ran(monkeypatch, capsys, *more):
    """Exit code and lines of the script."""
    monkeypatch.setattr(sys, "argv", [*ARGUMENTS, *more])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    return bool(ended.value.code), [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_it_checks_times_and_weighs_everything(monkeypatch, capsys):
    failed, lines = ran(monkeypatch, capsys)
    assert not failed
    checks = {line["check"] for line in lines if "check" in line}
    assert {"expert and NHL", "NHL and one module per branch", "batch and loop, level 3"} <= checks
    timed = {line["mode"]: line for line in lines if "ms" in line and "form" not in line}
    assert set(timed) == {"inference", "training"}
    everyone = {"plain", "trunk", "nhl", "expert", "module per branch"}
    for line in timed.values():
        assert set(line["ms"]) == set(line["time over MACs"]) == everyone
        assert line["time over MACs"]["plain"] == 1.0
    assert {line["memory_of"] for line in lines if "memory_of" in line} == everyone
    assert not [line for line in lines if "skipped" in line]


def test_numbers_that_disagree_end_in_an_error(monkeypatch, capsys):
    batch = PerParent._batch
    monkeypatch.setattr(PerParent, "_batch", lambda self, rows: batch(self, rows) + 1)
    failed, lines = ran(monkeypatch, capsys)
    assert failed
    assert {line["check"] for line in lines if line.get("holds") is False} >= {"batch and loop, level 1"}


def test_without_time_all_is_skipped_but_the_checks(monkeypatch, capsys):
    failed, lines = ran(monkeypatch, capsys, "--seconds", "0")
    assert not failed
    assert not [line for line in lines if "ms" in line or "memory_of" in line]
    assert len([line for line in lines if "skipped" in line]) == 2 * (1 + len(gpu.forms_of("cpu"))) + 5


def test_compiled_models_are_timed_too(monkeypatch, capsys):
    monkeypatch.setattr(torch, "compile", lambda model: model)  # takes minutes; test_contract compiles one
    monkeypatch.setattr(sys, "argv", [argument for argument in ARGUMENTS if argument != "--no-compile"])
    with pytest.raises(SystemExit):
        gpu.main()
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    timed = [line for line in lines if line.get("compiled")]
    assert [line["mode"] for line in timed] == ["inference", "training"]
    assert all(set(line["ms"]) == {"plain", "trunk", "nhl", "expert"} for line in timed)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_it_runs_on_a_gpu(monkeypatch, capsys):
    failed, _ = ran(monkeypatch, capsys, "--device", "cuda")
    assert not failed
