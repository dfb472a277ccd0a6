"""Batch norms whose batch statistics are those of all processes: the trunk's and the levels', on the CPU and on GPUs.

`torch.nn.SyncBatchNorm` refuses maps on the CPU, and neither its conversion nor timm's sees the levels' stacked norms.
Here is one path for every device, made of the kernels of torch's batch norm, with the two exchanges of
`torch.nn.SyncBatchNorm`: means, variances and counts are gathered forward, two sums of gradients are added up backward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import torch.distributed as dist
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from timm.models import register_notrace_module
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn.modules.batchnorm import _BatchNorm

from timm_nhl.errors import ExportError, OptionError
from timm_nhl.models.layers import BatchNorm

Model = TypeVar("Model", bound=nn.Module)


def convert_sync_batchnorm(model: Model, process_group: dist.ProcessGroup | None = None) -> Model:
    """Makes every batch norm of a model, the levels' stacked ones too, normalise over all processes in training.

    In place, as timm's function of this name; returned for convenience. Only the class of each norm changes: tensors,
    state dict, hooks and what an optimizer holds stay. In eval mode and with one process it computes what it was.
    Copies and experts of the model share with the same processes. Levels built afterwards (`reset_classifier` with
    other classes) do not, so convert last, before DistributedDataParallel.

    All processes must run the same norms in the same order: with `select`, the same classes. `torch.compile` breaks its
    graph at each norm that shares. Frozen norms and those that are a `torch.nn.SyncBatchNorm` already are left alone.

    Args:
        process_group: the processes that share; None are all.

    Raises:
        OptionError: with every batch norm of an unknown kind; nothing is changed then.

    >>> from timm_nhl import NHL
    >>> model = convert_sync_batchnorm(NHL("test_resnet", num_classes=8))
    >>> type(model.levels[0].blocks[0].norm1).__name__
    'SyncStackedBatchNorm'
    """
    norms: dict[str, nn.Module] = {
        name: module for name, module in model.named_modules() if isinstance(module, (_BatchNorm, BatchNorm))
    }
    strangers = [
        f"{name!r} ({type(norm).__name__})"
        for name, norm in norms.items()
        if type(norm) not in _KINDS and not isinstance(norm, (_Sync, nn.SyncBatchNorm))
    ]
    if strangers:
        known = ", ".join(kind.__name__ for kind in _KINDS)
        raise OptionError(
            f"cannot synchronise the batch norms {', '.join(strangers)}: only the kinds {known} can be; "
            "build the model with those, or train it without synchronising"
        )
    group = Group(process_group)
    for norm in norms.values():
        norm.__class__ = _KINDS.get(type(norm), type(norm))  # as torch's fully_shard does
        if isinstance(norm, _Sync):
            norm.group = group
    return model


def revert_sync_batchnorm(model: Model) -> Model:
    """Takes `convert_sync_batchnorm` back, in place: each norm uses its own process's statistics again.

    >>> from timm_nhl import NHL
    >>> model = revert_sync_batchnorm(convert_sync_batchnorm(NHL("test_resnet", num_classes=8)))
    >>> type(model.levels[0].blocks[0].norm1).__name__
    'BatchNorm'
    """
    plain: dict[type[nn.Module], type[nn.Module]] = {sync: kind for kind, sync in _KINDS.items()}
    for norm in model.modules():
        if type(norm) in plain:
            norm.__class__ = plain[type(norm)]
            del norm.group
    return model


class Group:
    """The processes that share statistics. Copies of a norm share with the same ones: torch cannot copy a group."""

    def __init__(self, processes: dist.ProcessGroup | None) -> None:
        self.processes = processes

    def __deepcopy__(self, memo: object) -> Group:
        return self

    @property
    def size(self) -> int:
        """How many they are; 1 where no processes were brought together."""
        return dist.get_world_size(self.processes) if dist.is_available() and dist.is_initialized() else 1


class _Sync(nn.Module):
    """Mixed into a batch norm: in training, with more than one process, `shared` instead of its own `forward`."""

    if TYPE_CHECKING:
        group: Group

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.shared(x) if self.training and self.group.size > 1 else super().forward(x)
        return y

    def shared(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def __prepare_scriptable__(self) -> nn.Module:  # what torch.jit.script asks every module
        raise ExportError(
            "a model whose batch norms are synchronised cannot be scripted; "
            "script timm_nhl.models.sync_norm.revert_sync_batchnorm(model)"
        )


class _SyncBatchNorm(_Sync, _BatchNorm):
    """(B, C, ...) -> the same."""

    def shared(self, x: Tensor) -> Tensor:
        self._check_input_dim(x)  # type: ignore[no-untyped-call]  # torch's
        momentum = 0.0 if self.momentum is None else self.momentum
        if self.track_running_stats and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)
            if self.momentum is None:  # the average of all batches
                momentum = 1.0 / float(self.num_batches_tracked)
        running = [self.running_mean, self.running_var] if self.track_running_stats else [None, None]
        weight, bias = self.weight, self.bias
        y: Tensor = sync_batch_norm(x, running, weight, bias, momentum=momentum, eps=self.eps, group=self.group)
        return y


@register_notrace_module  # one node in the graphs of timm's feature extraction
class SyncBatchNorm1d(_SyncBatchNorm, nn.BatchNorm1d):
    """`nn.BatchNorm1d` over all processes."""


@register_notrace_module
class SyncBatchNorm2d(_SyncBatchNorm, nn.BatchNorm2d):
    """`nn.BatchNorm2d` over all processes."""


@register_notrace_module
class SyncBatchNorm3d(_SyncBatchNorm, nn.BatchNorm3d):
    """`nn.BatchNorm3d` over all processes."""


@register_notrace_module
class SyncBatchNormAct2d(_SyncBatchNorm, BatchNormAct2d):
    """timm's `BatchNormAct2d` over all processes."""

    def _check_input_dim(self, x: Tensor) -> None:
        nn.BatchNorm2d._check_input_dim(self, x)

    def shared(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.drop(super().shared(x)))
        return y


@register_notrace_module
class SyncStackedBatchNorm(_Sync, BatchNorm):
    """A level's stacked `BatchNorm` over all processes."""

    def shared(self, x: Tensor) -> Tensor:
        running = [self.running_mean.view(-1), self.running_var.view(-1)]
        weight, bias = self.weight.view(-1), self.bias.view(-1)
        y: Tensor = sync_batch_norm(x, running, weight, bias, momentum=self.momentum, eps=self.eps, group=self.group)
        return y


_KINDS: dict[type[nn.Module], type[_Sync]] = {
    nn.BatchNorm1d: SyncBatchNorm1d,
    nn.BatchNorm2d: SyncBatchNorm2d,
    nn.BatchNorm3d: SyncBatchNorm3d,
    BatchNormAct2d: SyncBatchNormAct2d,
    BatchNorm: SyncStackedBatchNorm,
}


@torch.compiler.disable  # type: ignore[untyped-decorator]  # the exchange between processes cannot be traced; the graph breaks here
def sync_batch_norm(
    x: Tensor,
    running: Sequence[Tensor | None],
    weight: Tensor | None,
    bias: Tensor | None,
    *,
    momentum: float,
    eps: float,
    group: Group,
) -> Tensor:
    """`F.batch_norm` in training mode with the statistics of all processes: (B, C, ...) -> the same.

    Every value of every process counts the same, so batches may be of unequal size, or empty. The result's memory
    format is the input's.

    Args:
        running: mean and variance (C,) to move by `momentum` towards those of the batch, or twice None.
        weight, bias: (C,) or None; each process gets the gradient of its own maps, as DistributedDataParallel wants it.
    """
    mean, var, count = _statistics(x.detach(), group)
    unbiased = var * (count / (count - 1).clamp(min=1))
    for old, new in zip(running, (mean, unbiased), strict=True):
        if old is not None:
            old.mul_(1 - momentum).add_(new.to(old.dtype), alpha=momentum)
    y: Tensor = _Normalise.apply(x, weight, bias, mean, var, count, eps, group)
    return y


def _statistics(x: Tensor, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and biased variance (C,), and the number () of values of a channel, over the maps of all processes.

    Gathered and merged by Chan et al.'s formula (1979): a sum of squares over processes, which one all-reduce would do,
    loses the variance of channels whose mean is large.
    """
    channels, values = x.shape[1], x.numel() // x.shape[1]
    # what is moved here is thrown away, but says that bfloat16 is to be summed up in float32
    zeros = torch.zeros(channels, dtype=torch.promote_types(x.dtype, torch.float32), device=x.device)
    mean, var = torch.batch_norm_update_stats(x, zeros, zeros.clone(), 0.0) if values else (zeros, zeros)
    mine = torch.cat([mean, var, zeros.new_full((1,), values)])  # (2C + 1,)
    gathered = [torch.empty_like(mine) for _ in range(group.size)]
    dist.all_gather(gathered, mine, group.processes)
    means, variances, counts = torch.stack(gathered).split([channels, channels, 1], dim=1)  # (W, C), (W, C), (W, 1)
    count = counts.sum()
    share = counts / count.clamp(min=1)  # (W, 1)
    mean = (share * means).sum(0)
    return mean, (share * (variances + (means - mean).square())).sum(0), count


class _Normalise(torch.autograd.Function):
    """Batch norm with given statistics, which are themselves functions of the maps of all processes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        var: Tensor,
        count: Tensor,
        eps: float,
        group: Group,
    ) -> Tensor:
        ctx.save_for_backward(x, weight, mean, var, count)
        ctx.eps, ctx.group, ctx.bias_dtype = eps, group, None if bias is None else bias.dtype
        weight, bias = (None if p is None else p.to(mean.dtype) for p in (weight, bias))
        return F.batch_norm(x, mean, var, weight, bias, False, 0.0, eps)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        """With n = (x - mean) / std: dx = weight / std * (dy - E[dy] - n * E[dy * n]), E over all processes."""
        x, weight, mean, var, count = ctx.saved_tensors
        scale = (var + ctx.eps).rsqrt()  # (C,)
        factor = scale if weight is None else scale * weight
        if x.numel():
            # in eval mode the kernel for the sums of dy * n and dy, of this process
            wide = None if weight is None else weight.to(mean.dtype)
            _, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
                dy, x, wide, mean, var, None, None, False, ctx.eps, [False, True, True]
            )
        else:
            d_weight, d_bias = torch.zeros_like(mean), torch.zeros_like(mean)
        dx = None
        if ctx.needs_input_grad[0]:
            sums = torch.stack([d_weight, d_bias])  # (2, C)
            dist.all_reduce(sums, group=ctx.group.processes)
            d_scale, d_shift = sums / count.clamp(min=1)
            slope = -factor * scale * d_scale  # of dx over x, (C,)
            offset = -factor * d_shift - slope * mean
            shape = [1, -1, *[1] * (x.ndim - 2)]
            # two passes over the maps, in float32 at least
            dx = torch.addcmul(offset.view(shape), x, slope.view(shape)).addcmul_(dy, factor.view(shape)).to(x.dtype)
        wanted = ctx.needs_input_grad
        d_weight = d_weight.to(weight.dtype) if wanted[1] else None
        d_bias = d_bias.to(ctx.bias_dtype) if wanted[2] else None
        return dx, d_weight, d_bias, None, None, None, None, None
