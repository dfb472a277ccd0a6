"""A model and all it is trained by; it does a batch, a step, an evaluation, and gives and takes its state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from timm.layers import convert_sync_batchnorm
from timm.loss import create_classification_loss
from timm.task import ClassificationTask, LogitDistillationTask, TrainingTask
from timm.utils.clip_grad import dispatch_clip_grad
from torch import Tensor, nn

from hierarchy.errors import nearest
from timm_nhl.data.augment import erasing_of, mixing_of, transform_of
from timm_nhl.data.images import Images, eval_batches, train_batches
from timm_nhl.data.sampler import Order
from timm_nhl.data.seeds import MODEL, STEP, seed_all
from timm_nhl.errors import OptionError, TrainingError
from timm_nhl.growing import Growth
from timm_nhl.models.nhl import NHL
from timm_nhl.train.build import data_config, student_of
from timm_nhl.train.config import Settings
from timm_nhl.train.distributed import Process
from timm_nhl.train.losses import LevelLoss
from timm_nhl.train.optim import optimizer_of
from timm_nhl.train.schedule import base_rate, schedule_of
from timm_nhl.train.teacher import teacher_of


class Learner:
    """What learns: timm's task around a model, an optimizer with its schedule, perhaps a moving average and a scaler.

    Args:
        settings: of the training.
        images: that are trained on; they say what the classes are.
        order: of these images.
        process: which this is of how many.

    Raises:
        NHLError, HierarchyError: the model, the teacher or the schedule cannot be made.
    """

    def __init__(self, settings: Settings, images: Images, *, order: Order, process: Process) -> None:
        self.settings, self.order, self.process = settings, order, process
        machine = settings.machine
        seed_all(machine.seed, MODEL)  # on the CPU, where it is made: the same weights on any device
        self.model = student_of(settings.model, tree=images.hierarchy, classes=len(images.classes))
        if isinstance(self.model, Growth):
            self.model.check_labels(images.labels.tolist())
        self.config = data_config(settings.model, self.model)
        self.transform = transform_of(settings.augment, self.config)
        self.mixing = mixing_of(settings.augment, len(images.classes))
        self.format = torch.channels_last if machine.channels_last else torch.preserve_format
        self.model.to(device=process.device).to(memory_format=self.format)
        if machine.sync_bn:
            self.model = convert_sync_batchnorm(self.model)
        self.optimizer = optimizer_of(
            self.model,
            settings.optimizer,
            lr=base_rate(settings.schedule, opt=settings.optimizer.opt, step_size=order.step_size),
        )
        self.schedule, epochs = schedule_of(self.optimizer, settings.schedule, steps_per_epoch=order.steps_per_epoch)
        self.steps = epochs * order.steps_per_epoch
        scales = (
            machine.amp and machine.amp_dtype == "float16"
        )  # small gradients would be 0; bfloat16 has float32's range
        self.scaler = torch.amp.GradScaler(process.device.type, enabled=scales)
        self.task = self._task(images)
        average = settings.average
        if average.model_ema:
            self.task.setup_ema(decay=average.model_ema_decay, use_warmup=average.model_ema_warmup)
        if machine.torchcompile:
            backends = torch.compiler.list_backends(exclude_tags=())
            if machine.torchcompile not in backends:
                close = nearest(machine.torchcompile, backends)
                raise OptionError(f"--torchcompile {machine.torchcompile!r} is no backend here; like inductor{close}")
            self.task.compile(backend=machine.torchcompile, mode=machine.torchcompile_mode)
        if process.count > 1:
            self.task.prepare_distributed(device_ids=[process.device] if process.device.type == "cuda" else None)

    @property
    def saved_model(self) -> nn.Module:
        """The model that is worth keeping: the moving average, if there is one; of one that is grown, all of it."""
        ema: Any = self.task.get_trainable_module(ema=True)
        model: nn.Module = self.model if ema is None else ema.module
        return model.grown() if isinstance(model, Growth) else model

    @property
    def rate(self) -> float:
        """The learning rate of what has no scale of its own."""
        groups = self.optimizer.param_groups
        group = next((each for each in groups if each.get("lr_scale", 1.0)), None)
        return 0.0 if group is None else float(group["lr"] / group.get("lr_scale", 1.0))

    def batches(self, images: Images, steps: range) -> Any:
        """The micro batches of this process for some steps."""
        return train_batches(
            images,
            self.config,
            transform=self.transform,
            erasing=erasing_of(self.settings.augment, self.process.device),
            order=self.order,
            steps=steps,
            process=self.process.rank,
            workers=self.settings.data.workers,
            device=self.process.device,
        )

    def learn(self, x: Tensor, target: Tensor, *, step: int, micro: int) -> dict[str, Tensor]:
        """Adds the gradients of one micro batch; gives its loss and, if there are, the loss's parts.

        Args:
            x: (B, C, H, W).
            target: (B,) labels.
        """
        seed_all(self.settings.machine.seed, STEP, step, self.process.rank, micro, device=self.process.device)
        if self.mixing is not None:
            off = self.settings.augment.mixup_off_epoch
            self.mixing.mixup_enabled = not off or step // self.order.steps_per_epoch < off
            x, target = self.mixing(x, target)  # (B,) -> (B, K)
        last = micro == self.order.micro_batches - 1
        with nullcontext() if last else self.task.no_sync():  # processes exchange gradients once a step
            with self._precision():
                result = self._result(x.to(memory_format=self.format), target)
            self.scaler.scale(result["loss"] / self.order.micro_batches).backward()
        return {name: value.detach() for name, value in result.items() if value.ndim == 0}

    def _result(self, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        try:
            return dict(self.task(x, target))
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise TrainingError(
                f"batch norm has but one value to normalise: {len(x)} image of {x.shape[-2]}x{x.shape[-1]} ends in a"
                " map of one place; raise --batch-size or --img-size"
            ) from error

    def update(self, step: int) -> None:
        """Ends a step, which makes it so many: changes the weights, the learning rate and the moving average."""
        clip, mode = self.settings.optimizer.clip_grad, self.settings.optimizer.clip_mode
        if clip is not None:
            self.scaler.unscale_(self.optimizer)
            dispatch_clip_grad(self.task.get_clip_parameters(exclude_head=mode == "agc"), clip, mode)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()
        self.schedule.step_update(step)
        self.task.update_ema(step=step)

    def train_mode(self) -> None:
        """Sets all but what is frozen, norms included, to training."""
        self.task.train()
        if self.settings.model.freeze_trunk and isinstance(self.model, NHL):
            self.model.trunk.eval()

    def evaluate(self, images: Images) -> dict[str, float]:
        """Loss, top-1 and top-5 in percent, of the model and of its moving average; each process does its part."""
        self.task.eval()
        ema: Any = self.task.get_trainable_module(ema=True)
        models = {"eval": self.model} | ({} if ema is None else {"ema": ema.module})
        evaluators = {name: self.task.create_evaluator() for name in models}
        for model in models.values():
            self.process.share_buffers(model)  # each process has its own running statistics; the first one's count
        batches = eval_batches(
            images.part(self.process.rank, self.process.count),
            self.config,
            batch_size=self.settings.schedule.validation_batch_size or self.order.batch_size,
            workers=self.settings.data.workers,
            device=self.process.device,
        )
        with torch.no_grad(), self._precision():
            for x, target in batches:
                for name, model in models.items():
                    evaluators[name].update(model(x.to(memory_format=self.format)), target)
        results = {name: each.compute(distributed=self.process.count > 1) for name, each in evaluators.items()}
        return {f"{name}_{metric}": value for name, result in results.items() for metric, value in result.items()}

    def state(self) -> dict[str, Any]:
        """All that training has changed; the schedule has no state, it is a function of the step."""
        ema: Any = self.task.get_trainable_module(ema=True)
        return {
            "model": self.model.state_dict(),
            "ema": None if ema is None else ema.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        ema: Any = self.task.get_trainable_module(ema=True)
        if ema is not None:
            ema.module.load_state_dict(state["ema"])
        self.scaler.load_state_dict(state["scaler"])

    def _task(self, images: Images) -> TrainingTask:
        """timm's task: the loss on labels, that on levels, and that of a teacher."""
        loss, smoothing = self.settings.loss, self.settings.augment.smoothing
        criterion: nn.Module
        if any(loss.level_loss):
            assert images.hierarchy is not None  # as `train` made sure
            criterion = LevelLoss(images.hierarchy, weights=loss.level_loss, smoothing=smoothing)
        else:
            criterion = create_classification_loss(smoothing=smoothing, soft_targets=self.mixing is not None)
        device = self.process.device
        if loss.teacher is None:
            return ClassificationTask(self.model, criterion, device=device, verbose=False)
        teacher = teacher_of(loss.teacher, classes=images.classes).to(device=device).to(memory_format=self.format)
        return LogitDistillationTask(
            self.model,
            teacher,
            criterion,
            distill_loss_weight=loss.distill_weight,
            temperature=loss.distill_temperature,
            device=device,
            verbose=False,
        )

    def _precision(self) -> AbstractContextManager[Any]:
        """Where products are computed in mixed precision, if they are."""
        machine = self.settings.machine
        if not machine.amp:
            return nullcontext()
        return torch.autocast(self.process.device.type, dtype=getattr(torch, machine.amp_dtype))
