"""Fitting a router to a trained network: it learns, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
from support.small_models import create
from support.trees import scrambled, shape

from timm_nhl.errors import TrainingError
from timm_nhl.routers import fit_router

TREE = shape(2, 4, 6)


def colored(count=96):
    """Images of noise, each class of its own color, and their labels."""
    generator = torch.Generator().manual_seed(0)
    colors = 2 * torch.randn(len(TREE), 3, 1, 1, generator=generator)
    labels = torch.arange(count) % len(TREE)
    return colors[labels] + 0.3 * torch.randn(count, 3, 32, 32, generator=generator), labels


def batches(count=96):
    x, labels = colored(count)
    return list(zip(x.split(20), labels.split(20), strict=True))


@pytest.mark.parametrize("with_router", [False, True], ids=["first", "again"])
def test_a_fitted_router_knows_the_groups_and_nothing_else_changes(with_router):
    model = scrambled(create(hierarchy=TREE, router=with_router)).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit_router(model, batches(), epochs=60)
    assert not model.training
    for name, value in before.items():
        assert torch.equal(model.state_dict()[name], value) or name.startswith("router."), name
    x, labels = colored()
    groups = torch.tensor(TREE.ancestors(2))[labels]
    with torch.no_grad():
        found = model.router.probabilities(model.router(model.trunk(x))).argmax(1)
        assert (found == groups).float().mean() > 0.9
        assert (model.route(x, keep=1) > -torch.inf)[torch.arange(len(labels)), labels].float().mean() > 0.9


def test_a_fit_depends_on_its_seed_alone():
    weights = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(weights))
        model = scrambled(create(hierarchy=TREE))
        model.load_state_dict(STATE, strict=True)
        fit_router(model, batches(), epochs=2, seed=seed)
        weights.append(model.router.fc.weight)
    assert torch.equal(weights[0], weights[1])


STATE = scrambled(create(hierarchy=TREE)).state_dict()


def test_there_is_nothing_to_fit_without_images_or_classifier():
    with pytest.raises(TrainingError, match=r"^no images to fit a router to; check"):
        fit_router(create(hierarchy=TREE), [])
    with pytest.raises(TrainingError, match=r"^a model without a classifier has no groups to score; fit"):
        fit_router(create(hierarchy=TREE, num_classes=0), batches())
