"""What a training leaves, and what its settings do to it."""

from __future__ import annotations

import copy
import csv
import json
import math
import shutil
from dataclasses import asdict, replace

import pytest
import timm
import torch
from datasets import ClassLabel, DatasetDict
from safetensors.torch import load_file
from support.training_runs import SMALL, TREE, dataset, small

from timm_nhl import NHL
from timm_nhl.data import STEP, EpochSampler, open_images, seed_all
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.train import Settings, train
from timm_nhl.train.distributed import Process
from timm_nhl.train.optim import param_groups
from timm_nhl.train.run_dir import load_checkpoint
from timm_nhl.train.settings import Facts, complete
from timm_nhl.train.splits import open_splits
from timm_nhl.train.trainer import Trainer

ALONE = Process(rank=0, world_size=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise")


@pytest.fixture(scope="module")
def plain(data, tmp_path_factory):
    """The folder of a trained plain model."""
    out = tmp_path_factory.mktemp("runs") / "plain"
    return train(small(data, out, model="test_resnet", model_kwargs=None, epochs=1))


def create_trainer(settings, process=ALONE):
    splits = open_splits(settings)
    images, (settings, _) = splits.images, complete(settings, splits.find_facts(settings, process))
    sampler = EpochSampler(
        len(images),
        batch_size=settings.batch_size,
        seed=settings.seed,
        grad_accum_steps=settings.grad_accum_steps,
    )
    return Trainer(settings, images, sampler=sampler, process=process)


def after(settings, steps=1):
    """A trainer after some steps, and its weights before them."""
    trainer = create_trainer(settings)
    before = copy.deepcopy(trainer.model.state_dict())
    batches = iter(trainer.loader)
    trainer.train_mode()
    for step in range(steps):
        trainer.compute_gradients(*next(batches), step=step, micro=0)
        trainer.optimizer_step(step + 1)
    return trainer, before


def changed(trainer, before):
    """Names of the weights and statistics that changed."""
    return {name for name, value in trainer.model.state_dict().items() if not torch.equal(value, before[name])}


def read_rows(out):
    return list(csv.DictReader((out / "metrics.csv").open()))


def test_a_training_learns_and_leaves_what_timm_loads(data, tmp_path):
    settings = small(data, tmp_path / "run", epochs=4, patience=0, batch_size=6, lr=0.05, mean=(0.5, 0.5, 0.5))
    out = train(settings)
    rows = read_rows(out)
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])
    names = {path.name for path in out.iterdir()}
    assert names >= {"settings.json", "metrics.csv", "resume.pt", "last", "best"} and not list(out.glob(".*"))
    model = timm.create_model(f"local-dir:{out / 'last'}", pretrained=True).eval()
    assert isinstance(model, NHL) and model.hierarchy == TREE
    assert model.pretrained_cfg["input_size"] == (3, 32, 32) and tuple(model.pretrained_cfg["mean"]) == (0.5,) * 3
    best = max(rows, key=lambda row: (float(row["eval_top1"]), -float(row["eval_loss"])))
    trainer = create_trainer(settings)
    for name, row in (("last", rows[-1]), ("best", best)):
        trainer.model.load_state_dict(load_file(out / name / "model.safetensors"))
        again = trainer.evaluate(open_images(data, hierarchy=TREE, split="test"))
        assert {metric: f"{value:.6g}" for metric, value in again.items()} == {metric: row[metric] for metric in again}


def test_a_plain_model_needs_no_hierarchy_and_its_folder_names_the_classes(plain, tmp_path):
    config = json.loads((plain / "last" / "config.json").read_text())
    assert config["label_names"] == list(TREE.classes) and config["architecture"] == "test_resnet"
    assert type(timm.create_model(f"local-dir:{plain / 'last'}", pretrained=True)).__name__ == "ResNet"
    without = dataset(tmp_path / "other")
    (tmp_path / "other" / "hierarchy.json").unlink()
    images = open_splits(small(without, model="test_resnet", model_kwargs=None)).images
    assert images.hierarchy is None and images.classes == TREE.classes


def test_the_moving_average_is_what_is_saved(data, tmp_path):
    out = train(small(data, tmp_path / "run", model_ema=True, model_ema_decay=0.5, epochs=1))
    state = load_checkpoint(out / "resume.pt")["trainer"]
    saved = load_file(out / "last" / "model.safetensors")
    assert all(torch.equal(saved[name], value) for name, value in state["ema"].items())
    assert any(not torch.equal(saved[name], value) for name, value in state["model"].items())
    assert read_rows(out)[0]["ema_top1"]


def test_some_classes_are_trained_with_labels_of_their_own(data):
    settings = small(data, classes=["super 01", TREE.classes[0]])
    splits = open_splits(settings)
    images, val_images = splits.images, splits.val_images
    small_tree = TREE.subset("super 01", TREE.classes[0])
    assert images.hierarchy == val_images.hierarchy == small_tree
    whole = open_images(data, hierarchy=TREE, split="train")
    kept = [number for number in range(len(whole)) if TREE.classes[whole.labels[number]] in small_tree.classes]
    assert [images.classes[label] for label in images.labels] == [TREE.classes[whole.labels[number]] for number in kept]
    assert all(images[i][0].tobytes() == whole[number][0].tobytes() for i, number in enumerate(kept))
    for model, kwargs in (("test_resnet_nhl", SMALL), ("test_resnet", None)):
        trainer = create_trainer(replace(settings, model=model, model_kwargs=kwargs))
        assert trainer.model.num_classes == len(small_tree)


def test_a_frozen_trunk_does_not_change_nor_do_its_norms(data, plain):
    trainer, before = after(small(data, trunk_from=str(plain / "last"), freeze_trunk=True, weight_decay=0.1))
    assert changed(trainer, before) and not any(name.startswith("trunk.") for name in changed(trainer, before))
    trained = load_file(plain / "last" / "model.safetensors")
    trunk = trainer.model.trunk.net.state_dict()
    assert trunk and all(torch.equal(value, trained[name]) for name, value in trunk.items())


def test_a_trunk_is_taken_from_a_nested_model_too(data, tmp_path):
    nested = timm.create_model("test_resnet_nhl", num_classes=9)
    timm.models.save_for_hf(nested, str(tmp_path / "nested"), safe_serialization=True)
    trunk = create_trainer(small(data, trunk_from=str(tmp_path / "nested"))).model.trunk.state_dict()
    assert all(torch.equal(value, trunk[name]) for name, value in nested.trunk.state_dict().items())


def test_each_part_has_its_own_learning_rate():
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2)
    settings = small("", trunk_lr_scale=0.1, weight_decay=0.1)
    settings, _ = complete(settings, Facts(26, 6, "scratch"))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    found = {}
    for group in param_groups(model, settings):
        for parameter in group["params"]:
            name = names.pop(id(parameter))
            found.setdefault(name.partition(".")[0], set()).add(group["lr_scale"])
            assert group["weight_decay"] == (0.0 if parameter.ndim == 1 or name in model.no_weight_decay() else 0.1)
    assert not names  # each is in one group
    assert found == {"trunk": {0.1}, "levels": {1.0}, "head": {1.0}}


def test_the_schedule_keeps_the_factors_of_the_learning_rate(data):
    settings = small(data, trunk_lr_scale=0.0, weight_decay=0.0, layer_decay=0.9)
    trainer, before = after(settings, steps=2)
    weights = changed(trainer, before) & set(dict(trainer.model.named_parameters()))
    assert not any(name.startswith("trunk.") for name in weights)
    assert any(name.startswith("levels.0") for name in weights)
    lrs = {group["lr"] for group in trainer.optimizer.param_groups}
    assert len(lrs) > 4 and max(lrs) < settings.lr  # two steps down the cosine


def test_the_reported_learning_rate_is_that_of_parameters_without_a_factor(data):
    trainer = create_trainer(small(data, trunk_lr_scale=0.5, sched="constant"))
    assert {group["lr_scale"] for group in trainer.optimizer.param_groups} == {0.5, 1.0}
    assert trainer.lr == pytest.approx(0.01)
    assert create_trainer(small(data, trunk_lr_scale=0.0, sched="constant")).lr == pytest.approx(0.01)


def test_what_a_step_draws_depends_on_its_number_alone(data):
    trainer = create_trainer(
        small(data, drop=0.5, mixup=1.0, cutmix=1.0, reprob=0.5, drop_path=0.3, grad_accum_steps=2)
    )
    x, target = next(iter(trainer.loader))
    trainer.train_mode()

    def loss(step, micro, before):
        seed_all(before, STEP)  # whatever was drawn before
        return trainer.compute_gradients(x.clone(), target, step=step, micro=micro)["loss"].item()

    assert loss(3, 1, before=1) == loss(3, 1, before=2)
    assert len({loss(3, 1, before=1), loss(3, 0, before=1), loss(4, 1, before=1)}) == 3


def test_a_teacher_is_distilled_and_stays_as_it_is(data, plain):
    settings = small(data, teacher=str(plain / "last"), distill_weight=0.5, distill_temperature=2.0, smoothing=0.0)
    trainer = create_trainer(settings)
    teacher = copy.deepcopy(trainer.task.teacher.state_dict())
    x, target = next(iter(trainer.loader))
    trainer.train_mode()
    losses = trainer.compute_gradients(x, target, step=0, micro=0)
    trainer.optimizer_step(1)
    assert all(torch.equal(value, teacher[name]) for name, value in trainer.task.teacher.state_dict().items())
    torch.testing.assert_close(losses["loss"], losses["task_loss"] + 0.5 * losses["kd_loss"])
    flat = timm.create_model(f"local-dir:{plain / 'last'}", pretrained=True).eval()
    p = (flat(x) / 2).softmax(-1)
    fresh = create_trainer(settings)
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
        {"no_aug": True, "clip_grad": 0.1, "clip_mode": "value"},
        {"reprob": 0.5, "clip_grad": 0.1, "clip_mode": "agc"},
        {"mixup": 0.5, "mixup_off_epoch": 1, "opt": "adamw", "opt_kwargs": ["betas=0.9,0.99 eps=1e-6"]},
    ],
    ids=str,
)
def test_settings_train(data, tmp_path, options):
    rows = read_rows(train(small(data, tmp_path / "run", batch_size=12, eval_every=2, **options)))
    assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert rows[0]["eval_top1"] == "" and rows[-1]["eval_top1"]


@pytest.mark.parametrize("opt", ["muon", "lamb"])
def test_an_optimizer_that_goes_by_shape_changes_every_convolution(data, opt):
    trainer, before = after(small(data, opt=opt, lr=0.1, drop_path=0.0), steps=3)
    weights = {name for name, value in trainer.model.named_parameters() if value.ndim > 1}
    assert weights and weights <= changed(trainer, before)


def test_sync_bn_is_refused_on_the_cpu(data):
    with pytest.raises(OptionError, match="--sync-bn needs GPUs: torch's SyncBatchNorm does not run on the CPU"):
        create_trainer(small(data, sync_bn=True))


def test_sync_bn_converts_every_batch_norm_and_keeps_its_parameters(data):
    meta = Process(rank=0, world_size=1, device=torch.device("meta"))
    trainer = create_trainer(small(data, sync_bn=True, device=None), process=meta)
    norms = [module for module in trainer.model.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    assert {norm.__class__.__name__ for norm in norms} <= {"SyncBatchNorm", "SyncBatchNormAct"} and len(norms) > 8
    optimized = {id(parameter) for group in trainer.optimizer.param_groups for parameter in group["params"]}
    assert optimized == {id(parameter) for parameter in trainer.model.parameters()}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_trains_with_mixed_precision_and_synchronised_norms(data, tmp_path):
    settings = small(data, tmp_path / "run", device="cuda", amp=True, channels_last=True, sync_bn=True, reprob=0.5)
    rows = read_rows(train(settings))
    assert all(math.isfinite(float(row["loss"])) for row in rows)
    assert timm.create_model(f"local-dir:{tmp_path / 'run' / 'last'}", pretrained=True).hierarchy == TREE


def test_a_finished_training_does_nothing_and_says_so(data, tmp_path, capsys):
    settings = small(data, tmp_path / "run", epochs=1)
    out = train(settings)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")}
    capsys.readouterr()
    assert train(replace(settings, log_interval=3)) == out
    assert capsys.readouterr().err.strip() == f"{out}: this training is finished; nothing to do"
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.safetensors")} == before


def test_a_training_does_not_resume_with_classes_of_other_names(tmp_path):
    folder = dataset(tmp_path / "data")
    (tmp_path / "data" / "hierarchy.json").unlink()
    settings = small(folder, tmp_path / "run", model="test_resnet", model_kwargs=None, epochs=1)
    train(settings)
    data = DatasetDict.load_from_disk(folder).cast_column("label", ClassLabel(names=list(TREE.classes[::-1])))
    data.save_to_disk(str(tmp_path / "renamed"))
    shutil.rmtree(folder)
    (tmp_path / "renamed").rename(folder)
    with pytest.raises(TrainingError, match=r"labels was \w{12}, is now \w{12}"):
        train(settings)


def test_settings_json_holds_the_settings_the_versions_and_the_hierarchy(data, tmp_path):
    settings = small(data, tmp_path / "run", epochs=1, scale=(0.1, 0.2), classes=["super 01"])
    saved = json.loads((train(settings) / "settings.json").read_text())
    chosen, _ = complete(settings, open_splits(settings).find_facts(settings, ALONE))
    assert Settings(**saved["settings"]) == Settings(**asdict(chosen)) and asdict(settings)["scale"] == (0.1, 0.2)
    assert saved["facts"]["hierarchy"] == TREE.subset("super 01").digest
    assert saved["versions"]["timm"] == timm.__version__ and "command" in saved
