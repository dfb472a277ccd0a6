"""A model with everything that trains it: gradients of a batch, optimizer steps, evaluation, and their state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from timm.loss import create_classification_loss
from timm.task import ClassificationTask, LogitDistillationTask, TrainingTask
from timm.utils import distribute_bn
from timm.utils.clip_grad import dispatch_clip_grad
from torch import Tensor, nn

from hierarchy.errors import nearest
from timm_nhl.data import (
    INITIALIZATION,
    STEP,
    BlockSampler,
    EpochSampler,
    Images,
    eval_loader,
    seed_all,
    train_loader,
)
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.features import TRUNK, Cached, FeatureLoader, OnFeatures, TrunkOutputs, cache_outputs
from timm_nhl.growing import Growth
from timm_nhl.models import NHL
from timm_nhl.train.build import create_model, load_teacher, mixup, random_erasing, resolve_inputs, train_transform
from timm_nhl.train.distributed import Process
from timm_nhl.train.losses import RouterLoss, WithScores
from timm_nhl.train.optim import create_optimizer, create_scheduler
from timm_nhl.train.settings import Chosen


class Trainer:
    """A timm task around a model, with an optimizer, its schedule, a loss scaler and perhaps a moving average.

    Args:
        images: the training images; they name the classes.
        sampler: their batches.
        start: a saved model of their classes to train further.

    Raises:
        NHLError, HierarchyError: the model, the teacher, the optimizer or the schedule cannot be created.
    """

    def __init__(
        self,
        settings: Chosen,
        images: Images,
        *,
        sampler: EpochSampler,
        process: Process,
        start: nn.Module | None = None,
    ) -> None:
        self.settings, self.sampler, self.process = settings, sampler, process
        seed_all(settings.seed, INITIALIZATION)  # on the CPU, where it is created: the same weights on any device
        classes = len(images.classes)
        self.model = create_model(settings, hierarchy=images.hierarchy, num_classes=classes, start=start)
        if isinstance(self.model, Growth):
            self.model.check_labels(images.labels.tolist())
        self.inputs = resolve_inputs(settings, self.model)
        self.memory_format = torch.channels_last if settings.channels_last else torch.preserve_format
        self.model.to(device=process.device).to(memory_format=self.memory_format)
        if settings.sync_bn:
            if process.device.type == "cpu":
                raise OptionError("--sync-bn needs GPUs: torch's SyncBatchNorm does not run on the CPU; remove it")
            self.model = convert_sync_batchnorm(self.model)
        self.cached: Cached | None = None
        self.tested: tuple[tuple[str, int], Cached] | None = None  # features of the images of the last evaluation
        if settings.cache is None:
            self.loader = self.create_loader(images, sampler)
        else:
            self.cached = self.cache(images, transform=train_transform(settings, self.inputs))
            self.loader = FeatureLoader(self.cached, sampler, TRUNK, device=process.device)
        self.erasing = random_erasing(settings, process.device)
        self.mixup = mixup(settings, num_classes=len(images.classes))
        self.optimizer = create_optimizer(self.model, settings, step_size=sampler.step_size)
        self.scheduler, self.epochs = create_scheduler(
            self.optimizer, settings, steps_per_epoch=sampler.steps_per_epoch
        )
        # float16 loses small gradients unless the loss is scaled; bfloat16 has the range of float32
        scales = settings.amp and settings.amp_dtype == "float16"
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=scales)
        self.wrapped: OnFeatures | WithScores | None = None
        self.router_loss = None
        if self.cached is not None:
            assert isinstance(self.model, NHL)
            self.wrapped = OnFeatures(self.model)
        elif isinstance(self.model, NHL | Growth) and self.model.router is not None:
            self.wrapped = WithScores(self.model)
            self.router_loss = RouterLoss(
                self.model.hierarchy, self.model.find_group_columns(), smoothing=settings.smoothing
            ).to(process.device)
        self.task = self._create_task(images)

    def create_loader(self, images: Images, sampler: EpochSampler) -> Any:
        """The sampler's batches of some images, augmented."""
        return train_loader(
            images,
            self.inputs,
            transform=train_transform(self.settings, self.inputs),
            sampler=sampler,
            workers=self.settings.workers,
            device=self.process.device,
        )

    def cache(self, images: Images, *, transform: Any = None) -> Cached:
        """What the trunk gives for some images, with the views of a random transform, from disk or now computed."""
        assert isinstance(self.model, NHL) and self.settings.cache is not None
        return cache_outputs(
            TrunkOutputs(self.model),
            images,
            folder=Path(self.settings.cache),
            inputs=self.inputs,
            transform=transform,
            views=1 if transform is None else min(self.settings.cache_views, self.settings.epochs),
            seed=self.settings.seed,
            limit=int(self.settings.cache_gb * 2**30),
            batch_size=self.settings.validation_batch_size or self.settings.batch_size,
            workers=self.settings.workers,
            device=self.process.device,
        )

    def _create_task(self, images: Images) -> TrainingTask:
        """timm's task: the model and its losses, perhaps with a moving average, compiled, or distributed."""
        s, device = self.settings, self.process.device
        model = self.wrapped or self.model
        loss = create_classification_loss(smoothing=s.smoothing, soft_targets=self.mixup is not None)
        task: TrainingTask
        if s.teacher is None:
            task = ClassificationTask(model, loss, device=device, verbose=False)
        else:
            teacher = load_teacher(s.teacher, classes=images.classes).to(device).to(memory_format=self.memory_format)
            task = LogitDistillationTask(
                model,
                teacher,
                loss,
                distill_loss_weight=s.distill_weight,
                temperature=s.distill_temperature,
                device=device,
                verbose=False,
            )
        if s.model_ema:
            task.setup_ema(decay=s.model_ema_decay, use_warmup=s.model_ema_warmup)
        if s.torchcompile:
            backends = torch.compiler.list_backends(exclude_tags=())
            if s.torchcompile not in backends:
                close = nearest(s.torchcompile, backends)
                raise OptionError(f"--torchcompile {s.torchcompile!r} is not a backend of torch.compile{close}")
            task.compile(backend=s.torchcompile, mode=s.torchcompile_mode)
        if self.process.world_size > 1:
            task.prepare_distributed(device_ids=[device] if device.type == "cuda" else None)
        return task

    def compute_gradients(self, x: Tensor, target: Tensor, *, step: int, micro: int) -> dict[str, Tensor]:
        """Adds the gradients of a micro-batch; returns its loss and the loss's parts.

        Args:
            x: (B, C, H, W).
            target: (B,) labels.
            step, micro: the number of the step, and of the micro-batch within it.
        """
        s, device = self.settings, self.process.device
        seed_all(s.seed, STEP, step, self.process.rank, micro, device=device)
        if self.erasing is not None:
            x = self.erasing(x)
        if self.mixup is not None:
            self.mixup.mixup_enabled = not s.mixup_off_epoch or step // self.sampler.steps_per_epoch < s.mixup_off_epoch
            x, target = self.mixup(x, target)  # (B,) -> (B, K)
        is_last = micro == s.grad_accum_steps - 1
        with nullcontext() if is_last else self.task.no_sync():  # processes exchange gradients once a step
            with self._autocast():
                result = self._forward(x.to(memory_format=self.memory_format), target)
            self.scaler.scale(result["loss"] / s.grad_accum_steps).backward()
        return {name: value.detach() for name, value in result.items() if value.ndim == 0}

    def _forward(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        try:
            result = dict(self.task(x, target))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise TrainingError(
                f"a batch norm sees one value per channel: {len(x)} image of {x.shape[-2]}x{x.shape[-1]} pixels shrinks"
                " to one pixel; raise --batch-size or --img-size"
            ) from error
        if isinstance(self.wrapped, WithScores) and self.router_loss is not None:
            assert self.wrapped.scores is not None  # the task has just run the model
            result["router"] = self.router_loss(self.wrapped.scores, target)
            result["loss"] = result["loss"] + self.settings.router_weight * result["router"]
        return result

    def optimizer_step(self, step: int) -> None:
        """Updates the weights, the learning rate and the moving average; `step` counts this step, too."""
        clip, mode = self.settings.clip_grad, self.settings.clip_mode
        if clip is not None:
            self.scaler.unscale_(self.optimizer)
            dispatch_clip_grad(self.task.get_clip_parameters(exclude_head=mode == "agc"), clip, mode)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.scheduler.step_update(step)
        self.task.update_ema(step=step)

    def train_mode(self) -> None:
        """Sets everything to train mode but a frozen trunk."""
        self.task.train()
        if self.settings.freeze_trunk:
            self.model.get_submodule("trunk").eval()

    def evaluate(self, images: Images) -> dict[str, float]:
        """Loss, top-1 and top-5 in percent, of the model and of its moving average; each process takes a part."""
        process = self.process
        models = {"eval": self.model} | ({} if self.ema_model is None else {"ema": self.ema_model})
        evaluators = {name: self.task.create_evaluator() for name in models}
        if process.world_size > 1:
            for model in models.values():
                distribute_bn(model, process.world_size, reduce=False)
        for target, *logits in self.predict(images.part(process.rank, process.world_size), *models.values()):
            for evaluator, each in zip(evaluators.values(), logits, strict=True):
                evaluator.update(each, target)
        results = {name: each.compute(distributed=process.world_size > 1) for name, each in evaluators.items()}
        return {f"{name}_{metric}": value for name, result in results.items() for metric, value in result.items()}

    def predict(self, images: Images, *models: nn.Module) -> Iterator[tuple[Tensor, ...]]:
        """The labels (B,) of each batch of images and, by each model, their logits (B, K)."""
        self.task.eval()
        size = self.settings.validation_batch_size or self.settings.batch_size
        batches: Iterable[tuple[Tensor, Tensor]]
        if self.cached is not None:
            if self.tested is None or self.tested[0] != (images.name, len(images)):
                self.tested = ((images.name, len(images)), self.cache(images))
            sampler = BlockSampler(0, range(len(images)), batch_size=size, seed=self.settings.seed)
            batches = FeatureLoader(self.tested[1], sampler, TRUNK, device=self.process.device)
            models = tuple(OnFeatures(model) for model in models if isinstance(model, NHL))
        else:
            workers, device = self.settings.workers, self.process.device
            batches = eval_loader(images, self.inputs, batch_size=size, workers=workers, device=device)
        with torch.no_grad():
            for x, target in batches:
                with self._autocast():
                    yield (target, *(model(x.to(memory_format=self.memory_format)) for model in models))

    @property
    def ema_model(self) -> nn.Module | None:
        """The moving average of the weights, if there is one."""
        ema: Any = self.task.get_trainable_module(ema=True)
        if ema is None:
            return None
        module: nn.Module = ema.module if self.wrapped is None else ema.module.model
        return module

    @property
    def best_model(self) -> nn.Module:
        """The model to save: the moving average if there is one; when growing, the grown model."""
        model = self.model if self.ema_model is None else self.ema_model
        return model.grown() if isinstance(model, Growth) else model

    @property
    def lr(self) -> float:
        """The learning rate of parameters without a factor of their own."""
        return next(
            float(group["lr"] / scale) for group in self.optimizer.param_groups if (scale := group.get("lr_scale", 1.0))
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything that training changes; the schedule is a function of the step."""
        return {
            "model": self.model.state_dict(),
            "ema": None if self.ema_model is None else self.ema_model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restores a `state_dict`."""
        self.model.load_state_dict(state["model"])
        if self.ema_model is not None:
            self.ema_model.load_state_dict(state["ema"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])

    def _autocast(self) -> AbstractContextManager[Any]:
        if not self.settings.amp:
            return nullcontext()
        return torch.autocast(self.process.device.type, dtype=getattr(torch, self.settings.amp_dtype))
