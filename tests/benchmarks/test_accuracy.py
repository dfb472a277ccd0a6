"""The accuracy benchmark: equal steps for all trainings, real experts, and tables compared with a slow computation."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import accuracy
import numpy as np
import pytest
import timm
import torch
from accuracy_plan import FLAT, NESTED, List, Size, Training, draw_parts, list_protocol
from accuracy_report import (
    format_tables,
    format_variations,
    mark_all,
    mark_experts,
    mark_restricted,
    mark_specialists,
    read_results,
)
from accuracy_run import make_settings, make_tree, run, shuffle_tree
from accuracy_statistics import estimate, estimate_difference, mark_correct, sum_draws
from accuracy_variations import VARIATIONS
from hypothesis import given
from hypothesis import strategies as st
from labelled import to_png, write_dataset
from PIL import Image
from support.trees import hierarchies, shape

from hierarchy import Hierarchy
from timm_nhl.costs import cost
from timm_nhl.data import open_images
from timm_nhl.train import train, train_in_memory
from timm_nhl.train.build import parse_kwargs
from timm_nhl.train.settings import check

pytestmark = pytest.mark.xdist_group("accuracy")  # the tests share trained networks

ANIMALS = (("wolf", "dogs"), ("fox", "dogs"), ("lion", "cats"), ("tiger", "cats"), ("tuna", "fish"), ("salmon", "fish"))
TREE = Hierarchy.from_rows(
    (f"id {name}", name, "water" if group == "fish" else "land", group) for name, group in ANIMALS
)
TINY = Size(
    backbone="test_resnet",
    steps=4,
    batch_size=6,
    warmup=2,
    recipe=(*accuracy.RECIPE, ("img_size", 32), ("device", "cpu")),
    nested=(("model_kwargs", ("widths=8,8,8",)),),
    wider=(("twice as deep", (("model_kwargs", ("layers=2,2,2,2",)),)),),
)
LISTS = (List("first", 6), List("second", 6))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two datasets of noise around a colour for each class: two training images and one test image per class."""
    place = tmp_path_factory.mktemp("accuracy")
    for number, each in enumerate(LISTS):
        rng = np.random.default_rng(number)
        colours = rng.integers(0, 256, (len(TREE), 3))

        def draw(label, rng=rng, colours=colours):
            noise = rng.normal(colours[label], 60, (32, 32, 3))
            return to_png(Image.fromarray(noise.clip(0, 255).astype(np.uint8)))

        labels = list(range(len(TREE)))
        splits = {
            "train": {"image": [draw(label) for label in 2 * labels], "label": 2 * labels},
            "test": {"image": [draw(label) for label in labels], "label": labels},
        }
        write_dataset(place / "data" / each.name, splits, tree=TREE, provenance={})
    return place


@pytest.fixture(scope="module")
def done(folder):
    """The results of real trainings, without trees generated from names."""
    trainings = [
        replace(one, experts=(2, 4)) if one.kind == NESTED else one
        for one in list_protocol(TINY, LISTS, (0, 1), experts=(2, 4), trained={2: 2})
        if one.tree != "generated"
    ]
    accuracy.run_all(trainings, folder)
    return read_results(folder / TINY.backbone)


def only(results, **wanted):
    return [result for result in results if all(result[name] == value for name, value in wanted.items())]


def test_finished_trainings_are_skipped_and_missing_ones_run(folder, done, capsys):
    trainings = list(list_protocol(TINY, LISTS, (0, 1), experts=(2, 4), trained={2: 2}))
    trainings = [one for one in trainings if one.tree != "generated"]
    assert [result["key"] for result in done] == sorted(one.key for one in trainings)
    files = sorted((folder / TINY.backbone / "results").iterdir())
    times = [file.stat().st_mtime_ns for file in files]
    accuracy.run_all(trainings, folder)
    assert [file.stat().st_mtime_ns for file in files] == times
    files[3].unlink()
    accuracy.run_all(trainings, folder)
    assert [file.stat().st_mtime_ns == time for file, time in zip(files, times, strict=True)].count(False) == 1
    accuracy.print_progress(trainings, folder)
    assert f"{len(trainings)} of {len(trainings)} done" in capsys.readouterr().out
    assert not list((folder / TINY.backbone).glob("*.lock"))


def test_two_processes_never_run_the_same_training(tmp_path):
    with accuracy.claim(tmp_path / "one.lock") as first, accuracy.claim(tmp_path / "one.lock") as second:
        assert (first, second) == (True, False)
        with accuracy.claim(tmp_path / "another.lock") as other:
            assert other
    with accuracy.claim(tmp_path / "one.lock") as again:
        assert again


def test_a_training_is_reproducible_and_depends_on_its_seed(folder, done, tmp_path):
    training = Training(LISTS[0], NESTED, TINY, tree="random", seed=1, experts=(2, 4))
    again = json.loads(run(training, tmp_path, data=folder / "data").read_text())
    (before,) = only(done, key=training.key)
    assert again["logits"] == before["logits"]
    (other,) = only(done, list="first", kind=NESTED, tree="random", seed=0)
    assert other["logits"] != before["logits"] and other["tree_digest"] != before["tree_digest"]


def test_a_network_can_be_distilled_from_the_flat_one_of_its_seed(folder, done, tmp_path):
    values = (("distill_weight", 1.0),)
    training = Training(
        LISTS[0], NESTED, TINY, tree="unicode", experts=(2,), variation="distilled", values=values, distilled=True
    )
    distilled = json.loads(run(training, tmp_path, data=folder / "data").read_text())
    (plain,) = only(done, list="first", seed=0, tree="unicode")
    assert distilled["logits"] != plain["logits"] and distilled["params"] == plain["params"]
    assert distilled["settings"]["teacher"]


def test_training_in_memory_gives_the_weights_of_the_command(folder, tmp_path):
    recipe = (*TINY.recipe, ("val_split", "test"), ("channels_last", False))
    training = Training(LISTS[0], NESTED, replace(TINY, recipe=recipe))
    settings = make_settings(training, folder / "data" / "first", images=12)
    images = open_images(settings.source, hierarchy=TREE, split="train")
    mine = train_in_memory(settings, images).state_dict()
    made = train(replace(settings, out=str(tmp_path / "out")))
    theirs = timm.create_model(f"local-dir:{made / 'last'}", pretrained=True).state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


@pytest.mark.parametrize("name", accuracy.PLANS)
def test_trainings_of_a_plan_have_equal_steps_unique_keys_and_valid_settings(name):
    trainings = accuracy.list_trainings(name)
    assert len({(one.size.backbone, one.key) for one in trainings}) == len(trainings)
    for one in trainings:
        classes = one.list.classes or 1826  # usable emoji of version 16.0.0
        images = 2 * (classes if one.part is None else one.part_of)
        settings = make_settings(one, Path("data"), images=images)
        if one.seed == 0 and one.list == trainings[0].list:
            check(settings)
        steps_per_epoch = images // settings.batch_size
        assert settings.epochs * steps_per_epoch == pytest.approx(one.size.steps, rel=0.005)
        assert settings.warmup_epochs * steps_per_epoch == pytest.approx(one.size.warmup)
        assert settings.eval_every == 0
    assert {one.seed for one in trainings} == {0, 1, 2}


def test_the_gpu_plan_in_miniature(folder, tmp_path):
    mini = replace(TINY, steps=2, warmup=0, wider=())
    kinds = {
        (one.kind, one.tree, one.part_of if one.part is not None else 0): one for one in accuracy.list_trainings("gpu")
    }
    assert {size for _, _, size in kinds} == {0, 20, 5} and {tree for _, tree, _ in kinds} >= {"unicode", "generated"}
    for (_, tree, part_of), one in kinds.items():
        if tree != "generated":
            values = {"list": LISTS[0], "size": mini, "experts": (2,), "part_of": min(part_of, 2) or 20, "values": ()}
            run(replace(one, **values), tmp_path, data=folder / "data")
    assert len(read_results(tmp_path)) == len(
        {(kind, tree, bool(part)) for kind, tree, part in kinds if tree != "generated"}
    )


def arguments(values):
    return parse_kwargs("--model-kwargs", dict(values).get("model_kwargs", ()))


@pytest.mark.parametrize(
    ("size", "sizes"), [(accuracy.SMALL, (7, 25, 100)), *((size, (10, 99, 1826)) for size in accuracy.LARGE)]
)
def test_flat_controls_have_the_cost_in_their_name(size, sizes):
    tree, recipe = shape(*sizes), dict(size.recipe)
    images = {"input_size": (3, recipe["img_size"], recipe["img_size"])}
    nested = cost(f"{size.backbone}_nhl", hierarchy=tree, **images, **arguments(size.nested))
    for name, values in size.wider:
        flat = cost(size.backbone, num_classes=len(tree), **images, **arguments(values))
        what = {"of equal MACs": "macs", "of equal parameters": "params"}[name]
        assert getattr(flat, what) == pytest.approx(getattr(nested, what), rel=0.05)
    if size is accuracy.SMALL:  # here the plain network has equal parameters
        assert cost(size.backbone, num_classes=100, **images).params == pytest.approx(nested.params, rel=0.05)


@given(st.lists(st.integers(0, 99), unique=True, min_size=1), st.integers(1, 12), st.integers(0, 3))
def test_each_class_is_in_exactly_one_expert(classes, each, seed):
    found = draw_parts(classes, each, seed=seed)
    assert sorted(id for part in found for id in part) == sorted(classes)
    assert {len(part) for part in found[:-1]} <= {each} and len(found[-1]) <= each
    assert found == draw_parts(classes, each, seed=seed)


@given(hierarchies(), st.integers(0, 3))
def test_a_shuffled_tree_has_the_same_nodes_with_the_same_sizes(tree, seed):
    other = shuffle_tree(tree, seed=seed)
    assert other.classes == tree.classes and Counter(other.groups) == Counter(tree.groups)
    assert other == shuffle_tree(tree, seed=seed)


def test_the_other_trees_have_the_same_classes_in_the_same_order(folder):
    place = folder / "data" / "first"
    for tree in ("unicode", "random", "single"):
        found = make_tree(tree, place)
        assert found.classes == TREE.classes and found.names == TREE.names
    assert found.sizes == (1, 1, 6)


@pytest.mark.slow
def test_a_generated_tree_has_the_wanted_shape_and_is_saved(folder):
    found = make_tree("generated", folder / "data" / "first")
    assert found.sizes == TREE.sizes and found.classes == TREE.classes
    assert found.groups[4] == found.groups[5]  # the fish
    kept = folder / "data" / "first-generated.json"
    before = kept.stat().st_mtime_ns
    assert make_tree("generated", folder / "data" / "first") == found and kept.stat().st_mtime_ns == before


def test_an_expert_has_the_logits_of_the_network_at_a_lower_cost(done):
    for result in only(done, kind=NESTED):
        assert {expert["size"] for expert in result["experts"]} == {2, 4}
        for expert in result["experts"]:
            assert expert["max_difference"] < 1e-4 and expert["params"] < result["params"]
            columns = [result["classes"].index(id) for id in expert["classes"]]
            rows = [row for row, label in enumerate(result["labels"]) if label in columns]
            for row, own, label in zip(rows, expert["logits"], expert["labels"], strict=True):
                assert [result["logits"][row][column] for column in columns] == pytest.approx(own, abs=2e-4)
                assert result["labels"][row] == columns[label]


def mark_slowly(result, each=None):
    """Marks each test image by a loop, among all classes or those of its expert."""
    found = []
    for scores, label in zip(result["logits"], result["labels"], strict=True):
        rivals = range(len(scores))
        if each is not None:
            (mine,) = [
                part for part in draw_parts(TREE.classes, each, seed=result["seed"]) if TREE.classes[label] in part
            ]
            rivals = [TREE.classes.index(id) for id in mine]
        found.append(float(max(rivals, key=lambda column: scores[column]) == label))
    return found


def test_marks_equal_those_of_a_slow_loop(done):
    for result in only(done, part=None):
        assert mark_all(result).tolist() == mark_slowly(result)
        for each in (2, 4):
            assert mark_restricted(result, each).tolist() == mark_slowly(result, each)
            if result["kind"] == NESTED:
                assert mark_experts(result, each).tolist() == mark_slowly(result, each)


def test_answers_of_specialists_are_in_the_rows_of_their_images(done):
    whole = {(one["list"], one["seed"]): one for one in only(done, kind=FLAT, part=None, variation="")}
    parted = [one for one in done if one["part"] is not None]
    found = mark_specialists(parted, whole)
    assert found.keys() == whole.keys() and len(parted) == 2 * len(whole)
    for result in parted:
        key = result["list"], result["seed"]
        asked = [whole[key]["classes"][label] in result["classes"] for label in whole[key]["labels"]]
        assert sum(asked) == 2 and np.isnan(found[key]).sum() == 2
        assert found[key][asked].tolist() == [
            float(np.argmax(scores) == label) for scores, label in zip(result["logits"], result["labels"], strict=True)
        ]
    assert not mark_specialists(parted, {})


def test_the_tables_equal_a_slow_computation(done):
    lines = list(format_tables(done, each=2, controls=["twice as deep"], expected=accuracy.MAIN))
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    start = next(number for number, line in enumerate(cells) if line[0].startswith("**2 classes**"))
    on_all = {line[0]: line[1:] for line in cells[:start]}
    on_two = {line[0]: line[1:] for line in cells[start:]}
    flat, deep = (only(done, kind=FLAT, part=None, variation=variation) for variation in ("", "twice as deep"))
    nested = {tree: only(done, tree=tree) for tree in ("unicode", "random", "single")}
    small = [result for result in done if result["part"] is not None]

    def mean(results, each=None):
        return 100 * np.mean([mark_slowly(result, each) for result in results])

    for name, results in {"flat": flat, "flat twice as deep": deep, **nested}.items():
        for found, each in ((on_all, None), (on_two, 2)):
            assert found[name][0].split(" [")[0] == f"{mean(results, each):.1f}"
            assert found[name][2] == "4"
    assert on_two["flat trained on the 2"][0].split(" [")[0] == f"{mean(small):.1f}"
    assert on_two["flat"][1] == on_all["flat"][1] and on_two["unicode"][1] != on_all["unicode"][1]  # their costs
    for name, others in {"flat": flat, "flat twice as deep": deep, "single": nested["single"]}.items():
        for position, each in ((0, None), (1, 2)):
            expected = mean(nested["unicode"], each) - mean(others, each)
            assert on_two[f"unicode minus {name}"][position].split(" [")[0] == f"{expected:+.1f}"
    ours = [
        value
        for result in nested["single"]
        for id, value in zip(result["classes"], mark_slowly(result, 2), strict=True)
        if any(id in one["classes"] for one in only(small, list=result["list"], seed=result["seed"]))
    ]
    assert len(ours) == 16
    assert on_two["single minus flat"][2].split(" [")[0] == f"{100 * np.mean(ours) - mean(small):+.1f}"
    assert on_two["single minus flat"][3] == "-2, -1, +6"


def test_differences_use_the_lists_and_seeds_that_both_have(done):
    some = [result for result in done if result["kind"] == FLAT or (result["list"], result["seed"]) == ("second", 1)]
    lines = [line for line in format_tables(some, each=2) if line.startswith("| random minus flat ")]
    (flat,) = only(done, kind=FLAT, part=None, variation="", list="second", seed=1)
    (nested,) = only(done, tree="random", list="second", seed=1)
    expected = 100 * (np.mean(mark_slowly(nested)) - np.mean(mark_slowly(flat)))
    assert lines[0].split(" | ")[1].split(" [")[0] == f"{expected:+.1f}"


def test_variations_are_listed_with_their_predictions(done):
    name = next(iter(VARIATIONS))
    base = only(done, tree="unicode", kind=NESTED)
    varied = [{**result, "variation": name, "logits": np.eye(6)[result["labels"]].tolist()} for result in base]
    (line,) = [
        line for line in format_variations([*done, *varied], VARIATIONS, each=2) if line.startswith(f"| {name} ")
    ]
    expected = 100 - 100 * np.mean([mark_slowly(result) for result in base])
    assert f"{VARIATIONS[name].expected:+g}: " in line and f"| 100.0 [100.0, 100.0] | {expected:+.1f} [" in line
    assert line.endswith("|  |  |")
    flat = only(done, kind=FLAT, part=None, variation="")
    both = [*done, *varied, *({**result, "variation": name} for result in flat)]
    (line,) = [line for line in format_variations(both, VARIATIONS, each=2) if line.startswith(f"| {name} | nested")]
    on_all, small = line.split(" | ")[-2:]
    assert on_all.startswith(f"{100 - 100 * np.mean([mark_slowly(result) for result in flat]):+.1f} [")
    ours, theirs = (np.mean([mark_slowly(result, 2) for result in some]) for some in (base, flat))
    assert small.startswith(f"{100 * (ours - theirs):+.1f} [")


TABLES = st.builds(
    lambda images, seeds, seed: np.random.default_rng(seed).integers(0, 2, (images, seeds)).astype(float),
    st.integers(1, 6), st.integers(1, 4), st.integers(0, 99),
)  # fmt: skip


@given(TABLES, st.integers(0, 99))
def test_sums_of_draws_equal_a_slow_loop(table, seed):
    rng = np.random.default_rng(seed)
    images, seeds = (rng.integers(0, size, (3, size)) for size in table.shape)  # indices, of three draws
    rows = np.stack([np.bincount(draw, minlength=table.shape[0]) for draw in images])
    columns = np.stack([np.bincount(draw, minlength=table.shape[1]) for draw in seeds])
    slow = [sum(table[i, j] for i in own for j in theirs) for own, theirs in zip(images, seeds, strict=True)]
    assert sum_draws(table, rows, columns).tolist() == slow


def test_the_interval_accounts_for_images_and_seeds():
    rng = np.random.default_rng(0)
    images = np.repeat(rng.random((400, 1)) < 0.7, 3, axis=1).astype(float)  # all seeds answer alike
    width = estimate({"a": images}).high - estimate({"a": images}).low
    assert width == pytest.approx(2 * 1.96 * 100 * np.sqrt(0.7 * 0.3 / 400), rel=0.1)
    seeds = np.repeat([[1.0, 0.0, 1.0]], 400, axis=0)
    assert (estimate({"a": seeds}).low, estimate({"a": seeds}).high) == (0.0, 100.0)
    lists = {"a": images[:200], "b": images[200:]}
    assert estimate(lists).mean == pytest.approx(estimate({"a": images}).mean)


def test_a_difference_is_paired_by_image():
    rng = np.random.default_rng(0)
    first = (rng.random((400, 3)) < 0.7).astype(float)
    second = first.copy()
    second[:20] = 1 - second[:20]
    assert estimate_difference({"a": first}, {"a": first}).format_signed() == "+0.0 [+0.0, +0.0]"
    found = estimate_difference({"a": first}, {"a": second})
    assert found.mean == pytest.approx(100 * (first - second).mean())
    assert found.high - found.low < 0.5 * (estimate({"a": first}).high - estimate({"a": first}).low)
    asked = np.full_like(first, np.nan)
    asked[:100] = second[:100]
    assert estimate_difference({"a": first}, {"a": asked}).mean == pytest.approx(100 * (first - second)[:100].mean())


@given(st.integers(0, 99))
def test_columns_restrict_the_classes_and_the_images(seed):
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(size=(8, 5)), rng.integers(0, 5, 8)
    columns = rng.permutation(5)[:3]
    found = mark_correct(logits.tolist(), labels.tolist(), columns.tolist())
    for scores, label, value in zip(logits, labels, found, strict=True):
        if label in columns:
            assert value == float(all(scores[label] >= scores[column] for column in columns))
        else:
            assert np.isnan(value)
