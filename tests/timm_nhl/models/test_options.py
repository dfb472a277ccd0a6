"""Every option changes something, or is refused (law 9)."""

from __future__ import annotations

import pytest
import timm
import torch
from support.trees import scrambled, shape
from torch import nn

from hierarchy import Hierarchy
from timm_nhl import NHL
from timm_nhl.errors import OptionError

TREE = shape(2, 3, 5)
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def create(backbone="test_resnet", **options):
    torch.manual_seed(0)
    options = {"hierarchy": TREE, **SMALL, **options}
    return timm.create_model(f"{backbone}_nhl", **options)


def outcome(backbone="test_resnet", *, training=True, **options):
    """What a model gives for some images, in train mode and after a few steps in eval mode."""
    model = scrambled(create(backbone, **options)).train(training)
    torch.manual_seed(0)
    x = torch.randn(4, options.get("in_chans", 3), 96, 96)
    with torch.no_grad():
        return [model(x) for _ in range(2)] + [model.eval()(x)]


def same(one, other):
    return all(a.shape == b.shape and a.dtype == b.dtype and torch.equal(a, b) for a, b in zip(one, other, strict=True))


CHANGES = {  # option -> a value that must show in the outcome
    "hierarchy": shape(1, 3, 5),
    "in_chans": 4,
    "global_pool": "max",
    "preset": "edge",
    "split": -3,
    "widths": (8, 4, 8),
    "expansion": 1,
    "depths": (1, 2, 1),
    "strides": (1, 1, 1),
    "act": "silu",
    "norm": "group",
    "bn_momentum": 0.9,
    "bn_eps": 0.1,
    "drop_rate": 0.5,
    "drop": 0.5,
    "drop_path": 0.5,
    "drop_path_rate": 0.5,
    "dtype": torch.float64,
}


@pytest.fixture(scope="module")
def plain():
    return outcome()


@pytest.mark.parametrize("option", [name for name in CHANGES if name != "dtype"])
def test_an_option_changes_the_numbers(option, plain):
    assert not same(outcome(**{option: CHANGES[option]}), plain)


def test_the_table_above_has_every_option():
    import inspect

    others = {"backbone", "num_classes", "labels", "device", "backbone_args", "router"}  # each has a test of its own
    assert {*inspect.signature(NHL).parameters} == {*CHANGES} | others


@pytest.mark.parametrize("option", ["bn_momentum", "bn_eps"])
@pytest.mark.parametrize("backbone", ["test_resnet", "test_efficientnet", "test_vit"])
def test_options_of_batch_norms_reach_trunk_and_levels(backbone, option):
    model = create(backbone, **{option: 0.015625})
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert {getattr(norm, option.removeprefix("bn_")) for norm in norms} == {0.015625}
    assert any(name.startswith("levels.2") for name, module in model.named_modules() if module in norms)
    model.reset_classifier(7)
    assert getattr(model.levels[2].blocks[0].norm1, option.removeprefix("bn_")) == 0.015625


def test_options_of_batch_norms_are_refused_where_there_are_none():
    with pytest.raises(OptionError, match=r"^bn_momentum and bn_eps have no effect: this model has no batch norms;"):
        create("test_vit", norm="group", bn_eps=1e-3)
    with pytest.raises(OptionError, match=r"^bn_momentum=0 is out of range"):
        create(bn_momentum=0)


@pytest.mark.parametrize(
    ("option", "nearest"), [("spit", "'split'"), ("widhts", "'widths'"), ("num_clases", "'num_classes'")]
)
def test_an_unknown_option_is_named_with_its_nearest(option, nearest):
    with pytest.raises(
        TypeError, match=rf"^unknown option '{option}': .* test_resnet .*; nearest: {nearest}"
    ) as caught:
        create(**{option: -3})
    assert isinstance(caught.value, OptionError)


@pytest.mark.parametrize("option", ["widths", "depths", "strides"])
def test_a_wrong_number_of_levels_is_answered_with_an_example_of_that_option(option):
    example = {"widths": (128, 64, 32), "depths": (1, 1, 1), "strides": (1, 1, 2)}[option]
    with pytest.raises(OptionError) as caught:
        create(**{option: (8, 8)})
    assert (
        str(caught.value) == f"{option}=(8, 8) does not give one value for each of the 3 levels; use {option}={example}"
    )


def test_no_classes_and_no_hierarchy_give_the_features_of_a_single_branch():
    model = timm.create_model("resnet50_nhl", num_classes=0, device="meta")
    assert (model.num_features, model.num_classes) == (128, 0)
    assert sum(parameter.numel() for parameter in model.parameters()) < 15e6
    assert model(torch.empty(1, 3, 224, 224, device="meta")).shape == (1, 128)
    assert create(num_classes=0)(torch.zeros(2, 3, 64, 64)).shape == (2, 5 * 8)
    model.reset_classifier(8)
    assert model.hierarchy == Hierarchy.balanced(8)


def test_labels_are_those_of_the_model_it_was_cut_from():
    model = create(labels=[3, 5, 7, 8, 20])
    assert model.labels == (3, 5, 7, 8, 20)
    with pytest.raises(OptionError, match=r"^expected 5 labels, one for each class, got 2$"):
        create(labels=[3, 5])
