"""`timm-nhl router` and `evaluate --routed`: the numbers are those of routing every image by hand."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from support.training_runs import TREE, dataset
from support.trees import scrambled

import timm_nhl
from timm_nhl.costs import CostCounter
from timm_nhl.data import eval_loader, open_images
from timm_nhl.errors import EvaluationError
from timm_nhl.eval import measure_routing, open_classifier


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset and a saved model without a router."""
    made = tmp_path_factory.mktemp("routing")
    dataset(made / "data", images=60)
    model = scrambled(timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2))
    model.pretrained_cfg |= {"input_size": (3, 32, 32), "test_input_size": None, "test_crop_pct": None}
    timm_nhl.save(model, made / "model")
    return made


@torch.no_grad()
def test_a_fitted_router_is_measured_as_by_hand(folder, command, tmp_path):
    command("router", "model", "data", "--out", tmp_path / "routed", "-j", 0)
    found = json.loads(
        command(
            *("evaluate", tmp_path / "routed", "data", "--split", "test", "--routed", "--json", "-j", 0, "-b", 7),
            *("--classes", "super 01", "--experts", 2, "--size", 2),
        )
    )["routed"]
    model = timm_nhl.load(tmp_path / "routed")
    images = open_images(str(folder / "data"), hierarchy=TREE, split="test")
    config = timm.data.resolve_data_config({}, model=model)
    (x, labels), *_ = eval_loader(images, config, batch_size=len(images))
    counter = CostCounter(model, input_size=(3, 32, 32))
    for choice, row in (({"keep": 1}, found["rows"][0]), ({"mass": 0.8}, found["rows"][5])):
        routed = torch.cat([model.route(image[None], **choice) for image in x])
        assert row["top1"]["value"] == pytest.approx((routed.argmax(1) == labels).float().mean().item())
        assert row["macs"] == pytest.approx(counter.routed(routed).double().mean().item())
        assert row["most_macs"] == counter.routed(routed).max().item()
    expert = model.expert("super 01")
    none = expert.forward_with_none(x)[1]
    inside = torch.isin(labels, torch.tensor(expert.labels))
    pairs = [(a < b).float() + 0.5 * (a == b) for a in none[inside] for b in none[~inside]]
    assert found["none_of_these"][0] == pytest.approx(torch.stack(pairs).mean().item(), abs=1e-3)
    assert len(found["none_of_these"]) == 3
    assert "mass 0.95" in command("evaluate", tmp_path / "routed", "data", "--routed", "-j", 0)


def test_a_model_without_a_router_has_none_to_measure(folder):
    images = open_images(str(folder / "data"), hierarchy=TREE, split="test")
    with pytest.raises(EvaluationError, match=r"model' has no router; fit one with timm-nhl router"):
        measure_routing(open_classifier(str(folder / "model")), images)
