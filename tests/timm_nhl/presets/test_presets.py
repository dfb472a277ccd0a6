"""Presets: each resolves on every kind of backbone, gives way to explicit options, and is saved as plain options."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.small_models import TREE, create

import timm_nhl
from timm_nhl.errors import OptionError
from timm_nhl.presets import PRESETS, choose_shape
from timm_nhl.presets.rules import below_last_stage, scale_widths, up_to_stride

OPTIONS = {"split": -1, "widths": (8, 4, 4), "strides": (1, 1, 1), "depths": (1, 2, 1), "expansion": 2}
FAMILIES = {  # backbone -> stride, channels and split point of its trunk with `edge`
    "resnet18": (8, 128, -3),
    "resnet50": (8, 512, -3),
    "mobilenetv4_conv_small": (8, 64, -3),
    "efficientnet_b0": (8, 40, -3),
    "convnextv2_atto": (8, 80, -3),
    "vit_tiny_patch16_224": (16, 192, -9),  # a third of twelve blocks
    "swin_tiny_patch4_window7_224": (8, 192, -3),
    "levit_128s": (16, 128, -3),  # starts at stride 16
    "crossvit_tiny_240": (12, 96, -6),
    "volo_d1_224": (8, 192, -4),  # ends at stride 16
    "mixer_s32_224": (32, 512, -6),  # 3 of 8 blocks
    "vgg11": (8, 512, -3),
}
STRIDES = st.lists(st.sampled_from([1, 2, 4, 8, 14, 16, 32, 64]), min_size=1, max_size=24).map(sorted)


@pytest.mark.parametrize("preset", PRESETS)
@given(st.dictionaries(st.sampled_from(list(OPTIONS)), st.none(), max_size=4))
def test_options_replace_what_the_preset_says(preset, names):
    chosen = {name: OPTIONS[name] for name in names}
    shape, plain = choose_shape(preset, **chosen), PRESETS[preset]
    assert vars(shape) == {**vars(plain), **chosen}


@given(STRIDES, st.sampled_from([4, 8, 16]), st.sampled_from([0.25, 1 / 3, 0.5, 1.0]))
def test_rules_choose_a_level_that_there_is(strides, stride, share):
    levels = range(len(strides))
    assert below_last_stage(strides) in levels
    index = up_to_stride(stride, blocks=share)(strides)
    assert index in levels
    if strides[0] < strides[-1]:
        kept = [each for each in strides if each <= stride]
        assert index == max(len(kept) - 1, 0)


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_a_wider_trunk_has_no_narrower_branches(one, other):
    rule = scale_widths((64, 32, 16), channels=64, power=0.5)
    narrow, wide = sorted((one, other))
    assert all(a <= b for a, b in zip(rule(narrow), rule(wide), strict=True))
    assert all(width % 4 == 0 and width > 0 for width in rule(narrow))


@pytest.mark.parametrize(("backbone", "where"), FAMILIES.items())
def test_edge_cuts_each_kind_of_backbone_where_it_says(backbone, where):
    model = timm.create_model(f"{backbone}_nhl", hierarchy=TREE, preset="edge", device="meta").eval()
    trunk = model.trunk
    assert (trunk.stride, trunk.channels, trunk.split) == where
    assert [branch.width for branch in model.branches] == list(PRESETS["edge"].widths_at(trunk.channels))
    with torch.no_grad():
        assert model(torch.empty(1, *model.pretrained_cfg["input_size"], device="meta")).shape == (1, len(TREE))


@pytest.mark.slow
def test_every_preset_resolves_on_a_backbone_of_each_module_of_timm():
    names = {timm.list_models(module=module)[0] for module in timm.list_modules()}
    odd = [name for name in sorted(names) if not name.endswith("_nhl") and not name.startswith("gemma4")]
    assert len(odd) > 80
    for name in odd:
        for preset in PRESETS:
            model = timm.create_model(f"{name}_nhl", hierarchy=TREE, preset=preset, device="meta")
            assert model.trunk.channels == model.levels[0].in_channels, name


def test_a_preset_is_saved_as_plain_options(tmp_path):
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, preset="edge", widths=(16, 8, 8))
    timm_nhl.save(model, tmp_path / "saved")
    args = json.loads((tmp_path / "saved" / "config.json").read_text())["model_args"]
    assert "preset" not in args
    shape = {"split": model.trunk.split, "widths": [16, 8, 8], "strides": [2, 2, 1], "depths": [1, 1, 1]}
    assert args.items() >= {**shape, "expansion": 4}.items()
    loaded = timm_nhl.load(tmp_path / "saved")
    x = torch.randn(2, 3, 64, 64)
    assert torch.equal(loaded(x), model.eval()(x))
    with pytest.raises(OptionError, match=r"^preset='published' has no effect: split, widths, .* a saved config; omit"):
        timm_nhl.load(tmp_path / "saved", preset="published")


def test_a_model_without_a_preset_is_saved_with_its_shape():
    """Another default of a later version must not change what a saved model is."""
    args = create()._model_args
    assert (args["split"], args["widths"], args["strides"]) == (-2, (8, 4, 4), (1, 1, 2))


def test_the_class_takes_presets_too():
    assert timm_nhl.NHL("test_resnet", TREE, preset="edge").trunk.stride == 8
