"""Training: `python -m timm_nhl.train`, alone or by torchrun.

timm's own parts (transforms, optimizers, schedules, tasks, moving average) around one loop. Everything random is a function
of the seed and the step, see `timm_nhl.seeds`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from timm.data import Mixup, create_transform
from timm.data.random_erasing import RandomErasing
from timm.loss import create_classification_loss
from timm.scheduler import create_scheduler_v2
from timm.task import ClassificationTask, LogitDistillationTask, TrainingTask
from timm.utils import NativeScaler, unwrap_model
from timm.utils.clip_grad import dispatch_clip_grad
from torch import Tensor, nn
from torch.optim import Optimizer

from hierarchy import Hierarchy, load
from timm_nhl.data import Images, eval_batches, open_images, train_batches
from timm_nhl.losses import LevelLoss
from timm_nhl.order import Order
from timm_nhl.processes import Process, joined
from timm_nhl.rates import optimizer_of
from timm_nhl.record import save_model, write_json, write_metrics
from timm_nhl.seeds import MODEL, STEP, seed_all
from timm_nhl.settings import Settings
from timm_nhl.student import data_config, student_of


def train(settings: Settings, *, out: Path) -> Path:
    """Trains a model and gives the folder of what came of it."""
    with joined(settings.machine.device) as process:
        return _train(settings, Path(out), process)


def _train(settings: Settings, out: Path, process: Process) -> Path:
    tree = None if settings.data.hierarchy is None else load(settings.data.hierarchy)
    images, val_images = (
        open_images(
            settings.source,
            hierarchy=tree,
            split=split,
            classes=settings.data.classes,
            image=settings.data.image,
            column=settings.data.column,
        )
        for split in (settings.data.train_split, settings.data.val_split)
    )
    schedule = settings.schedule
    order = Order(
        images=len(images),
        batch_size=schedule.batch_size,
        seed=settings.machine.seed,
        micro_batches=schedule.grad_accum_steps,
        processes=process.count,
    )
    seed_all(settings.machine.seed, MODEL)
    model = student_of(settings.model, tree=images.hierarchy, classes=len(images.classes)).to(process.device)
    config = data_config(settings.model, model)
    task: TrainingTask = ClassificationTask(
        model,
        criterion_kwargs={"smoothing": settings.augment.smoothing, "soft_targets": mixes(settings)},
        device=process.device,
        verbose=False,
    )
    optimizer = optimizer_of(model, settings.optimizer, lr=schedule.lr or 0.1)
    scheduler, epochs = create_scheduler_v2(
        optimizer,
        sched=schedule.sched,
        num_epochs=schedule.epochs,
        decay_epochs=schedule.decay_epochs,
        decay_milestones=list(schedule.decay_milestones),
        cooldown_epochs=schedule.cooldown_epochs,
        decay_rate=schedule.decay_rate,
        min_lr=schedule.min_lr,
        warmup_lr=schedule.warmup_lr,
        warmup_epochs=schedule.warmup_epochs,
        step_on_epochs=False,
        updates_per_epoch=order.steps_per_epoch,
    )
    if settings.average.model_ema:
        task.setup_ema(decay=settings.average.model_ema_decay, use_warmup=settings.average.model_ema_warmup)
    if process.count > 1:
        task.prepare_distributed(device_ids=[process.device] if process.device.type == "cuda" else None)
    mix = mixing(settings, len(images.classes))
    steps = range(0, order.steps_per_epoch * epochs)
    batches = iter(
        train_batches(
            images,
            config,
            transform=transform_of(settings, config),
            erasing=erasing_of(settings, process.device),
            order=order,
            steps=steps,
            process=process.rank,
            workers=settings.data.workers,
            device=process.device,
        )
    )
    if process.writes:
        out.mkdir(parents=True, exist_ok=True)
        write_json(out / "settings.json", settings.to_dict())
    rows: list[dict[str, float]] = []
    loss_sum, began = torch.zeros((), dtype=torch.float64, device=process.device), time.monotonic()
    for step in steps:
        epoch = step // order.steps_per_epoch
        task.train()
        for micro in range(order.micro_batches):
            x, target = next(batches)
            seed_all(settings.machine.seed, STEP, step, process.rank, micro)
            if mix is not None:
                x, target = mix(x, target)
            last = micro == order.micro_batches - 1
            with nullcontext() if last else task.no_sync():
                result = task(x, target)
                (result["loss"] / order.micro_batches).backward()
            loss_sum += result["loss"].detach() / order.micro_batches
        if settings.optimizer.clip_grad is not None:
            dispatch_clip_grad(task.get_clip_parameters(), settings.optimizer.clip_grad, settings.optimizer.clip_mode)
        optimizer.step()
        optimizer.zero_grad()
        if scheduler is not None:
            scheduler.step_update(step + 1)
        task.update_ema(step=step + 1)
        if (step + 1) % order.steps_per_epoch == 0:
            loss = process.gather(loss_sum[None]).mean().item() / order.steps_per_epoch
            row: dict[str, float] = {
                "epoch": epoch,
                "step": step + 1,
                "lr": optimizer.param_groups[0]["lr"],
                "loss": loss,
            }
            row |= {
                f"eval_{name}": value for name, value in evaluate(task, val_images, config, settings, process).items()
            }
            row["seconds"] = time.monotonic() - began
            rows.append(row)
            loss_sum.zero_()
            if process.writes:
                write_metrics(out / "metrics.csv", rows)
                save_model(model, out / "last", classes=images.classes, tree=images.hierarchy)
    return out


def evaluate(
    task: TrainingTask, images: Images, config: dict[str, Any], settings: Settings, process: Process
) -> dict[str, float]:
    """Loss, top-1 and top-5 on the images that are not trained on; each process takes its part of them."""
    model = unwrap_model(task.get_eval_model())
    process.share_buffers(model)
    task.eval()
    evaluator = task.create_evaluator()
    size = settings.schedule.validation_batch_size or settings.schedule.batch_size
    part = images.part(process.rank, process.count)
    with torch.no_grad():
        for x, target in eval_batches(
            part, config, batch_size=size, workers=settings.data.workers, device=process.device
        ):
            evaluator.update(model(x), target)
    return dict(evaluator.compute(distributed=process.count > 1))


def mixes(settings: Settings) -> bool:
    """Whether batches are mixed, so that targets are probabilities."""
    return settings.augment.mixup > 0 or settings.augment.cutmix > 0


def mixing(settings: Settings, classes: int) -> Mixup | None:
    """timm's mixup and CutMix, or None."""
    augment = settings.augment
    if not mixes(settings):
        return None
    return Mixup(
        mixup_alpha=augment.mixup,
        cutmix_alpha=augment.cutmix,
        prob=augment.mixup_prob,
        switch_prob=augment.mixup_switch_prob,
        mode=augment.mixup_mode,
        label_smoothing=augment.smoothing,
        num_classes=classes,
    )


def transform_of(settings: Settings, config: dict[str, Any]) -> Any:
    """timm's transform of one image, up to pixels from 0 to 255."""
    augment = settings.augment
    return create_transform(
        config["input_size"],
        is_training=True,
        use_prefetcher=True,
        no_aug=augment.no_aug,
        train_crop_mode=augment.train_crop_mode,
        scale=augment.scale,
        ratio=augment.ratio,
        hflip=augment.hflip,
        vflip=augment.vflip,
        color_jitter=augment.color_jitter,
        auto_augment=augment.aa,
        interpolation=augment.train_interpolation,
        mean=config["mean"],
        std=config["std"],
    )


def erasing_of(settings: Settings, device: torch.device) -> RandomErasing | None:
    """timm's random erasing, or None."""
    augment = settings.augment
    if not augment.reprob:
        return None
    return RandomErasing(augment.reprob, mode=augment.remode, max_count=augment.recount, device=device)
