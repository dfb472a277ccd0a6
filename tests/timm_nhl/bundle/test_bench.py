"""`timm-nhl bench`: every graph and the plain backbone are timed in turns, and what is slower is found slower."""

from __future__ import annotations

import json
import resource
import sys
import time

import pytest

from timm_nhl.bundle import open_bundle
from timm_nhl.cli.main import main
from timm_nhl.latency.measure import make_input, time_in_turns

pytestmark = pytest.mark.xdist_group("bundle")


def test_times_are_of_each_run_in_turns_that_change_direction():
    turns = []

    def wait(name, seconds):
        def run():
            turns.append(name)
            time.sleep(seconds)

        return run

    fast, slow = time_in_turns([wait("a", 0.006), wait("b", 0.018)], batch=7, rounds=4)
    assert (fast.batch, fast.ratio) == (7, 1) and fast.low <= fast.median <= fast.high < slow.low
    assert 6 <= fast.least <= fast.median and 18 <= slow.least <= slow.median and slow.ratio > 1.5
    assert "".join(turns[-8:]) == "abbaabba"


@pytest.mark.parametrize("form", ["json", "table"])
def test_a_bundle_is_timed_next_to_its_plain_backbone(form, written, monkeypatch, capsys):
    openvino = pytest.importorskip("openvino")
    assert openvino
    monkeypatch.setenv("COLUMNS", "200")
    words = [
        "bench",
        str(written),
        "--batch",
        "2",
        "--rounds",
        "2",
        *(["--json"] if form == "json" else ["--no-plain"]),
    ]
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *words, *(["--runtime", "onnx"] if form == "json" else [])])
    with pytest.raises(SystemExit) as ended:
        main()
    out = capsys.readouterr().out
    assert not ended.value.code
    if form == "table":
        assert "openvino" in out and "onnx" in out and "batch 2" in out and "plain" not in out
        return
    own, plain = json.loads(out)["rows"]
    assert own["bytes"] == (written / "model.onnx").stat().st_size and plain["name"] == "plain test_resnet, 4 classes"
    for row in (own, plain):
        (timing,) = row["timings"]
        here = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        assert 3e7 < row["peak_memory_bytes"] < here / 2  # torch is in this process and not in that one
        assert timing["batch"] == 2 and timing["median"] > 0


def test_the_golden_image_is_what_runs(written):
    bundle = open_bundle(written)
    x = make_input(bundle, 3)
    golden = json.loads((written / "golden.json").read_text())["onnx"]["logits"]
    assert bundle.run(x)["logits"][2].tolist() == pytest.approx(golden, abs=1e-4)
