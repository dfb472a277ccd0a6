"""A plan's costs are those of networks that are built; its tasks, siblings and pictures are what they say."""

from __future__ import annotations

import json
import re
import sys
from xml.etree import ElementTree

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.trees import shape
from torch.utils.flop_counter import FlopCounterMode

import hierarchy
from timm_nhl import planning
from timm_nhl.cli.main import main
from timm_nhl.planning.picture import Point, find_frontier
from timm_nhl.planning.siblings import smaller_siblings
from timm_nhl.presets import PRESETS

TREE = shape(3, 7, 20)
SHAPES = {name: {"preset": name} for name in PRESETS} | {"narrow": {"preset": "edge", "widths": (8, 4, 4)}}
PLAIN = [
    "test_resnet",
    "test_convnext",
    "deit_tiny_distilled_patch16_224",
    "levit_128s",
]  # the last one's is no plain layer


def measured(model, size):
    """Parameters and multiply-accumulates of one image, by running the model."""
    model = model.eval().requires_grad_(False)
    with torch.no_grad(), FlopCounterMode(display=False) as flops:
        model(torch.empty(1, *size, device="meta"))
    return sum(parameter.numel() for parameter in model.parameters()), flops.get_total_flops() / 2


def make(backbones=("test_resnet",), tasks=(), tree=TREE, shapes=SHAPES, img_size=None, **options):
    return planning.plan(planning.find_backbones(backbones, img_size=img_size), tree, tasks, shapes, **options)


@pytest.mark.parametrize("backbone", ["test_resnet", "test_vit", "test_convnext", "mobilenetv4_conv_small_035"])
def test_predicted_costs_are_those_of_the_expert_that_is_built(backbone):
    labels = (0, 3, 11, 19)
    made = make([backbone], [planning.Task("some", (labels,))])
    nested = [each for each in made.candidates if each.kind == "nested"]
    assert [each.shape for each in nested] == list(SHAPES)
    for each in nested:
        model = timm.create_model(each.model, hierarchy=TREE, device="meta", **SHAPES[each.shape])
        expert = model.expert([TREE.classes[label] for label in labels])
        for needs, built in ((each.whole, model), (each.tasks[0], expert)):
            assert (needs.params.mean, needs.macs.mean) == measured(built, each.input_size)


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_network_costs_what_one_with_as_many_classes_costs(name):
    task = planning.Task("some", ((0, 5, 19),))
    plain = make([name], [task], shapes={}).candidates[0]
    for classes, needs in ((20, plain.whole), (3, plain.tasks[0])):
        model = timm.create_model(name, num_classes=classes, device="meta")
        assert (needs.params.mean, needs.macs.mean) == measured(model, plain.input_size)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 99))
def test_drawn_tasks_have_the_size_asked_for_and_depend_on_the_seed_alone(size, draws, seed):
    for draw in (planning.draw_random, planning.draw_related):
        task = draw(TREE, size, draws=draws, seed=seed)
        assert [len(set(labels)) for labels in task.draws] == [size] * draws
        assert task == draw(TREE, size, draws=draws, seed=seed)


def test_related_classes_share_a_superclass_and_need_fewer_branches():
    superclasses = TREE.ancestors(1)
    task = planning.draw_related(TREE, 4, draws=10, seed=0)
    assert all(len({superclasses[label] for label in labels}) == 1 for labels in task.draws)
    tasks = [draw(TREE, 4, draws=10, seed=0) for draw in (planning.draw_related, planning.draw_random)]
    near, far = make(tasks=tasks, shapes={"edge": {"preset": "edge"}}).candidates[1].tasks
    assert near.macs.mean < far.macs.mean
    assert far.macs.low < far.macs.mean < far.macs.high


def test_names_with_commas_are_one_task():
    tasks = planning.name_tasks(TREE, ["super 00, n0019", "super 01", ""])
    assert [len(task.draws[0]) for task in tasks][2] == 20
    assert tasks[0].draws[0] == tuple(sorted({*TREE.labels("super 00"), 19}))
    tree = hierarchy.Hierarchy(("a", "b"), ("cup, mug", "pot"), (("things", "cups"), ("things", "pots")))
    assert planning.name_tasks(tree, ["cup, mug"])[0].draws == ((0,),)


@pytest.mark.parametrize(
    ("backbone", "siblings"),
    {
        "resnet50": ["resnet34", "resnet26", "resnet18"],
        "mobilenetv4_conv_small": ["mobilenetv4_conv_small_050", "mobilenetv4_conv_small_035"],
        "mobilenetv4_conv_medium": [f"mobilenetv4_conv_small{width}" for width in ("", "_050", "_035")],
        "efficientnet_b1": ["efficientnet_b0"],
        "convnextv2_tiny": [f"convnextv2_{size}" for size in ("nano", "pico", "femto", "atto")],
        "vit_small_patch16_224": ["vit_tiny_patch16_224"],
        "regnety_008": ["regnety_006", "regnety_004", "regnety_002"],
        "resnet18": [],
    }.items(),
)
def test_siblings_differ_in_size_alone(backbone, siblings):
    assert smaller_siblings(backbone) == siblings


def test_a_sibling_that_is_asked_for_is_listed_as_a_backbone():
    made = make(["mobilenetv4_conv_small", "mobilenetv4_conv_small_050_nhl"], shapes={}, img_size=64)
    assert [each.model for each in made.candidates] == [
        "mobilenetv4_conv_small", "mobilenetv4_conv_small_035",
        "mobilenetv4_conv_small_050", "mobilenetv4_conv_small_035",
    ]  # fmt: skip
    assert {each.input_size for each in made.candidates} == {(3, 64, 64)}


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_another_image_size_changes_costs(name):
    small, large = (make([name], img_size=size).candidates[-1] for size in (64, 128))
    assert small.whole.macs.mean < large.whole.macs.mean
    assert small.input_size == (3, 64, 64)


def test_a_budget_is_for_the_dearest_draw():
    task = planning.draw_random(TREE, 4, draws=10, seed=0)
    needs = make(tasks=[task]).candidates[1].tasks[0]
    for limit, fits in ((needs.macs.high, True), (needs.macs.high - 1, False)):
        made = make(tasks=[task], budget=planning.Budget(macs=limit))
        assert (made.candidates[1] in made.fitting) == fits


def test_the_frontier_has_what_nothing_undercuts():
    points = [Point(each, each.whole) for each in make(["test_resnet", "test_vit"]).candidates]
    pairs = [(each.needs.macs.mean, each.needs.params.mean) for each in points]
    best = [pair for pair in pairs if not any(a <= pair[0] and b <= pair[1] and (a, b) != pair for a, b in pairs)]
    assert [(each.needs.macs.mean, each.needs.params.mean) for each in find_frontier(points)] == sorted(best)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    hierarchy.save(TREE, tmp_path / "tree.json")
    monkeypatch.chdir(tmp_path)

    def plan(*arguments):
        monkeypatch.setattr(sys, "argv", ["timm-nhl", "plan", *arguments, "--hierarchy", "tree.json"])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return plan


def test_the_command_prints_a_table_and_draws_one_page(run, tmp_path):
    code, out, _ = run(
        *[
            "test_resnet",
            "test_vit",
            "--img-size",
            "64",
            "--classes",
            "super 00,n0019",
            "--random",
            "5",
            "--draws",
            "3",
        ],
        *["--shape", "split=-3 widths=8,8,4", "--preset", "edge", "--max-macs", "100M", "--html", "plan.html"],
    )
    assert code == 0
    for text in ("test_resnet_nhl", "edge", "split=-3 widths=8,8,4", "super 00,n0019", "5 random", "plain"):
        assert text in out
    page = (tmp_path / "plan.html").read_text()
    assert not re.search(r"https?:|//|\burl\(|<script|@import|<link", page)
    plots = [ElementTree.fromstring(plot) for plot in re.findall(r"<svg viewBox=\"0 0 .*?</svg>", page, re.DOTALL)]
    assert len(plots) == 3  # all classes, two tasks
    for plot in plots:
        titles = [title.text.splitlines()[0] for title in plot.iter("title")]
        assert {"test_resnet (plain)", "test_vit_nhl (edge)"} <= {*titles}


def test_json_holds_all_numbers(run):
    code, out, _ = run("test_resnet", "--related", "3", "--draws", "2", "--seed", "7", "--json")
    made = json.loads(out)
    assert code == 0
    assert [len(labels) for labels in made["tasks"][0]["draws"]] == [3, 3]
    kinds = [(each["kind"], each["shape"]) for each in made["candidates"]]
    assert kinds[:3] == [("plain", ""), ("nested", "edge"), ("nested", "tiny")]
    assert all(each["fits"] and each["tasks"][0]["macs"]["low"] > 0 for each in made["candidates"])


def test_milliseconds_are_measured_where_the_other_limits_hold(run):
    code, out, _ = run(
        *["test_resnet", "--classes", "super 00", "--preset", "tiny", "--img-size", "64"],
        *["--max-ms", "100000", "--max-params", "200k", "--json"],
    )
    plain, nested = json.loads(out)["candidates"][:2]
    assert code == 0
    assert (plain["fits"], nested["fits"]) == (False, True)
    assert plain["tasks"][0]["ms"] is None
    assert nested["tasks"][0]["ms"] > 0


def test_costs_with_a_router(run):
    _, out, _ = run("test_resnet", "--shape", "preset=edge", "--shape", "preset=edge router=True", "--json")
    without, routed = (each["all"]["params"]["mean"] for each in json.loads(out)["candidates"][1:3])
    router = timm.create_model("test_resnet_nhl", hierarchy=TREE, preset="edge", router=True, device="meta").router
    assert routed - without == sum(parameter.numel() for parameter in router.parameters())
