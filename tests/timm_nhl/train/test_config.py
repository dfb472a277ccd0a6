"""The settings of a training: each is a flag, each is used, and what cannot be is refused."""

from __future__ import annotations

import re
from dataclasses import fields, replace

import pytest
from pydantic import ValidationError
from support import ROOT
from support.training_runs import small
from typer.testing import CliRunner

from timm_nhl.cli.main import app
from timm_nhl.errors import OptionError
from timm_nhl.train import Settings, describe
from timm_nhl.train.settings import check

NAMES = [field.name for field in fields(Settings)]


def test_every_setting_is_a_flag_with_a_help_text():
    shown = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    missing = [name for name in NAMES[1:] if "--" + name.replace("_", "-") not in shown]
    assert missing == [] and "DATA" in shown


def test_every_setting_is_used():
    code = "".join(path.read_text() for path in (ROOT / "timm_nhl" / "train").rglob("*.py") if path.stem != "config")
    assert [name for name in NAMES if not re.search(rf"\b(settings|s)\.{name}\b|\"{name}\"", code)] == []


def test_all_wrong_values_are_reported_at_once():
    with pytest.raises(ValidationError) as caught:
        small("", epochs=0, scale=(0, 2), sched="cosin")
    epochs, sched, scale = describe(caught.value).split("; ")
    assert epochs == "--epochs 0 should be greater than or equal to 1"
    assert sched.startswith("--sched cosin should be 'cosine', 'tanh', ")
    assert scale == "--scale 0 2 should be numbers of at least 0 and at most 1"


def test_settings_cannot_be_changed_but_copied_with_changes():
    settings = small("digits")
    assert replace(settings, epochs=7).epochs == 7 and settings.epochs == 2
    with pytest.raises(ValidationError):
        replace(settings, epochs=-7)
    with pytest.raises(AttributeError):
        settings.epochs = 3


def test_all_conflicts_are_reported_at_once():
    with pytest.raises(
        OptionError, match=r"--model 'resnet49' .*; --opt 'sdg' .*; --batch-size 3 .*; --val-share has no effect"
    ):
        check(small("", model="resnet49", opt="sdg", val_share=0.1, mixup=0.1, batch_size=3))
