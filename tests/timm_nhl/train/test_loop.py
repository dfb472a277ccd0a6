"""What a training gives, and what its options do to it."""

from __future__ import annotations

import copy
import csv
import json
import math
import shlex
import shutil

import pytest
import timm
import torch
from datasets import ClassLabel, DatasetDict
from safetensors.torch import load_file, save_file
from support.training_runs import SMALL, TREE, dataset, small

from timm_nhl import NHL
from timm_nhl.cli.train_flags import command_of, parse
from timm_nhl.data.images import open_images
from timm_nhl.data.sampler import Order
from timm_nhl.data.seeds import STEP, seed_all
from timm_nhl.errors import TrainingError
from timm_nhl.train.config import OptimizerSettings, Settings
from timm_nhl.train.distributed import Process
from timm_nhl.train.learner import Learner
from timm_nhl.train.loop import open_splits, train
from timm_nhl.train.optim import groups_of
from timm_nhl.train.run_dir import read_state

ALONE = Process(rank=0, count=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """The folder of a trained plain model."""
    settings = small(data, model="test_resnet", model_kwargs=(), epochs=1)
    return train(settings, out=tmp_path_factory.mktemp("runs") / "plain")


def learner_of(settings):
    images, _ = open_splits(settings)
    schedule = settings.schedule
    order = Order(len(images), schedule.batch_size, settings.machine.seed, micro_batches=schedule.grad_accum_steps)
    return Learner(settings, images, order=order, process=ALONE), images


def after(settings, steps=1):
    """A learner after some steps, and its weights before them."""
    learner, images = learner_of(settings)
    before = copy.deepcopy(learner.model.state_dict())
    batches = iter(learner.batches(images, range(steps)))
    for step in range(steps):
        learner.train_mode()
        for micro in range(learner.order.micro_batches):
            learner.learn(*next(batches), step=step, micro=micro)
        learner.update(step + 1)
    return learner, before


def changed(learner, before):
    """Names of the weights and statistics that are not what they were."""
    return {name for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}


def test_a_training_learns_and_leaves_what_timm_loads(data, tmp_path):
    out = train(small(data, epochs=4, batch_size=6, lr=0.05, mean=(0.5, 0.5, 0.5)), out=tmp_path / "run")
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    assert {path.name for path in out.iterdir()} >= {"settings.json", "curves.html", "resume.pt", "last", "best"}
    model = timm.create_model(f"local-dir:{out / 'last'}", pretrained=True).eval()
    assert isinstance(model, NHL) and model.hierarchy == TREE
    assert model.pretrained_cfg["input_size"] == (3, 32, 32) and tuple(model.pretrained_cfg["mean"]) == (0.5,) * 3
    learner, _ = learner_of(small(data, epochs=4, batch_size=6, lr=0.05, mean=(0.5, 0.5, 0.5)))
    learner.model.load_state_dict(model.state_dict())
    again = learner.evaluate(open_images(data, hierarchy=TREE, split="test"))
    assert {name: f"{value:.6g}" for name, value in again.items()} == {name: rows[-1][name] for name in again}
    best = max(rows, key=lambda row: float(row["eval_top1"]))  # the first of equals
    assert best["epoch"] == "2"
    learner.model.load_state_dict(load_file(out / "best" / "model.safetensors"))
    again = learner.evaluate(open_images(data, hierarchy=TREE, split="test"))
    assert {name: f"{value:.6g}" for name, value in again.items()} == {name: best[name] for name in again}


def test_a_plain_model_needs_no_hierarchy_and_its_folder_names_the_classes(data, plain, tmp_path):
    config = json.loads((plain / "last" / "config.json").read_text())
    assert config["label_names"] == list(TREE.classes) and config["architecture"] == "test_resnet"
    assert type(timm.create_model(f"local-dir:{plain / 'last'}", pretrained=True)).__name__ == "ResNet"
    without = dataset(tmp_path / "other")
    (tmp_path / "other" / "hierarchy.json").unlink()
    images = open_splits(small(without, model="test_resnet", model_kwargs=()))[0]
    assert images.hierarchy is None and images.classes == TREE.classes


def test_the_average_is_what_is_saved(data, tmp_path):
    out = train(small(data, model_ema=True, model_ema_decay=0.5, epochs=1), out=tmp_path / "run")
    state = read_state(out / "resume.pt")["learner"]
    saved = load_file(out / "last" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in state["ema"].items())
    assert any(not torch.equal(saved[name], value) for name, value in state["model"].items())
    assert next(csv.DictReader((out / "metrics.csv").open()))["ema_top1"]


def test_some_classes_are_trained_with_labels_of_their_own(data):
    settings = small(data, classes=("super 01", TREE.classes[0]))
    images, val_images = open_splits(settings)
    small_tree = TREE.subset("super 01", TREE.classes[0])
    assert images.hierarchy == val_images.hierarchy == small_tree
    whole = open_images(data, hierarchy=TREE, split="train")
    kept = [number for number in range(len(whole)) if TREE.classes[whole.labels[number]] in small_tree.classes]
    assert [images.classes[label] for label in images.labels] == [TREE.classes[whole.labels[number]] for number in kept]
    assert all(images[i][0].tobytes() == whole[number][0].tobytes() for i, number in enumerate(kept))
    for model in ("test_resnet_nhl", "test_resnet"):
        learner, _ = learner_of(settings.but(model=model, model_kwargs=SMALL if "nhl" in model else ()))
        assert learner.model.num_classes == len(small_tree)


def test_a_frozen_trunk_stays_as_it_is_norms_included(data, plain):
    learner, before = after(small(data, trunk_from=str(plain / "last"), freeze_trunk=True, weight_decay=0.1))
    assert changed(learner, before) and not any(name.startswith("trunk.") for name in changed(learner, before))
    trained = load_file(plain / "last" / "model.safetensors")
    trunk = learner.model.trunk.net.state_dict()
    assert trunk and all(torch.equal(value, trained[name]) for name, value in trunk.items())


def test_a_trunk_is_taken_from_a_nested_model_too(data, tmp_path):
    nested = timm.create_model("test_resnet_nhl", num_classes=9)
    timm.models.save_for_hf(nested, str(tmp_path / "nested"), safe_serialization=True)
    learner, _ = learner_of(small(data, trunk_from=str(tmp_path / "nested")))
    trunk = learner.model.trunk.state_dict()
    assert all(torch.equal(value, trunk[name]) for name, value in nested.trunk.state_dict().items())


def test_each_part_has_its_own_learning_rate():
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2)
    settings = OptimizerSettings(trunk_lr_scale=0.1, branch_lr_scale=(2.0, 3.0, 4.0), weight_decay=0.1)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in groups_of(model, settings):
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            found.setdefault(name[:8], set()).add(group["lr_scale"])
            assert group["weight_decay"] == (0.0 if parameter.ndim == 1 or name in model.no_weight_decay() else 0.1)
    assert not names  # all are in one group
    assert found.pop("levels.0") == {2.0} and found.pop("levels.1") == {3.0} and found.pop("levels.2") == {4.0}
    assert found.pop("head.fc.") == {4.0} and found == {name: {0.1} for name in found}


def test_a_learning_rate_of_its_own_goes_through_the_schedule(data):
    settings = small(data, trunk_lr_scale=0.1, branch_lr_scale=(1.0, 1.0, 0.0), weight_decay=0.0, layer_decay=0.9)
    learner, before = after(settings, steps=2)
    assert not any(
        name.startswith("levels.2") for name in changed(learner, before) & set(dict(learner.model.named_parameters()))
    )
    assert any(name.startswith("levels.1") for name in changed(learner, before))
    lrs = {group["lr"] for group in learner.optimizer.param_groups}
    assert len(lrs) > 4 and max(lrs) < settings.schedule.lr  # two steps down the cosine


def test_the_learning_rate_that_is_shown_is_that_of_what_has_no_scale(data):
    learner, _ = learner_of(small(data, trunk_lr_scale=0.0, branch_lr_scale=(0.5, 1.0, 2.0), sched="constant"))
    assert {group["lr_scale"] for group in learner.optimizer.param_groups} == {0.0, 0.5, 1.0, 2.0}
    assert learner.rate == pytest.approx(0.01)
    frozen, _ = learner_of(small(data, trunk_lr_scale=0.0, branch_lr_scale=(0.0, 0.0, 0.0)))
    assert frozen.rate == 0.0


def test_what_a_step_draws_is_of_its_number_alone(data):
    learner, images = learner_of(small(data, drop=0.5, mixup=1.0, cutmix=1.0, drop_path=0.3, grad_accum_steps=2))
    x, target = next(iter(learner.batches(images, range(1))))
    learner.train_mode()

    def loss(step, micro, before):
        seed_all(before, STEP)  # whatever was drawn before
        return learner.learn(x.clone(), target, step=step, micro=micro)["loss"].item()

    assert loss(3, 1, before=1) == loss(3, 1, before=2)
    assert len({loss(3, 1, before=1), loss(3, 0, before=1), loss(4, 1, before=1)}) == 3


def test_a_teacher_is_learned_from_and_stays_as_it_is(data, plain):
    settings = small(data, teacher=str(plain / "last"), distill_weight=0.5, distill_temperature=2.0, smoothing=0.0)
    learner, images = learner_of(settings)
    teacher = copy.deepcopy(learner.task.teacher.state_dict())
    x, target = next(iter(learner.batches(images, range(1))))
    learner.train_mode()
    losses = learner.learn(x, target, step=0, micro=0)
    learner.update(1)
    assert all(torch.equal(value, teacher[name]) for name, value in learner.task.teacher.state_dict().items())
    torch.testing.assert_close(losses["loss"], losses["task_loss"] + 0.5 * losses["kd_loss"])
    flat = timm.create_model(f"local-dir:{plain / 'last'}", pretrained=True).eval()
    p = (flat(x) / 2).softmax(-1)
    fresh, _ = learner_of(settings)
    fresh.train_mode()
    q = (fresh.model(x) / 2).softmax(-1)
    torch.testing.assert_close(losses["kd_loss"], 4 * (p * (p / q).log()).sum(-1).mean(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "options",
    [
        {"amp": True},
        {"channels_last": True},
        {"grad_checkpointing": True},
        pytest.param({"torchcompile": "eager"}, marks=pytest.mark.slow),
        {"model": "test_vit_nhl", "img_size": 48},
        {"sched": "wsd", "cooldown_epochs": 1},
        {"no_aug": True, "reprob": 0.5, "clip_grad": 0.1, "clip_mode": "value"},
        {"clip_grad": 0.1, "clip_mode": "agc", "model": "test_resnet", "model_kwargs": ()},
        {"mixup": 0.5, "mixup_off_epoch": 1},
    ],
    ids=str,
)
def test_options_train(data, tmp_path, options):
    out = train(small(data, epochs=2, batch_size=12, eval_every=2, **options), out=tmp_path / "run")
    rows = list(csv.DictReader((out / "metrics.csv").open()))
    assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert rows[0]["eval_top1"] == "" and rows[-1]["eval_top1"]


def test_a_finished_training_does_nothing_and_says_so(data, tmp_path, capsys):
    settings = small(data, epochs=1)
    out = train(settings, out=tmp_path / "run")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    capsys.readouterr()
    assert train(settings.but(workers=0, log_interval=3), out=out) == out
    assert capsys.readouterr().err.strip() == f"{out}: this training is finished; nothing was done"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before


def test_nothing_goes_on_with_another_teacher(data, plain, tmp_path):
    teacher = tmp_path / "teacher"
    shutil.copytree(plain / "last", teacher)
    settings = small(data, epochs=1, teacher=f"local-dir:{teacher}")
    out = train(settings, out=tmp_path / "run")
    assert train(settings, out=out) == out
    weights = load_file(teacher / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, teacher / "model.safetensors")
    with pytest.raises(TrainingError, match=r"digest of the teacher \w{12} there, \w{12} here"):
        train(settings, out=out)


def test_nothing_goes_on_with_classes_of_other_names(tmp_path):
    folder = dataset(tmp_path / "data")
    (tmp_path / "data" / "hierarchy.json").unlink()
    settings = small(folder, model="test_resnet", model_kwargs=(), epochs=1)
    out = train(settings, out=tmp_path / "run")
    data = DatasetDict.load_from_disk(folder).cast_column("label", ClassLabel(names=list(TREE.classes[::-1])))
    data.save_to_disk(str(tmp_path / "renamed"))
    shutil.rmtree(folder)
    (tmp_path / "renamed").rename(folder)
    with pytest.raises(TrainingError, match="digest of the class names"):
        train(settings, out=out)


def test_the_command_has_every_digit():
    settings = Settings.of("digits", mean=(0.48145466, 0.4578275, 0.40821073), lr=0.0012345678, epochs=3)
    words = shlex.split(command_of(settings, "run"))
    given = {name: words[words.index(f"--{name}") + 1] for name in ("mean", "lr")}
    assert Settings.of("digits", **parse({"mean": given["mean"]}), lr=float(given["lr"]), epochs=3) == settings


def test_saved_settings_are_the_settings_and_their_command_gives_them(data, tmp_path):
    settings = small(data, epochs=1, level_loss=(0.1, 0.2), amp=False, classes=("super 01",))
    out = train(settings, out=tmp_path / "run")
    saved = json.loads((out / "settings.json").read_text())
    assert Settings.from_dict(saved["settings"]) == settings
    assert saved["command"] == command_of(settings, out)
    assert saved["facts"]["hierarchy"] == TREE.subset("super 01").digest
    assert saved["versions"]["timm"] == timm.__version__
