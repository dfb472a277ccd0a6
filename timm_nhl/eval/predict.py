"""Runs a network over images once, and keeps what it predicts restricted to any parts of their classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import torch
from timm.data import resolve_data_config
from torch import Tensor, nn

from timm_nhl.data import Images, eval_loader
from timm_nhl.errors import EvaluationError, summarize
from timm_nhl.eval.metrics import Outcomes, join, judge
from timm_nhl.eval.model_io import Classifier

Track: TypeAlias = Callable[[Any, str], Iterable[Any]]  # (a loader, the network's name) -> the loader's batches


@dataclass(frozen=True)
class Inference:
    """How networks are run.

    Args:
        device: where they compute.
        batch_size: images at once.
        workers: processes that load images.
        amp_dtype: type of mixed precision; None is float32.
        channels_last: memory format of images and weights.
        img_size, crop_pct: side and center crop of the images; by default those of the model's config, for testing.
    """

    device: torch.device | str = "cpu"
    batch_size: int = 256
    workers: int = 0
    amp_dtype: torch.dtype | None = None
    channels_last: bool = False
    img_size: int | None = None
    crop_pct: float | None = None

    def config(self, model: nn.Module) -> dict[str, Any]:
        """Size, normalisation and crop of a model's images, as timm's validate.py resolves them.

        Raises:
            EvaluationError: the model's images are not of three channels.
        """
        cfg: Any = model.pretrained_cfg
        if cfg["input_size"][0] != 3:
            raise EvaluationError(
                f"the model takes images with {cfg['input_size'][0]} channels; only RGB images can be evaluated"
            )
        asked = {"img_size": self.img_size, "crop_pct": self.crop_pct}
        # a size that is built into the model is what it has now, not what its first weights were tested at
        return dict(resolve_data_config(asked, model=model, use_test_size=not cfg.get("fixed_input_size")))


def skip_tracking(loader: Any, network: str) -> Iterable[Any]:
    """Reports nothing."""
    yield from loader


def predict(
    classifier: Classifier,
    images: Images,
    parts: Sequence[Sequence[int]],
    *,
    inference: Inference,
    track: Track = skip_tracking,
) -> list[Outcomes]:
    """What a network predicts for each of several parts of the images' classes, in one pass.

    Args:
        classifier: its model is moved to the device, and resized if it has positions.
        images: labelled along a hierarchy; the classifier's classes are ids of it.
        parts: labels of the classes of each part. A part sees the images of its classes only, and predicts the largest
            logit among them; its outcomes number the classes as it does.

    Raises:
        EvaluationError: a class without output, a part without images, logits that are not finite, or images of a size
            that the model cannot take.
    """
    loader, precision, memory, _ = prepare(classifier, images, inference)
    model, device = classifier.model, torch.device(inference.device)
    outputs = torch.tensor(classifier.outputs(images.classes), device=device)  # (K,), label -> output
    columns = [outputs[list(part)] for part in parts]
    places = [_find_places(part, len(images.classes)).to(device) for part in parts]
    kept: list[list[Outcomes]] = [[] for _ in parts]
    done = 0
    with torch.inference_mode():
        for x, labels in track(loader, classifier.source):
            with precision:
                logits = model(x.contiguous(memory_format=memory))  # (B, C, H, W) -> (B, outputs)
            rows = images.rows[done : done + len(labels)]
            done += len(labels)
            for outcomes, column, place in zip(kept, columns, places, strict=True):
                targets = place[labels]  # (B,), -1 where the image is of another class
                asked = targets >= 0
                if asked.any():
                    own = logits[asked][:, column]  # (B, outputs) -> (images of the part, its classes)
                    outcomes.append(judge(own, targets[asked], images=rows[asked.cpu().numpy()]))
    for part, outcomes in zip(parts, kept, strict=True):
        if not outcomes:
            raise EvaluationError(
                f"{images.name} has no images of {', '.join(repr(images.classes[label]) for label in part[:3])}"
                f"{f' and {len(part) - 3} more' if len(part) > 3 else ''}; choose another split or other classes"
            )
    return [join(outcomes) for outcomes in kept]


def prepare(
    classifier: Classifier, images: Images, inference: Inference
) -> tuple[Any, AbstractContextManager[Any], torch.memory_format, dict[str, Any]]:
    """Moves a classifier's model to the device and fits it to the size of the images.

    Returns:
        A loader of the images, the precision to compute in, the memory format of images, the config of the images.

    Raises:
        EvaluationError: images of a size that the model cannot take.
    """
    device = torch.device(inference.device)
    memory = torch.channels_last if inference.channels_last else torch.contiguous_format
    model: Any = classifier.model.to(device)
    model.to(memory_format=memory)
    config = inference.config(model)
    _resize(classifier.source, model, config["input_size"])
    loader = eval_loader(images, config, batch_size=inference.batch_size, workers=inference.workers, device=device)
    precision: AbstractContextManager[Any] = nullcontext()
    if inference.amp_dtype is not None:
        precision = torch.autocast(device.type, dtype=inference.amp_dtype)
    return loader, precision, memory, config


def select_classes(images: Images, labels: Sequence[int]) -> Images:
    """The images of some classes, labelled in the order of these."""
    assert images.hierarchy is not None
    new = _find_places(labels, len(images.classes)).numpy()[images.labels]
    tree = images.hierarchy.at(labels)
    return replace(images, rows=images.rows[new >= 0], labels=new[new >= 0], classes=tree.classes, hierarchy=tree)


def _find_places(labels: Sequence[int], classes: int) -> Tensor:
    """(K,): the position of each label among some; -1 for those that are not."""
    places = torch.full((classes,), -1, dtype=torch.int64)
    places[list(labels)] = torch.arange(len(labels))
    return places


def _resize(source: str, model: nn.Module, size: Sequence[int]) -> None:
    """Makes a model take images of a size (C, H, W): resizes positions and windows, and tries one image.

    Raises:
        EvaluationError: the model cannot take them.
    """
    cfg: Any = model.pretrained_cfg
    if tuple(cfg["input_size"][-2:]) == tuple(size[-2:]):
        return
    resize: Any = getattr(model, "set_input_size", None)
    try:
        if resize is not None:
            resize(img_size=tuple(size[-2:]))
        with torch.inference_mode():
            model(torch.zeros(1, *size, device=next(model.parameters()).device))
    except (AssertionError, RuntimeError, ValueError) as error:  # what timm's models raise
        reason = summarize(error)
        raise EvaluationError(
            f"{source!r} cannot take images of {size[-2]} x {size[-1]} pixels ({reason}); use another --img-size, or"
            " leave it out for the model's own"
        ) from error
