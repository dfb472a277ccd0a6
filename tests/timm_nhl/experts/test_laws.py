"""Laws 3 to 7 of the design, over random hierarchies, subsets and weights, and backbones of five families."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import example, given
from support.reference import Reference
from support.trees import (
    LOPSIDED,
    SINGLE,
    SOME,
    hierarchies,
    hierarchies_with_labels,
    hierarchies_with_orders,
    hierarchies_with_subsets,
    scrambled,
)

from hierarchy import Hierarchy

FAMILIES = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "test_nfnet"]
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def small(tree, backbone="test_resnet", **options):
    return scrambled(timm.create_model(f"{backbone}_nhl", hierarchy=tree, **{**SMALL, **options}))


def images(model, batch=2):
    size = min(64, model.default_cfg["input_size"][-1]) if not model.default_cfg.get("fixed_input_size") else None
    return torch.randn(batch, 3, *((size, size) if size else model.default_cfg["input_size"][1:]))


def close(actual, expected, tolerance=1e-5):
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("backbone", FAMILIES)
@example((SINGLE, (0,)))
@example((LOPSIDED, SOME))
@given(hierarchies_with_labels(most=3))
@torch.no_grad()
def test_an_experts_logits_are_the_models_at_its_labels(backbone, case):
    tree, labels = case
    model = small(tree, backbone)
    x = images(model)
    expert = model.expert([tree.classes[label] for label in labels])
    close(expert(x), model(x)[:, list(labels)])
    assert expert.labels == labels
    assert expert.hierarchy == tree.at(labels)


@pytest.mark.parametrize("backbone", FAMILIES)
@example((SINGLE, (0,), (0,)))
@example((LOPSIDED, SOME, SOME[1:]))
@given(hierarchies_with_subsets(most=3))
@torch.no_grad()
def test_an_expert_of_an_expert_is_the_expert(backbone, case):
    tree, labels, fewer = case
    model = small(tree, backbone)
    ids = [tree.classes[label] for label in fewer]
    once, twice = model.expert(ids), model.expert([tree.classes[label] for label in labels]).expert(ids)
    assert once.hierarchy == twice.hierarchy
    for (name, value), (_, other) in zip(once.state_dict().items(), twice.state_dict().items(), strict=True):
        assert torch.equal(value, other), name
    x = images(model)
    assert torch.equal(once(x), twice(x))


@pytest.mark.parametrize(
    ("backbone", "options"),
    [
        *((backbone, {}) for backbone in ("test_resnet", "test_vit")),  # levels know of a trunk only its channels
        ("test_resnet", {"depths": (2, 1, 3)}),
        ("test_resnet", {"strides": (2, 1, 1)}),
        ("test_resnet", {"expansion": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
@example(tree=SINGLE)
@example(tree=LOPSIDED)
@given(tree=hierarchies(most=3))
@torch.no_grad()
def test_levels_give_the_numbers_of_one_module_per_branch(backbone, options, training, tree):
    model = small(tree, backbone, **options)
    reference = Reference(model)
    x = images(model)
    features = model.trunk(x)
    model.trunk = reference.trunk = torch.nn.Identity()
    close(model.train(training)(features), reference.train(training)(features), 1e-4)


@pytest.mark.parametrize("tree", [LOPSIDED, Hierarchy.balanced(1), Hierarchy.balanced(27)], ids=["200", "1", "27"])
def test_gradients_are_those_of_one_module_per_branch(tree):
    model = small(tree)
    reference = Reference(model)
    x = images(model, batch=1)
    model(x).logsumexp(1).sum().backward()
    mine = [parent.weight.grad for parent in model.levels[1].blocks[0].shortcut.parents]
    reference(x).logsumexp(1).sum().backward()
    theirs = [stack[0].shortcut[0].weight.grad.flatten(1) for stack in reference.branches[1]]
    close(torch.cat(mine), torch.cat(theirs), 1e-4)


@pytest.mark.parametrize("backbone", FAMILIES)
@example((SINGLE, (0,)))
@example((LOPSIDED, tuple(reversed(range(len(LOPSIDED))))))
@given(hierarchies_with_orders(most=3))
@torch.no_grad()
def test_permuting_labels_permutes_columns_and_nothing_else(backbone, case):
    tree, order = case
    model, other = small(tree, backbone), small(tree.at(order), backbone)
    state = {name: value for name, value in model.state_dict().items() if name != "hierarchy_digest"}
    state |= {name: value[list(order)] for name, value in state.items() if name.startswith("head.")}
    other.load_state_dict(state, strict=False)
    x = images(model)
    close(other(x), model(x)[:, list(order)])
    assert torch.equal(other.forward_features(x), model.forward_features(x))


@pytest.mark.parametrize("pool", ["avg", "max", "avgmax", ""])
@example((SINGLE, (0,)))
@given(hierarchies_with_orders(most=3))
@torch.no_grad()
def test_the_classifier_gives_the_logits_whatever_the_order_of_labels(pool, case):
    tree, order = case
    model = small(tree.at(order), global_pool=pool)
    x = images(model)
    features = model.forward_features(x)
    assert torch.equal(model.get_classifier()(model.forward_head(features, pre_logits=True)), model(x))


@pytest.mark.parametrize("backbone", FAMILIES)
@torch.no_grad()
def test_folded_norms_change_nothing(backbone):
    model = small(Hierarchy.balanced(12), backbone, depths=(1, 2, 1))
    x = images(model)
    close(model.fuse()(x), model(x), 1e-4)
    expert = model.expert(["superclass 0", "class 11"])
    close(model.fuse().expert(["superclass 0", "class 11"])(x), expert(x), 1e-4)
