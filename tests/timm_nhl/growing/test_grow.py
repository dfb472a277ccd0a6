"""Growing: only fresh branches change, no bit of the others does, and what comes out is an NHL like any other."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given
from support.growing import assert_kept, small
from support.trees import LOPSIDED, SOME, growing_hierarchies, hierarchies_with_labels, scrambled
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3

import timm_nhl
from hierarchy import Hierarchy
from timm_nhl.export import export_program, load, save

TREE = Hierarchy.from_rows(
    [
        ("n0", "rose", "plants", "flowers"),
        ("n1", "tabby", "animals", "cats"),
        ("n2", "carp", "animals", "fish"),
        ("n3", "tulip", "plants", "flowers"),
        ("n4", "anchovy", "animals", "fish"),
    ]
)
ADDITIONS = {  # what is new -> its rows
    "a class in a group": [("m0", "bream", "animals", "fish")],
    "classes before, between and behind others": [
        ("m0", "aster", "plants", "flowers"),
        ("m1", "bass", "animals", "fish"),
        ("m2", "zander", "animals", "fish"),
    ],
    "a group in a superclass": [("m0", "wren", "animals", "birds"), ("m1", "auk", "animals", "birds")],
    "a superclass": [
        ("m0", "bolete", "fungi", "pored"),
        ("m1", "morel", "fungi", "sac"),
        ("m2", "cep", "fungi", "pored"),
    ],
    "all of these": [
        ("m0", "bream", "animals", "fish"),
        ("m1", "wren", "animals", "birds"),
        ("m2", "bolete", "fungi", "pored"),
        ("m3", "yew", "plants", "trees"),
    ],
}
KINDS = {
    "published": {},
    "later blocks, group norm": {"norm": "group", "depths": (1, 2, 1)},
}


def larger(tree, rows):
    """A tree with more classes, the labels of all in another order."""
    every = [*rows, *tree.rows]
    return Hierarchy.from_rows(every[1:] + every[:1])


def trained(growth, steps=2, **options):
    """The growth after real steps with weight decay, and an average of its weights over time."""
    optimizer = create_optimizer_v2(growth, opt="adamw", lr=0.05, weight_decay=0.5, **options)
    average = ModelEmaV3(growth, decay=0.4)
    growth.train()
    for _ in range(steps):
        x, target = torch.randn(4, 3, 32, 32), torch.randint(growth.num_classes, (4,))
        optimizer.zero_grad()
        F.cross_entropy(growth(x), target).backward()
        optimizer.step()
        average.update(growth)
    return growth.eval(), average.module.eval()


def assert_same_logits(one, other, tolerance=1e-5):
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(one.eval()(x), other.eval()(x), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", KINDS)
@example((LOPSIDED.at(SOME), LOPSIDED))
@given(growing_hierarchies())
def test_training_changes_fresh_branches_and_no_bit_of_the_others(kind, case):
    old, tree = case
    model = small(old, **KINDS[kind], drop_path=0.2, drop=0.1)
    before = copy.deepcopy(model)
    for growth in trained(timm_nhl.grow(model, tree)):
        grown = growth.grown()
        assert grown.hierarchy == tree
        assert_kept(grown, before)
        assert_same_logits(growth, grown)
    assert all(torch.equal(one, other) for one, other in zip(model.parameters(), before.parameters(), strict=True))


@pytest.mark.parametrize("rows", ADDITIONS.values(), ids=ADDITIONS)
def test_every_kind_of_addition_trains_and_merges(rows):
    model = small(TREE)
    growth = timm_nhl.grow(model, larger(TREE, rows))
    fresh = {name: value.clone() for name, value in growth.named_parameters() if value.requires_grad}
    growth, _ = trained(growth)
    assert all(not torch.equal(growth.get_parameter(name), value) for name, value in fresh.items())
    assert_kept(growth.grown(), model)
    assert_same_logits(growth, growth.grown())


def test_a_fresh_branch_is_one_row_for_every_new_node():
    growth = timm_nhl.grow(small(TREE), larger(TREE, ADDITIONS["all of these"]))
    assert [level.nodes for level in growth.levels.values()] == [1, 3, 4]  # fungi; birds, pored, trees; the classes
    growth = timm_nhl.grow(small(TREE), larger(TREE, ADDITIONS["a class in a group"]))
    assert {depth: level.nodes for depth, level in growth.levels.items()} == {"2": 1}
    trainable = sum(value.numel() for value in growth.parameters() if value.requires_grad)
    leaves = growth.grown().levels[2]
    assert (
        trainable == sum(value.numel() for value in leaves.parameters()) // leaves.nodes + 9
    )  # and one row of the head


@pytest.mark.parametrize("backbone", ["test_convnext", "test_vit", "test_nfnet"])
def test_other_backbones_grow(backbone):
    size = {"img_size": 32} if backbone == "test_vit" else {}
    model = small(TREE, backbone, **size)
    growth, _ = trained(timm_nhl.grow(model, larger(TREE, ADDITIONS["all of these"])))
    assert_kept(growth.grown(), model)
    assert_same_logits(growth, growth.grown())


@given(growing_hierarchies())
def test_old_columns_are_the_old_logits_while_fresh_branches_train(case):
    old, tree = case
    model = small(old, drop_path=0.5, drop=0.5, drop_rate=0.5)
    growth = timm_nhl.grow(model, tree).train()
    x = torch.randn(4, 3, 32, 32)
    columns = [tree.classes.index(id) for id in old.classes]
    with torch.no_grad():
        assert torch.equal(growth(x)[:, columns], model(x))
        assert not torch.equal(growth(x), growth(x))
    assert growth.training and not any(module.training for module in growth.old.modules())


def test_the_optimizer_gets_fresh_weights_only_and_does_not_decay_their_norms():
    growth = timm_nhl.grow(small(TREE, depths=(2, 1, 1)), larger(TREE, ADDITIONS["a superclass"]))
    for options in ({}, {"layer_decay": 0.5}):
        groups = create_optimizer_v2(growth, opt="sgd", lr=1.0, weight_decay=0.5, **options).param_groups
        names = {id(value): name for name, value in growth.named_parameters()}
        decayed = {names[id(value)]: group["weight_decay"] > 0 for group in groups for value in group["params"]}
        assert not any(name.startswith("old.") for name in decayed)
        assert decayed["levels.0.blocks.0.reduce.parents.0.weight"] and decayed["head.fc.weight"]
        assert decayed["levels.0.blocks.1.reduce.weight"]
        assert not decayed["levels.0.blocks.1.norm1.weight"] and not decayed["levels.0.blocks.0.norm4.bias"]
    scales = {names[id(value)]: group["lr_scale"] for group in groups for value in group["params"]}
    names = ["levels.0.blocks.0.conv.weight", "levels.2.blocks.0.conv.weight", "head.fc.weight"]
    assert [scales[name] for name in names] == [0.125, 0.5, 1.0]


def test_a_model_grown_twice_keeps_the_first_and_the_second():
    first = small(TREE)
    second = trained(timm_nhl.grow(first, larger(TREE, ADDITIONS["a superclass"])))[0].grown()
    tree = larger(second.hierarchy, [("k0", "morel cup", "fungi", "sac"), ("k1", "wren", "animals", "birds")])
    third = trained(timm_nhl.grow(second, tree))[0].grown()
    assert_kept(third, first)
    assert_kept(third, second)


def test_an_expert_grows_too():
    model = small(TREE)
    expert = model.expert("animals")
    growth = timm_nhl.grow(expert, larger(expert.hierarchy, ADDITIONS["a class in a group"]))
    assert_kept(growth.grown(), expert)
    assert growth.grown().labels == tuple(range(4))


@given(hierarchies_with_labels(most=3))
def test_an_expert_of_old_and_new_classes_has_the_logits_of_the_grown_model(case):
    tree, labels = case
    if len(tree) == 1:
        return
    growth = timm_nhl.grow(small(tree.at(range(len(tree) - 1))), tree)
    grown = scrambled(growth.grown())
    expert = grown.expert([tree.classes[label] for label in {*labels, len(tree) - 1}])
    x = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        torch.testing.assert_close(expert(x), grown(x)[:, list(expert.labels)], rtol=1e-5, atol=1e-5)


def test_a_grown_model_is_saved_loaded_exported_and_trained_like_any(tmp_path):
    model = small(TREE)
    grown = trained(timm_nhl.grow(model, larger(TREE, ADDITIONS["all of these"])))[0].grown()
    assert grown.pretrained_cfg["num_classes"] == grown.num_classes == 9
    save(grown, tmp_path / "grown")
    loaded = load(tmp_path / "grown")
    assert loaded.hierarchy == grown.hierarchy
    assert_kept(loaded, model)
    export_program(grown, tmp_path / "grown.pt2")
    grown.train()(torch.randn(4, 3, 32, 32)).logsumexp(1).sum().backward()
    assert all(value.grad is not None for value in grown.parameters())


def test_weights_of_a_growth_can_be_saved_and_loaded_in_the_midst_of_training():
    model, tree = small(TREE), larger(TREE, ADDITIONS["all of these"])
    growth, _ = trained(timm_nhl.grow(model, tree))
    other = timm_nhl.grow(model, tree)
    other.load_state_dict(growth.state_dict())
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(other.eval()(x), growth(x))


def test_growing_changes_neither_the_model_nor_what_of_it_is_trained():
    model = small(TREE).train()
    model.trunk.requires_grad_(False)
    grown = timm_nhl.grow(model, larger(TREE, ADDITIONS["a superclass"])).grown()
    for each in (model, grown):
        assert each.training
        assert all(value.requires_grad != name.startswith("trunk.") for name, value in each.named_parameters())


@pytest.mark.parametrize("options", [{"global_pool": ""}, {"global_pool": "max"}, {"dtype": torch.bfloat16}], ids=str)
def test_pooling_and_type_are_those_of_the_model(options):
    model = small(TREE, **options)
    growth = timm_nhl.grow(model, larger(TREE, ADDITIONS["all of these"]))
    x = torch.randn(2, 3, 64, 64, dtype=options.get("dtype"))
    with torch.no_grad():
        torch.testing.assert_close(growth(x), growth.grown()(x))
    assert growth(x).dtype == x.dtype and growth(x).ndim == (4 if options.get("global_pool") == "" else 2)


@pytest.mark.parametrize("options", [{"drop": 0.5}, {"drop_path": 0.5}, {"drop_rate": 0.5}], ids=str)
def test_fresh_branches_drop_what_the_models_do(options):
    x = torch.randn(4, 3, 32, 32)
    with torch.no_grad():
        for given in ({}, options):
            growth = timm_nhl.grow(small(TREE, **given), larger(TREE, ADDITIONS["all of these"]))
            growth = scrambled(growth).train()  # a fresh branch is its shortcut, whatever is dropped of it
            assert torch.equal(growth(x), growth(x)) == (not given)


def test_recomputing_the_fresh_levels_keeps_less_and_changes_no_gradient():
    gradients, kept = [], []
    for enable in (False, True):
        torch.manual_seed(0)
        growth = timm_nhl.grow(small(TREE), larger(TREE, ADDITIONS["all of these"])).train()
        growth.set_grad_checkpointing(enable)
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda x: sizes.append(x.numel()) or x, lambda x: x):  # noqa: B023
            loss = growth(torch.randn(4, 3, 32, 32)).logsumexp(1).sum()
        kept.append(sum(sizes))
        loss.backward()
        gradients.append([value.grad for value in growth.fresh_parameters()])
    assert kept[1] < kept[0] / 2
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@pytest.mark.parametrize("addition", ADDITIONS)
def test_a_router_grows_by_the_new_groups_and_keeps_its_rows(addition):
    tree = larger(TREE, ADDITIONS[addition])
    model = small(TREE, router=True)
    growth = timm_nhl.grow(model, tree).train()
    new = [path for path in tree.nodes(2) if path not in TREE.nodes(2)]
    assert (growth.router is None) == (not new)
    x = torch.randn(4, 3, 32, 32)
    if new:
        logits, scores = growth.forward_scores(x)
        assert torch.equal(logits, growth(x))
        F.cross_entropy(scores[:, growth.find_group_columns()], torch.arange(4) % len(tree.nodes(2))).backward()
        assert growth.router.fc.weight.grad.any() and growth.old.router.fc.weight.grad is None
        growth.router.fc.weight.data.normal_()
    grown = growth.grown().eval()
    assert {*grown.router.scored} == {*tree.nodes(2)}
    expert = grown.expert(TREE.classes)
    for path in TREE.nodes(2):
        old, now = model.router.scored.index(path), expert.router.scored.index(path)
        assert torch.equal(expert.router.fc.weight[now], model.router.fc.weight[old])
    with torch.no_grad():
        assert bool((expert.forward_with_none(torch.randn(2, 3, 32, 32))[1] > 0).all()) == bool(new)
