"""The command `timm-nhl`: cost, expert, train, evaluate, export, and `run` for other people's timm scripts."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from hierarchy.cli.console import run as run_command
from hierarchy.errors import HierarchyError
from hierarchy.files import write_text
from timm_nhl.cli import cost_table as cost_report
from timm_nhl.cli.asked import listed
from timm_nhl.cli.evaluate import evaluate_command
from timm_nhl.cli.run import run_command as run_script
from timm_nhl.cli.train import train_command
from timm_nhl.costs import CostCounter, cost
from timm_nhl.errors import NHLError, OptionError
from timm_nhl.export import check_nested_name, export_onnx, export_program, load, save
from timm_nhl.models.registry import SUFFIX

app = typer.Typer(add_completion=False, no_args_is_help=True, help=__doc__, pretty_exceptions_enable=False)
app.command("train", no_args_is_help=True)(train_command)
console = Console(stderr=True)

Classes = Annotated[
    list[str] | None,
    typer.Option(help="Class ids, names or node paths, '' for all; separate by commas or repeat the option."),
]
HierarchyOption = Annotated[str | None, typer.Option(help="A shipped hierarchy, or a .json or .csv file.")]
Checkpoint = Annotated[str, typer.Argument(help="A saved folder, or a file of weights with --model and --hierarchy.")]
ModelOption = Annotated[str | None, typer.Option(help="Architecture, where CHECKPOINT is a file of weights only.")]


@app.command("cost")
def cost_command(
    model: Annotated[str, typer.Argument(help="A `<backbone>_nhl` of timm.")],
    hierarchy: HierarchyOption = None,
    classes: Classes = None,
    size: Annotated[
        int | None, typer.Option("--random", help="Also count random experts of this many classes.")
    ] = None,
    seeds: Annotated[int, typer.Option(help="How many random experts.", min=1)] = 100,
    split: Annotated[
        int | None, typer.Option(help="Split point, counted from the end (-1: behind everything).")
    ] = None,
    strides: Annotated[str | None, typer.Option(help="Of each level's first block, like 2,1,2.")] = None,
    widths: Annotated[str | None, typer.Option(help="Channels inside each level's blocks, like 128,64,32.")] = None,
    depths: Annotated[str | None, typer.Option(help="Blocks per branch of each level, like 1,1,1.")] = None,
    picture: Annotated[
        Path | None, typer.Option(help="Write cost against number of classes to this .html file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Numbers for a script.")] = False,
) -> None:
    """Counts parameters, MACs and activation memory: plain backbone, full NHL and expert side by side."""
    options: dict[str, Any] = {} if split is None else {"split": split}
    for name, text, like in (
        ("strides", strides, "2,1,2"),
        ("widths", widths, "128,64,32"),
        ("depths", depths, "1,1,1"),
    ):
        if text is not None:
            options[name] = _three(name, text, like)
    counter = CostCounter(check_nested_name(model), hierarchy=hierarchy, **options)
    tree = counter.hierarchy
    if size is not None and not 1 <= size <= len(tree):
        raise OptionError(
            f"--random {size} is out of range: the hierarchy has {len(tree)} classes; use 1 to {len(tree)}"
        )
    wanted = listed(tree, classes or ())
    full = counter.cost()
    plain = cost(_plain(model), num_classes=len(tree), input_size=counter.input_size)
    expert = counter.cost(wanted) if wanted else full
    costs = cost_report.Comparison(plain, full, expert)
    drawn = cost_report.random_experts(counter, size, seeds=seeds) if size else []
    if picture is not None:
        write_text(picture, cost_report.picture(counter, plain, title=f"experts of {model}"))
    if as_json:
        report = {"plain": plain, "nhl": full, "expert": expert}
        numbers: dict[str, Any] = {"input_size": counter.input_size}
        numbers |= {name: cost_report.as_json(total) for name, total in report.items()}
        numbers["random"] = [{"params": each.params, "macs": each.macs} for each in drawn]
        typer.echo(json.dumps(numbers, indent=1))
        return
    out = Console()
    title = f"{model}, {tree.sizes}, {cost_report.size_of(counter)}"
    out.print(cost_report.cost_table(costs, title=title, asked=bool(wanted)))
    if drawn:
        out.print(cost_report.spread_table(drawn, plain, full, size=size or 0))


@app.command()
def expert(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="New folder, for timm's `local-dir:`.")],
    classes: Classes = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Cuts the expert of some classes out of a trained model and writes it as safetensors and config."""
    nested = load(checkpoint, model=model, hierarchy=hierarchy)
    cut = nested.expert(listed(nested.hierarchy, classes or ()))
    save(cut, out)
    params = sum(parameter.numel() for parameter in cut.parameters())
    console.print(f"{out}: {len(cut.hierarchy)} classes, {params / 1e6:.2f}M parameters")


app.command("evaluate")(evaluate_command)


@app.command()
def export(
    checkpoint: Checkpoint,
    out: Annotated[Path, typer.Option(help="A .onnx file, or a .pt2 file for torch.export.")],
    classes: Classes = None,
    model: ModelOption = None,
    hierarchy: HierarchyOption = None,
) -> None:
    """Writes a model, or the expert of some classes, as ONNX or torch.export program, verified against the model."""
    writers = {".onnx": export_onnx, ".pt2": export_program}
    if out.suffix not in writers:
        raise OptionError(f"cannot tell the format of {str(out)!r}; end it in {' or '.join(writers)}")
    nested = load(checkpoint, model=model, hierarchy=hierarchy)
    wanted = listed(nested.hierarchy, classes or ())
    writers[out.suffix](nested.expert(wanted) if wanted else nested, out)
    console.print(f"{out}: gives the model's numbers")


app.command(
    "run",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False},
)(run_script)


def _three(name: str, text: str, like: str) -> tuple[int, ...]:
    """A number for each level, out of text like `2,1,2`."""
    try:
        numbers = tuple(map(int, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise OptionError(f"--{name} {text!r} is not a whole number for each of the three levels; like --{name} {like}")
    return numbers


def _plain(model: str) -> str:
    """The backbone of a nested model, of the same tag and so at the same input size."""
    architecture, dot, tag = model.partition(".")
    return architecture.removesuffix(SUFFIX) + dot + tag


def main() -> None:
    """Runs the command; an error is one sentence on stderr and exit code 2."""
    sys.exit(run_command(app, "timm-nhl", errors=(HierarchyError, NHLError)))


if __name__ == "__main__":
    main()
