"""Shards never share a branch; merged networks keep every weight of their parts."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from support.flat import converting
from support.small_models import create, images
from support.training_runs import TREE, dataset
from support.trees import hierarchies

import hierarchy
import timm_nhl
from hierarchy import Hierarchy
from timm_nhl.converting import convert, merge
from timm_nhl.converting.parts import Part, choose_shard, join
from timm_nhl.data import HELD_OUT
from timm_nhl.errors import ExportError, MergeError, OptionError


@given(hierarchies(3), st.data())
def test_shards_are_whole_superclasses_and_together_everything(tree, data):
    of = data.draw(st.integers(1, tree.sizes[0]))
    shards = [choose_shard(tree, f"{number}/{of}") for number in range(1, of + 1)]
    assert sorted(label for shard in shards for label in shard) == list(range(len(tree)))
    kinds = [{tree.groups[label][0] for label in shard} for shard in shards]
    assert all(kinds) and sum(map(len, kinds)) == tree.sizes[0]
    largest = max(list(tree.ancestors(1)).count(node) for node in range(tree.sizes[0]))
    assert max(map(len, shards)) - min(map(len, shards)) <= largest


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "half", "1/5"])
def test_a_shard_that_cannot_be_is_refused(shard):
    with pytest.raises(OptionError, match="--shard"):
        choose_shard(TREE, shard)


@settings(max_examples=3)
@given(hierarchies(3).filter(lambda tree: tree.sizes[0] > 1), st.data())
def test_each_part_of_a_merged_network_is_bitwise_itself(tree, data):
    of = data.draw(st.integers(2, tree.sizes[0]))
    models = [create(hierarchy=tree.at(choose_shard(tree, f"{number}/{of}"))).eval() for number in range(1, of + 1)]
    trunk = models[0].trunk.state_dict()
    for model in models:
        model.trunk.load_state_dict(trunk)
        for value in (*model.levels.parameters(), *model.head.parameters()):
            torch.nn.init.normal_(value, std=0.3)
    parts = [Part(f"part {number}", model, "one teacher", tree) for number, model in enumerate(models)]
    merged = join(data.draw(st.permutations(parts)))
    assert merged.hierarchy == tree
    x = images(merged)
    logits = merged(x)
    for model in models:
        again = merged.expert(model.hierarchy.classes)
        for name, value in model.state_dict().items():
            assert torch.equal(value, again.state_dict()[name]), name
        assert torch.equal(again(x), model(x))
        labels = [tree.classes.index(id) for id in model.hierarchy.classes]
        torch.testing.assert_close(logits[:, labels], model(x), rtol=1e-4, atol=1e-5)


def test_parts_that_do_not_belong_together_are_refused_with_all_reasons():
    one, other = (create(hierarchy=TREE.at(choose_shard(TREE, f"{number}/2"))) for number in (1, 2))
    part = Part("a", one, "teacher a", TREE)
    with pytest.raises(MergeError) as caught:
        join([part, Part("b", other, "teacher b", TREE.at([1, 0, 2, 3, 4, 5]))])
    text = str(caught.value)
    assert "teacher" in text and "hierarchies" in text and "trunks" in text
    with pytest.raises(MergeError, match="several parts have a branch of 'super 00'"):
        join([part, replace(part, source="b", model=copy.deepcopy(one))])
    with pytest.raises(MergeError, match="only part"):
        join([part])


def test_shards_that_were_converted_apart_are_merged_one_after_the_other(flat, cache, tmp_path):
    unsplit = dataset(tmp_path / "noise", images=40, splits=("train",))
    tree = Hierarchy(TREE.classes, TREE.names, tuple((f"super {i // 2}", f"group {i // 2}") for i in range(len(TREE))))
    hierarchy.save(tree, tmp_path / "three.json")
    shared = {"epochs": 1, "cache": cache, "val_split": None, "hierarchy": str(tmp_path / "three.json")}
    of = tree.sizes[0]
    outs = [
        convert(converting(flat, unsplit, tmp_path / f"part{number}", shard=f"{number}/{of}", **shared))
        for number in range(1, of + 1)
    ]
    merge([str(outs[1]), str(outs[0] / "last")], tmp_path / "two")
    merge([str(tmp_path / "two"), *map(str, outs[2:])], tmp_path / "merged")
    merged = timm_nhl.load(tmp_path / "merged" / "last")
    assert merged.hierarchy == tree
    x = torch.randn(2, 3, 32, 32)
    for out in outs:
        part = timm_nhl.load(out / "last")
        assert torch.equal(merged.expert(part.hierarchy.classes)(x), part(x))
    assert (tmp_path / "merged" / HELD_OUT).read_text() == (outs[0] / HELD_OUT).read_text()
    with pytest.raises(ExportError, match="already exists"):
        merge([str(out) for out in outs], tmp_path / "merged")
