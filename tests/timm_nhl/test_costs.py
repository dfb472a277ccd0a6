"""Law 7: the cost of a subset, predicted without building it, is that of the expert when built and measured."""

from __future__ import annotations

from itertools import product

import pytest
import timm
import torch
from hypothesis import example, given, settings
from support.trees import LOPSIDED, SINGLE, SOME, hierarchies_with_labels, shape
from torch.utils.flop_counter import FlopCounterMode

import timm_nhl
from timm_nhl.costs import CostCounter

OPTIONS = [
    {},
    {"depths": (2, 1, 2), "strides": (2, 1, 1)},
    {"strides": (2, 1, 2)},
    {"norm": "group", "expansion": 2},
    {"split": -3},
]


def measured(model):
    """Parameters and multiply-accumulates of one image, by running the model."""
    size = model.pretrained_cfg["input_size"]
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(torch.empty(1, *size, device=next(model.parameters()).device))
    return sum(parameter.numel() for parameter in model.parameters()), flops.get_total_flops() / 2


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        *product(["test_resnet"], OPTIONS),
        *((backbone, {}) for backbone in ("test_convnext", "test_efficientnet", "test_nfnet", "test_vit")),
        ("test_vit", {"split": -3}),
    ],
    ids=str,
)
@example((SINGLE, (0,)))
@example((LOPSIDED, SOME))
@settings(max_examples=3)  # of each backbone and option
@given(hierarchies_with_labels())
def test_the_cost_of_an_expert_is_known_before_it_is_built(backbone, options, case):
    tree, labels = case
    model = timm.create_model(f"{backbone}_nhl", hierarchy=tree, device="meta", **options).eval()
    ids = [tree.classes[label] for label in labels]
    for predicted, built in (
        (timm_nhl.cost(model), model),
        (timm_nhl.cost(model, ids), model.expert(ids)),
    ):
        assert (predicted.params, predicted.macs) == measured(built)


@pytest.mark.parametrize(
    "name", ["resnet50", "convnextv2_tiny", "vit_small_patch16_224", "swin_tiny_patch4_window7_224"]
)
def test_common_backbones_are_counted_exactly(name):
    tree = shape(3, 7, 20)
    model = timm.create_model(f"{name}_nhl", hierarchy=tree, device="meta").eval()
    predicted = timm_nhl.cost(f"{name}_nhl", hierarchy=tree)
    assert (predicted.params, predicted.macs) == measured(model)


def test_a_plain_backbone_is_counted_as_one_part():
    (part,) = timm_nhl.cost("resnet50", num_classes=100).parts
    assert part.params == 23_712_932
    assert part.macs == pytest.approx(4.09e9, rel=1e-3)


def test_activation_memory_is_that_of_convolutions_and_products():
    model = timm.create_model("test_resnet_nhl", hierarchy=shape(2, 3, 5), device="meta").eval()
    seen = []
    for module in model.levels.modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.Linear)):
            module.register_forward_hook(lambda module, args, output: seen.append(output.numel()))
    model(torch.empty(1, *model.pretrained_cfg["input_size"], device="meta"))
    assert sum(part.activation_bytes for part in timm_nhl.cost(model).parts[1:4]) == 4 * sum(seen)


def test_a_real_model_is_counted_without_being_changed():
    model = timm.create_model("test_resnet_nhl", num_classes=8).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    timm_nhl.cost(model, "class 3")
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_counter_answers_for_many_experts():
    counter = CostCounter("test_resnet_nhl", hierarchy=shape(3, 7, 20))
    costs = [counter.at(range(classes)).macs for classes in range(1, 21)]
    assert costs == sorted(costs)
    assert counter.at(range(20)) == counter.cost()
