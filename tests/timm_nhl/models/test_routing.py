"""The router: routed logits are the full ones, experts keep all that is scored, weights survive saving."""

from __future__ import annotations

import pytest
import timm
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from support.small_models import SMALL, TREE, create, images
from support.trees import LOPSIDED, SINGLE, hierarchies, hierarchies_with_subsets, scrambled, shape
from torch.utils.flop_counter import FlopCounterMode

import timm_nhl
from hierarchy import Hierarchy
from timm_nhl.costs import CostCounter
from timm_nhl.errors import OptionError


def small(tree=TREE, **options):
    """A model with random weights; its router sends different images of noise to different groups."""
    model = scrambled(timm.create_model("test_resnet_nhl", hierarchy=tree, **{"router": True, **SMALL, **options}))
    if model.router is not None:
        with torch.no_grad():
            pooled = model.router.pool(model.trunk(noise(32)))  # (B, 5*C)
            model.router.norm.running_mean.copy_(pooled.mean(0))
            model.router.norm.running_var.copy_(pooled.var(0) + 1e-3)
            model.router.fc.weight *= 2 * pooled.shape[1] ** -0.5
    return model


def noise(batch):
    return 3 * torch.randn(batch, 3, 32, 32)


def close(actual, expected):
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-5)


def ran(logits):
    return logits > -torch.inf


def obvious_choice(probabilities, keep=None, mass=None):
    """The groups that run for one image: the most likely one by one, until enough run."""
    if mass is None:
        mass = 0.9 if keep is None else 1.0
    best = sorted(range(len(probabilities)), key=lambda group: -probabilities[group])
    kept = best[:1]
    for group in best[1 : keep or len(best)]:
        if mass < 1 and sum(probabilities[other] for other in kept) >= mass * sum(probabilities):
            break
        kept.append(group)
    return kept


def choices():
    """Arguments of `route`: how many groups, what share of the probability, both or neither."""
    return st.fixed_dictionaries({}, optional={"keep": st.integers(1, 4), "mass": st.floats(0.05, 0.95)})


@example(tree=SINGLE, batch=1, choice={"keep": 1})
@example(tree=LOPSIDED, batch=3, choice={"keep": 1})
@example(tree=TREE, batch=4, choice={"mass": 1.0})
@given(tree=hierarchies(most=3), batch=st.integers(1, 6), choice=choices())
@torch.no_grad()
def test_routed_logits_are_those_of_the_whole_network_or_minus_infinity(tree, batch, choice):
    model = small(tree)
    x = noise(batch)
    routed, full = model.route(x, **choice), model(x)
    probabilities = model.router.probabilities(model.router(model.trunk(x)))  # (B, N)
    for image, row in enumerate(routed):
        groups = obvious_choice(probabilities[image].tolist(), **choice)
        wanted = torch.tensor([group in groups for group in tree.ancestors(2)])
        assert torch.equal(ran(row), wanted)
        close(row[wanted], full[image][wanted])


@given(case=hierarchies_with_subsets(most=3), choice=choices())
@torch.no_grad()
def test_an_expert_routes_among_its_own_groups(case, choice):
    tree, labels, _ = case
    expert = small(tree).expert([tree.classes[label] for label in labels])
    x = noise(3)
    routed, full = expert.route(x, **choice), expert(x)
    assert ran(routed).any(1).all()
    close(routed[ran(routed)], full[ran(routed)])


@torch.no_grad()
def test_an_image_is_routed_alike_alone_and_in_any_batch():
    model = small()
    x = noise(8)
    together = model.route(x, keep=1)
    assert len(ran(together).unique(dim=0)) > 1, "all images went the same way: this tests nothing"
    close(together, torch.cat([model.route(image[None], keep=1) for image in x]))


@given(case=hierarchies_with_subsets(most=3))
@torch.no_grad()
def test_an_expert_knows_the_probability_of_all_groups_that_it_lacks(case):
    tree, labels, fewer = case
    model = small(tree)
    x = noise(2)
    scores = model.forward_scores(x)[1].softmax(1)  # (B, G)
    for own in (labels, fewer):
        expert = model.expert([tree.classes[label] for label in own])
        logits, none = expert.forward_with_none(x)
        close(logits, model(x)[:, list(own)])
        mine = {tree.ancestors(2)[label] for label in own}
        close(none, sum((scores[:, group] for group in range(scores.shape[1]) if group not in mine), torch.zeros(2)))
    again = model.expert([tree.classes[label] for label in labels]).expert([tree.classes[label] for label in fewer])
    assert torch.equal(again.forward_with_none(x)[1], none)
    assert (model.forward_with_none(x)[1] == 0).all()


@pytest.mark.parametrize("batch", [1, 5])
@torch.no_grad()
def test_the_cost_of_routing_is_what_was_computed(batch):
    model = small(shape(4, 9, 30))
    x = 3 * torch.randn(batch, 3, 64, 64)
    with FlopCounterMode(display=False) as flops:
        routed = model.route(x, keep=2)
    counter = CostCounter(model, input_size=(3, 64, 64))
    assert counter.routed(routed).sum().item() == flops.get_total_flops() // 2
    assert counter.routed(model(x)).tolist() == [counter.cost().macs] * batch


@torch.no_grad()
def test_the_cost_has_the_router_and_an_expert_keeps_all_of_it():
    model = small()
    expert = model.expert("super 01")
    for each in (model, expert):
        total = timm_nhl.cost(each)
        assert total.params == sum(parameter.numel() for parameter in each.parameters())
        with FlopCounterMode(display=False) as flops:
            each.forward_scores(images(each, batch=1))
        assert total.macs == flops.get_total_flops() // 2
    assert timm_nhl.cost(model, "super 01") == timm_nhl.cost(expert)
    assert [part.name for part in total.parts][:2] == ["trunk", "router"]


@pytest.mark.parametrize("wanted", ["", "super 01", "n0003"])
@torch.no_grad()
def test_a_saved_model_has_its_router(tmp_path, wanted):
    model = small().expert(wanted)
    timm_nhl.save(model, tmp_path / "saved")
    loaded = timm_nhl.load(tmp_path / "saved")
    x = images(model)
    for mine, theirs in zip(model.forward_with_none(x), loaded.forward_with_none(x), strict=True):
        assert torch.equal(mine, theirs)
    assert loaded.router.scored == TREE.nodes(2)


@torch.no_grad()
def test_timm_loads_an_expert_out_of_a_saved_network(tmp_path):
    model = small()
    timm_nhl.save(model, tmp_path / "saved")
    part = TREE.subset("super 01", "n0003")
    loaded = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True, hierarchy=part).eval()
    x = images(model)
    for mine, theirs in zip(model.expert(part.classes).forward_with_none(x), loaded.forward_with_none(x), strict=True):
        assert torch.equal(mine, theirs)


@pytest.mark.parametrize("saved", [True, False], ids=["with", "without"])
@torch.no_grad()
def test_timm_loads_weights_with_or_without_a_router_into_either(tmp_path, saved):
    model = small(router=saved)
    timm_nhl.save(model, tmp_path / "saved")
    other = timm.create_model(f"local-dir:{tmp_path / 'saved'}", pretrained=True, router=not saved).eval()
    x = images(model)
    assert torch.equal(other(x), model(x))
    assert (other.router is None) == saved


def test_every_parameter_gets_a_gradient_from_logits_and_scores():
    model = create(router=True).train()
    logits, scores = model.forward_scores(images(model))
    (logits.logsumexp(1).sum() + scores[:, 0].sum()).backward()
    assert not [name for name, parameter in model.named_parameters() if parameter.grad is None]


def test_the_classifier_stays_last_for_timm():
    names = [name for name, _ in create(router=True).named_parameters()]
    assert names[-2:] == ["head.fc.weight", "head.fc.bias"]


def test_a_router_goes_and_comes_with_the_classifier():
    model = small()
    model.reset_classifier(0)
    assert model.router is None
    model.reset_classifier(20)
    assert model.router.scored == TREE.nodes(2) and not model.router.fc.weight.any()
    model.reset_classifier(8)
    assert model.router.scored == Hierarchy.balanced(8).nodes(2)
    assert create(router=True, num_classes=0).router is None
    expert = small().expert("super 01")
    expert.reset_classifier(len(expert.hierarchy))
    assert expert.router.scored == TREE.nodes(2)
    assert create(router=True, device="meta").router.fc.weight.is_meta


def test_the_trunk_learns_nothing_from_the_router():
    model = create(router=True).train()
    model.router.fc.weight.data.normal_()
    model.forward_scores(images(model))[1].logsumexp(1).sum().backward()
    assert {name.partition(".")[0] for name, value in model.named_parameters() if value.grad is not None} == {"router"}


@torch.no_grad()
def test_a_shared_experts_router_is_its_models():
    model = small()
    shared, own = model.expert("super 01", share=True), model.expert("super 01")
    assert shared.router.fc.weight.data_ptr() == model.router.fc.weight.data_ptr()
    assert own.router.fc.weight.data_ptr() != model.router.fc.weight.data_ptr()


@torch.no_grad()
def test_an_answer_is_the_most_specific_node_that_is_likely_enough():
    model = small()
    x = noise(6)
    expert = model.expert("super 01")
    logits, none = expert.forward_with_none(x)
    p = logits.softmax(1) * (1 - none[:, None])  # (B, K)
    tree = expert.hierarchy
    seen = set()
    for threshold in (0.05, 0.3, 0.6, 0.95):
        for image, answer in enumerate(expert.answer(x, threshold)):
            likely = [
                (level, path)
                for level in (1, 2, 3)
                for node, path in enumerate(tree.nodes(level))
                if sum(p[image, c] for c in range(len(tree)) if tree.ancestors(level)[c] == node) >= threshold
            ]
            if threshold > 0.5:  # at most one node a level
                assert answer == (likely[-1][1] if likely else "")
            else:
                assert (max(likely)[0] if likely else 0) == (answer.count("/") + 1 if answer else 0)
            seen.add(answer.count("/") + 1 if answer else 0)
    assert len(seen) > 2
    assert all(tree.labels(answer) for answer in expert.answer(x, 0.2, keep=1) if answer)
    with pytest.raises(OptionError, match=r"^threshold=0 is not a probability"):
        expert.answer(x, 0)


@pytest.mark.parametrize("method", ["route", "forward_with_none", "answer"])
def test_without_a_trained_router_there_is_no_routing(method):
    x = torch.zeros(1, 3, 32, 32)
    with pytest.raises(OptionError, match=r"^this model has no router; fit"):
        getattr(small(router=False), method)(x)
    with pytest.raises(OptionError, match=r"^the router was never trained"):
        getattr(create(router=True).eval(), method)(x)
    with pytest.raises(OptionError, match=r"^a router is used in eval mode"):
        getattr(small().train(), method)(x)


def test_what_to_run_is_checked():
    for keep in (0, -1, 1.0, True, "2"):
        with pytest.raises(OptionError, match=rf"^keep={keep!r} is not a whole number >= 1; use "):
            small().route(noise(1), keep=keep)
    for mass in (0, -0.5, 1.5, True, "0.9"):
        with pytest.raises(OptionError, match=rf"^mass={mass!r} is not a share of probability above 0 and up to 1"):
            small().route(noise(1), mass=mass)


def test_a_router_scores_all_groups_of_its_model():
    with pytest.raises(OptionError, match=r"^the router does not score 'super 00/group 003', a group of the hierarchy"):
        create(router=TREE.nodes(2)[:1])
    with pytest.raises(OptionError, match=r"^the router lists the group 'super 00/group 000' twice"):
        create(router=(*TREE.nodes(2), TREE.nodes(2)[0]))
    with pytest.raises(OptionError, match=r"^router='yes' is neither True nor False"):
        create(router="yes")
