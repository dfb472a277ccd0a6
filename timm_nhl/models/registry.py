"""Registers `<backbone>_nhl` with timm for every backbone that it has; this happens when the file is imported.

`import timm_nhl` imports it, at once or as soon as timm is imported. It needs nothing but timm's registry: the network
itself is imported when a model is created.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import timm
from timm.models import DefaultCfg, build_model_with_cfg, register_model
from timm.models._registry import _model_default_cfgs, _model_has_pretrained, _model_pretrained_cfgs

from hierarchy import load

SUFFIX = "_nhl"
CLASSIFIER = "head.fc"

__all__: list[str] = []  # a list: timm appends the entry points' names
default_cfgs: dict[str, DefaultCfg] = {}  # timm reads the cfgs of this module's entry points here


def register(backbone: str) -> None:
    """Registers one architecture, with a cfg for each of the backbone's pretrained tags."""
    name = backbone + SUFFIX
    known: Any = _model_default_cfgs.get(backbone)  # a DefaultCfg; timm's annotation says otherwise
    if known is not None:
        cfgs = {tag: _cfg(_model_pretrained_cfgs[f"{backbone}.{tag}" if tag else backbone]) for tag in known.tags}
        default_cfgs[name] = DefaultCfg(tags=known.tags.copy(), cfgs=cfgs, is_pretrained=known.is_pretrained)
    create = _entry_point(backbone)
    # timm registers under these two
    create.__name__ = create.__qualname__ = name
    create.__module__ = __name__
    create.__doc__ = f"{backbone} with nested high-level features; see `timm_nhl.NHL` for what it takes."
    setattr(sys.modules[__name__], name, create)
    register_model(create)
    # the weights are those of the trunk: `list_pretrained` and `is_model_pretrained` must not claim more
    _model_has_pretrained.difference_update({name, *(f"{name}.{tag}" for tag in (known.tags if known else ()))})


def _cfg(cfg: Any) -> Any:
    """A backbone's cfg as that of its NHL: same weights and inputs, another end."""
    first = cfg.first_conv
    names = (first,) if isinstance(first, str) else tuple(first or ())
    prefixed = tuple(f"trunk.net.{name}" for name in names)
    return replace(
        cfg,
        num_classes=1000,  # also without weights: timm's default
        classifier=CLASSIFIER,
        first_conv=prefixed[0] if len(prefixed) == 1 else prefixed or None,
        pool_size=None,  # known once the split and the strides are
        test_pool_size=None,
        label_offset=None,
        label_names=None,
        label_descriptions=None,
    )


def _entry_point(backbone: str) -> Callable[..., Any]:
    def create(pretrained: bool = False, **kwargs: Any) -> Any:
        from timm_nhl.models.nhl import NHL
        from timm_nhl.weights import adapt_pretrained

        kwargs = _with_classes(kwargs)
        model = build_model_with_cfg(
            partial(NHL, backbone),
            backbone + SUFFIX,
            pretrained,
            pretrained_filter_fn=adapt_pretrained,
            feature_cfg={"out_indices": 4, "feature_cls": "getter"},  # the split point and the three levels
            **kwargs,
        )
        if isinstance(model, NHL):
            model.pretrained_cfg["pool_size"] = _pool_size(model)
        return model

    return create


def _with_classes(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Arguments with the hierarchy loaded and its number of classes filled in, also for timm's loader."""
    kwargs = dict(kwargs)
    saved = kwargs.get("pretrained_model_args") or {}
    others = saved and kwargs.get("num_classes") not in (None, 0, saved.get("num_classes"))
    if others and kwargs.get("hierarchy") is saved.get("hierarchy"):
        kwargs["hierarchy"] = None  # other classes are wanted than those that were saved
    if saved.get("labels") is not None and kwargs.get("hierarchy") is not saved.get("hierarchy"):
        kwargs["labels"] = None  # they belong to the saved hierarchy
    if saved.get("router") and kwargs.get("router") == saved["router"]:
        kwargs["router"] = _scored(saved, kwargs.get("hierarchy"))
    if kwargs.get("hierarchy") is not None:
        kwargs["hierarchy"] = load(kwargs["hierarchy"])
        if kwargs.get("num_classes") is not None and kwargs["num_classes"] == saved.get("num_classes"):
            del kwargs["num_classes"]  # that of the checkpoint; another hierarchy may have been asked for
        kwargs.setdefault("num_classes", len(kwargs["hierarchy"]))
    if kwargs.get("num_classes"):
        # timm drops a classifier of another size than the cfg's, but `adapt` has made it fit
        overlay = kwargs.get("pretrained_cfg_overlay") or {}
        kwargs["pretrained_cfg_overlay"] = {**overlay, "num_classes": kwargs["num_classes"]}
    return kwargs


def _scored(saved: Mapping[str, Any], hierarchy: Any) -> bool | tuple[str, ...]:
    """What the router of a saved model scores in one of another hierarchy: the same groups, if it is a part."""
    if hierarchy is None:
        return True
    scored = load(saved["hierarchy"]).nodes(2) if saved["router"] is True else tuple(saved["router"])
    return scored if {*load(hierarchy).nodes(2)} <= {*scored} else True


def _pool_size(model: Any) -> tuple[int, int]:
    """Height and width of the leaves' maps at the cfg's input size."""
    trunk, size = model.trunk, model.pretrained_cfg["input_size"]
    plain = timm.get_pretrained_cfg(trunk.backbone)
    height, width = _divide(size[1:], trunk.stride)
    if plain is not None and plain.pool_size not in (None, _divide(plain.input_size[1:], trunk.whole_stride)):
        height, width = trunk.measure(size)  # convolutions without padding
    for branch in model.branches:
        height, width = _divide((height, width), branch.stride)
    return height, width


def _divide(size: Sequence[int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


for _backbone in timm.list_models():
    register(_backbone)
