"""The warning about experts that cost more than the plain network."""

from __future__ import annotations

import logging

import pytest
import timm
from support.small_models import TREE, create

from timm_nhl.costs import cost


def warned(caplog):
    return [record.getMessage() for record in caplog.records if record.name.startswith("timm_nhl")]


@pytest.mark.parametrize("side", [64, 160])
def test_an_expert_that_costs_more_than_the_plain_network_is_warned_of_once(side, caplog):
    model = create(widths=(256, 64, 32), expansion=4, pretrained_cfg_overlay={"input_size": (3, side, side)})
    with caplog.at_level(logging.WARNING):
        expert = model.expert(["super 00"])
        model.expert(["super 01"])
        expert.expert([TREE.classes[0]])
    (message,) = warned(caplog)
    macs = cost(expert).macs
    plain = cost("test_resnet", num_classes=0, input_size=(3, side, side)).macs
    assert macs > plain
    assert f"costs {macs / 1e9:.3g} GMACs, {macs / plain:.2f} times the plain test_resnet" in message


def test_an_expert_that_costs_less_is_not_warned_of_but_a_later_one_is(caplog):
    model = create("test_vit", widths=(64, 16, 8), split=-4)
    plain = cost("test_vit", num_classes=0).macs
    cheap, dear = [TREE.classes[0]], [""]
    assert cost(model, cheap).macs < plain < cost(model, dear).macs
    with caplog.at_level(logging.WARNING):
        model.expert(cheap)
        assert warned(caplog) == []
        model.expert(dear)
    assert len(warned(caplog)) == 1


def test_a_backbone_that_cannot_be_counted_is_cut_without_a_word(monkeypatch, caplog):
    def fail(*args, **options):
        raise RuntimeError("Tensor.item() cannot be called on meta tensors")  # as gemma4_vit does

    monkeypatch.setattr("timm_nhl.models.price.count_trunk", fail)
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, strides=(1, 1, 1))
    with caplog.at_level(logging.WARNING):
        model.expert([""])
    assert warned(caplog) == []
