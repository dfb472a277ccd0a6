"""Writing models: as a folder that timm loads (`local-dir:`), as ONNX, as a torch.export program.

Each appears whole or not at all, and only after what was written has given the model's own numbers.
"""

from __future__ import annotations

import copy
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import timm
import torch
from timm.models import save_for_hf
from torch import Tensor, nn

from hierarchy import HierarchyError
from hierarchy.errors import nearest
from timm_nhl.errors import CheckpointError, ExportError
from timm_nhl.models.nhl import NHL
from timm_nhl.models.weights import LOCAL, fill, folder_of, read_weights

# of the largest logit: what reordered sums of a type differ by in the models tested, times ten
TOLERANCE = {torch.bfloat16: 5e-2, torch.float16: 5e-3, torch.float32: 1e-4, torch.float64: 1e-4}


def save(model: NHL, folder: str | os.PathLike[str]) -> None:
    """Writes weights (safetensors) and config, with the hierarchy, to a new folder that timm loads (`local-dir:`).

    Raises:
        ExportError: the folder has something in it, cannot be written, or the model was not made by timm.
    """
    target = Path(folder)
    if model.fused:
        raise ExportError("a fused model cannot be saved, only run and exported; save the model that was fused")
    if not hasattr(model, "pretrained_cfg"):
        raise ExportError("this model has no cfg to save; make it with timm.create_model('<backbone>_nhl', ...)")
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ExportError(f"{str(target)!r} is there already; name a new folder")

    def write(temporary: Path) -> None:
        save_for_hf(contiguous(model), str(temporary), safe_serialization=True)

    def check(written: Path) -> None:
        like = _weight(model)
        _same(load(written).to(like.device, like.dtype), model, (1,))

    _whole(target, write, check)


def contiguous(model: nn.Module) -> nn.Module:
    """The model, or a copy where its weights are in another memory format, which safetensors does not write."""
    if all(value.is_contiguous() for value in model.state_dict().values()):
        return model
    return copy.deepcopy(model).to(memory_format=torch.contiguous_format)


def load(source: str | os.PathLike[str], **options: Any) -> NHL:
    """Loads a folder that `save` wrote; runs nothing that is in it.

    Args:
        options: what `timm.create_model` takes, to differ from the saved ones.

    Raises:
        CheckpointError: a file is missing, corrupt or of another model.
    """
    model = load_model(source, **options)
    if not isinstance(model, NHL):
        raise CheckpointError(f"{str(source)!r} holds no nested model; give a folder that one was saved to")
    return model


def load_model(source: str | os.PathLike[str], **options: Any) -> nn.Module:
    """Loads a folder that timm's `save_for_hf` wrote, of a nested or a plain model, as `load` does."""
    folder = folder_of(source)
    config = folder / "config.json"
    try:
        _check_known(config, json.loads(config.read_text(encoding="utf-8")))
        model: nn.Module = timm.create_model(f"{LOCAL}{folder}", **options)
    except FileNotFoundError:
        raise CheckpointError(f"no config.json in {str(folder)!r}; give a folder that a model was saved to") from None
    except HierarchyError as error:
        raise CheckpointError(f"{str(config)!r} holds no hierarchy to use: {error}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError) as error:
        raise CheckpointError(f"{str(config)!r} is no config of a saved model ({error}); is it complete?") from None
    weights = next(
        (folder / name for name in ("model.safetensors", "pytorch_model.bin") if (folder / name).exists()), None
    )
    if weights is None:
        raise CheckpointError(f"no model.safetensors in {str(folder)!r}; give a folder that a model was saved to")
    fill(
        model,
        read_weights(weights),
        unfit=f"{str(weights)!r} holds weights of another model than the config",
        fix="give a folder as it was saved",
    )
    return model.eval()


def _check_known(path: Path, config: Any) -> None:
    """Raises a CheckpointError where a config is no table, or names an architecture that timm does not have."""
    if not isinstance(config, dict):
        raise CheckpointError(f"{str(path)!r} is no config of a saved model (no names with values); is it complete?")
    architecture = config["architecture"]
    if not isinstance(architecture, str) or not timm.is_model(architecture):
        near = nearest(str(architecture), timm.list_models())
        raise CheckpointError(
            f"{str(path)!r} names the architecture {architecture!r}, which timm {timm.__version__} does not have{near};"
            " install the timm that the model was saved with"
        )


def export_onnx(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Writes an ONNX file with a free batch size; needs the extra `timm-nhl[export]`.

    Raises:
        ExportError: the model cannot be written so, or ONNX Runtime computes something else from it.
    """
    try:
        import onnxruntime
        import onnxscript as onnxscript
    except ImportError as error:
        raise ExportError(f"exporting to ONNX needs {error.name!r}; install 'timm-nhl[export]'") from None

    def write(temporary: Path) -> None:
        torch.onnx.export(
            model,
            (_images(model, 2),),
            temporary,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )

    def check(written: Path) -> None:
        session = onnxruntime.InferenceSession(str(written), providers=["CPUExecutionProvider"])
        _same(lambda x: torch.from_numpy(session.run(None, {"images": x.cpu().numpy()})[0]), model, (1, 3))

    _export(model, Path(path), write, check)


def export_program(model: nn.Module, path: str | os.PathLike[str]) -> None:
    """Writes a torch.export program (.pt2) with a free batch size.

    Raises:
        ExportError: the model cannot be written so, or the program computes something else.
    """

    def write(temporary: Path) -> None:
        batch = torch.export.Dim("batch", min=1)
        program = torch.export.export(model, (_images(model, 2),), dynamic_shapes=({0: batch},))
        torch.export.save(program, temporary)

    _export(model, Path(path), write, lambda written: _same(torch.export.load(written).module(), model, (1, 3)))


def _export(model: nn.Module, path: Path, write: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            _whole(path, write, check)
    except (ExportError, KeyboardInterrupt):
        raise
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ExportError(f"cannot export to {str(path)!r}: {reason}") from error
    finally:
        model.train(training)


def _whole(target: Path, write: Callable[[Path], None], check: Callable[[Path], None]) -> None:
    """Writes to a temporary place beside the target, checks it there, then moves it over the target."""
    if not target.parent.is_dir():
        raise ExportError(f"cannot write {str(target)!r}: there is no folder {str(target.parent)!r}; make it first")
    scratch = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}."))
    try:
        temporary = scratch / target.name
        write(temporary)
        check(temporary)
        if target.is_dir():
            target.rmdir()  # empty, as `save` made sure
        temporary.replace(target)
    finally:
        shutil.rmtree(scratch)


def _images(model: nn.Module, batch: int) -> Tensor:
    """Random images where the model is, of its type."""
    config: Any = model.pretrained_cfg
    size = (batch, cast(int, model.in_chans), *config["input_size"][1:])
    return torch.randn(size, generator=torch.Generator().manual_seed(batch)).to(_weight(model))


def _weight(model: nn.Module) -> Tensor:
    """One of a model's weights, which says where it is and of what type; of none, what a fresh one would be."""
    return next(model.parameters(), torch.empty(0))


def _same(written: Callable[[Tensor], Tensor], model: nn.Module, batches: tuple[int, ...]) -> None:
    """Compares what was written with the model, in eval mode, on random images."""
    training, allowed = model.training, _allowed(_weight(model))
    model.eval()
    try:
        for batch in batches:
            x = _images(model, batch)
            with torch.no_grad():
                expected, actual = (run(x).float().cpu() for run in (model, written))
            worst = (actual - expected).abs().max().item() / max(1.0, expected.abs().max().item())
            if not worst <= allowed:
                raise ExportError(
                    f"what was written gives other numbers than the model (by {worst:.1e} of the largest logit,"
                    f" {allowed:.0e} is allowed; batch of {batch}); nothing was kept"
                )
    finally:
        model.train(training)


def _allowed(weight: Tensor) -> float:
    """By how much numbers of such weights may differ; a GPU rounds float32 to TF32, as fine as float16, in between."""
    coarse = weight.dtype == torch.float32 and weight.device.type != "cpu"
    return TOLERANCE[torch.float16 if coarse else weight.dtype]
