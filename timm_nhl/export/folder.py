"""A model on disk: a folder with its weights (safetensors) and its config, which timm loads as `local-dir:FOLDER`."""

from __future__ import annotations

import copy
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.models import save_for_hf
from torch import nn

from hierarchy import Hierarchy, HierarchyError
from hierarchy import save as save_hierarchy
from hierarchy.errors import nearest
from hierarchy.files import publish
from timm_nhl.errors import CheckpointError, ExportError, NHLError, OptionError, summarize
from timm_nhl.export.verify import check_same, find_weight, write_checked
from timm_nhl.models import NHL, SUFFIX
from timm_nhl.weights import load_weights, read_weights

LOCAL = "local-dir:"  # what timm wants in front of a folder
WEIGHTS = ("model.safetensors", "pytorch_model.bin")


def save(model: NHL, folder: str | os.PathLike[str]) -> None:
    """Writes weights and config, with hierarchy and labels, to a new folder; checks that they load as they were.

    Raises:
        ExportError: the folder is not empty or cannot be written, the model is fused, or timm did not make it.
    """
    target = Path(folder)
    if not isinstance(model, NHL):
        raise ExportError(
            f"expected a nested model, got {type(model).__name__}; save a plain one with timm.models.save_for_hf"
        )
    if model.fused:
        raise ExportError("cannot save a fused model; save the model it was made from")
    if not hasattr(model, "pretrained_cfg"):
        raise ExportError("cannot save a model without a cfg; create it with timm.create_model('<backbone>_nhl', ...)")
    check_new(target)

    def write(temporary: Path) -> None:
        temporary.mkdir()
        write_files(model, temporary, label_names=model.hierarchy.classes)

    def check(written: Path) -> None:
        weight = find_weight(model)
        check_same(load(written).to(weight.device, weight.dtype), model, batches=(1,))

    write_checked(target, write, check)


def check_new(target: Path) -> None:
    """Makes sure that a folder is empty or not there.

    Raises:
        ExportError: it is not.
    """
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{str(target)!r} already exists; name a new folder")


def write_files(
    model: nn.Module, folder: Path, *, label_names: Sequence[str], hierarchy: Hierarchy | None = None
) -> None:
    """Writes a model's files into a folder, each atomically, over what is there.

    Args:
        model: nested or plain.
        label_names: the class of each output, for the config.
        hierarchy: also written, as hierarchy.json: a plain model's config does not hold it.
    """
    names: dict[str, Any] = {"label_names": list(label_names)}
    if isinstance(model, NHL) and model.hierarchy.names != model.hierarchy.classes:
        names["label_descriptions"] = dict(zip(model.hierarchy.classes, model.hierarchy.names, strict=True))
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
        save_for_hf(make_contiguous(model), temporary, model_config=names, safe_serialization=True)
        if hierarchy is not None:
            save_hierarchy(hierarchy, Path(temporary) / "hierarchy.json")
        for made in sorted(Path(temporary).iterdir()):
            publish(made, folder / made.name)


def make_contiguous(model: nn.Module) -> nn.Module:
    """The model, or a copy if its weights are in another memory format, which safetensors does not write."""
    if all(value.is_contiguous() for value in model.state_dict().values()):
        return model
    return copy.deepcopy(model).to(memory_format=torch.contiguous_format)


def load(
    source: str | os.PathLike[str], *, model: str | None = None, hierarchy: str | None = None, **options: Any
) -> NHL:
    """Loads a nested model in eval mode, from a folder that `save` or a training wrote, or from a file of weights.

    Nothing in the files is executed.

    Args:
        source: the folder, with `local-dir:` before it or not, or the file.
        model: the architecture of a file of weights.
        hierarchy: the hierarchy of a file of weights, as `hierarchy.load` takes it.
        options: other arguments of `timm.create_model`, in place of the saved ones.

    Raises:
        CheckpointError: a file is missing or corrupt, or belongs to another model.
        OptionError: a file of weights without architecture or hierarchy.
    """
    loaded = load_model(source, model=model, hierarchy=hierarchy, **options)
    if not isinstance(loaded, NHL):
        raise CheckpointError(
            f"{str(source)!r} holds a plain model; load it with timm.create_model('{LOCAL}...', pretrained=True)"
        )
    return loaded


def load_model(
    source: str | os.PathLike[str], *, model: str | None = None, hierarchy: str | None = None, **options: Any
) -> nn.Module:
    """Loads a nested or a plain model; arguments and errors as in `load`."""
    folder = find_folder(source)
    if not folder.is_dir():
        return _load_file(folder, model, hierarchy, options)
    if model is not None or hierarchy is not None:
        raise OptionError(f"{str(source)!r} is a saved folder and has its own model and hierarchy; leave both out")
    config = folder / "config.json"
    try:
        _check_config(config, json.loads(config.read_text(encoding="utf-8")))
        loaded: nn.Module = timm.create_model(f"{LOCAL}{folder}", **options)
    except FileNotFoundError:
        raise CheckpointError(f"no config.json in {str(folder)!r}; give a folder that a model was saved to") from None
    except HierarchyError as error:
        raise CheckpointError(f"{str(config)!r} holds no valid hierarchy: {error}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{str(config)!r} is not a model config ({error}); is it complete?") from None
    except (TypeError, ValueError, AttributeError, LookupError, RuntimeError, AssertionError) as error:
        # timm and torch raise them over values that mean nothing to them
        if options or isinstance(error, NHLError):
            raise
        raise CheckpointError(
            f"{str(config)!r} describes no model that timm builds ({summarize(error)}); give a folder as it was saved"
        ) from error
    weights = next((folder / name for name in WEIGHTS if (folder / name).exists()), None)
    if weights is None:
        raise CheckpointError(f"no model.safetensors in {str(folder)!r}; give a folder that a model was saved to")
    unfit = f"{str(weights)!r} holds weights of another model than the config"
    load_weights(loaded, read_weights(weights), unfit=unfit, fix="give a folder as it was saved")
    return loaded.eval()


def find_folder(source: str | os.PathLike[str]) -> Path:
    """Where a saved model lies, with timm's `local-dir:` before it or not.

    >>> find_folder("local-dir:runs/best").as_posix()
    'runs/best'
    """
    return Path(os.fspath(source).removeprefix(LOCAL))


def list_label_names(model: nn.Module) -> tuple[str, ...]:
    """The class of each output, as the `label_names` of a model's config say; empty if they do not."""
    cfg: Any = model.pretrained_cfg
    names: Any = cfg.get("label_names") or ()
    if isinstance(names, dict):  # output -> name; JSON's keys are text
        by_output = {int(output): name for output, name in names.items()}
        names = [by_output[output] for output in sorted(by_output)] if set(by_output) == set(range(len(names))) else ()
    return tuple(names)


def check_nested_name(model: str) -> str:
    """A name of a nested model, as it is.

    Raises:
        OptionError: timm has no such nested model; with the nearest names.
    """
    known = timm.list_models(f"*{SUFFIX}", include_tags="." in model)
    if model not in known:
        raise OptionError(f"{model!r} is not a nested model; use a name like resnet50_nhl{nearest(model, known)}")
    return model


def _load_file(path: Path, model: str | None, hierarchy: Any, options: dict[str, Any]) -> NHL:
    weights = read_weights(path)
    if model is None or hierarchy is None:
        raise OptionError(f"{str(path)!r} holds weights only; also give the model and its hierarchy, or a saved folder")
    nested: Any = timm.create_model(check_nested_name(model), hierarchy=hierarchy, **options)
    assert isinstance(nested, NHL)
    load_weights(
        nested,
        weights,
        unfit=f"{str(path)!r} does not fit a {model} with default options",
        fix="give the saved folder, whose config has the options",
    )
    return nested.eval()


def _check_config(path: Path, config: Any) -> None:
    """Raises CheckpointError if a config is not a table, or names an architecture that timm does not have."""
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(path)!r} is not a model config (expected a JSON object); is it complete?")
    architecture = config["architecture"]
    if not isinstance(architecture, str) or not timm.is_model(architecture):
        near = nearest(str(architecture), timm.list_models())
        raise CheckpointError(
            f"{str(path)!r} names the architecture {architecture!r}, which timm {timm.__version__} does not have{near};"
            " install the version of timm that the model was saved with"
        )
