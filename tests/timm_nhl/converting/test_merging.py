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
from support.training_runs import TREE
from support.trees import hierarchies

import timm_nhl
from timm_nhl.converting import convert, merge
from timm_nhl.converting.parts import Part, choose_shard, join
from timm_nhl.errors import MergeError, OptionError


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


def test_shards_that_were_converted_apart_are_merged(data, flat, cache, tmp_path):
    shared = {"epochs": 1, "cache": cache}
    outs = [
        convert(converting(flat, data, tmp_path / f"part{number}", shard=f"{number}/2", **shared)) for number in (1, 2)
    ]
    merge([str(outs[1]), str(outs[0] / "last")], tmp_path / "merged")
    merged = timm_nhl.load(tmp_path / "merged")
    assert merged.hierarchy == TREE
    part = timm_nhl.load(outs[0] / "last")
    x = torch.randn(2, 3, 32, 32)
    assert torch.equal(merged.expert(part.hierarchy.classes)(x), part(x))
