"""Bad input gives one clear sentence, and runs nothing."""

from __future__ import annotations

import sys

import pytest
import timm
from support.trees import shape

from hierarchy import HierarchyError
from hierarchy.errors import UnknownNode
from timm_nhl.cli.main import main
from timm_nhl.errors import CheckpointError, ExportError, NHLError, OptionError, SplitError

TREE = shape(3, 7, 20)
SMALL = {"widths": (8, 4, 4), "expansion": 2}


def create(backbone="test_resnet", hierarchy=TREE, **options):
    return timm.create_model(f"{backbone}_nhl", hierarchy=hierarchy, **{**SMALL, **options})


@pytest.fixture(scope="module")
def model():
    return create()


def test_an_unknown_class_is_answered_with_the_nearest(model):
    with pytest.raises(UnknownNode, match=r"^no class or node 'clas 0003'; nearest: 'class 0003'"):
        model.expert(["clas 0003"])


def test_nothing_cannot_be_cut_out(model):
    with pytest.raises(OptionError, match=r"^no classes given; name at least one class or node, or '' for all$"):
        model.expert([])


def test_classes_must_agree_with_the_hierarchy():
    with pytest.raises(OptionError, match=r"^num_classes=7 disagrees with the hierarchy, which has 20 classes; omit"):
        create(num_classes=7)


@pytest.mark.parametrize("classes", [-1, 2.5, True])
def test_classes_are_counted_in_whole_numbers(classes):
    with pytest.raises(OptionError, match="is not a whole number >= 0; use 0 for features"):
        timm.create_model("test_resnet_nhl", num_classes=classes)


@pytest.mark.parametrize("split", [-6, 0, 3, "late", True])
def test_a_split_out_of_range_lists_the_choices(split):
    text = (
        rf"^split={split!r} is out of range: test_resnet has 5 feature levels \(strides 2, 4, 8, 16, 32\);"
        r" use -5 to -1$"
    )
    with pytest.raises(SplitError, match=text):
        create(split=split)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": (8, 4)}, "widths=(8, 4) does not give one value for each of the 3 levels"),
        ({"widths": (8, 0, 4)}, "width=0 is not a whole number >= 1"),
        ({"depths": (1, 1, 0)}, "depth=0 is not a whole number >= 1"),
        ({"strides": 2}, "strides=2 does not give one value for each of the 3 levels"),
        ({"expansion": 1.5}, "expansion=1.5 is not a whole number >= 1"),
        ({"drop": 1.0}, "drop=1.0 is not a probability; use a number >= 0 and < 1"),
        ({"drop_path": -0.1}, "drop_path=-0.1 is not a probability; use a number >= 0 and < 1"),
        ({"norm": "instance"}, "norm='instance' is not available; use one of 'batch', 'group'"),
        ({"act": "ruly"}, "act='ruly' is not a timm activation; use one like 'relu', 'gelu' or 'silu'"),
        ({"act": "prelu"}, "act='prelu' has weights, which branches would share; use one without, like 'relu'"),
        (
            {"global_pool": "catavgmax"},
            "global_pool='catavgmax' is not available; use one of 'avg', 'max', 'avgmax', ''",
        ),
    ],
    ids=str,
)
def test_an_impossible_option_is_named(options, text):
    with pytest.raises(OptionError) as caught:
        create(**options)
    assert text in str(caught.value)


def test_all_problems_of_a_branch_come_at_once():
    with pytest.raises(OptionError, match=r"^drop=2 is not a probability; .*; norm='x' is not available"):
        create(drop=2, norm="x")


@pytest.mark.parametrize(
    "arguments",
    [
        ["cost", "resnet50", "--hierarchy", "imagenet100"],
        ["cost", "test_resnet_nhl", "--hierarchy", "no such tree"],
        ["cost", "test_resnet_nhl", "--random", "2000"],
        ["expert", "nowhere.pth", "--out", "x"],
        ["export", "nowhere.pth", "--out", "x.tflite"],
        ["run", "nowhere.py"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_the_command_answers_bad_input_with_a_sentence_and_code_2(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["timm-nhl", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ") and "Traceback" not in said


def test_one_except_catches_each_of_these():
    assert all(issubclass(error, NHLError) for error in (SplitError, OptionError, CheckpointError, ExportError))
    assert issubclass(NHLError, ValueError) and not issubclass(NHLError, HierarchyError)
