"""The command `timm-nhl cost`: composition and flags only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hierarchy.cli import print_json
from hierarchy.english import count
from hierarchy.files import write_text
from timm_nhl.cli.expert import Classes
from timm_nhl.errors import OptionError

LEVELS = {"strides": "2,1,2", "widths": "128,64,32", "depths": "1,1,1"}  # option -> an example


def cost_command(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A nested timm model, like resnet50_nhl.", show_default=False)
    ],
    hierarchy: Annotated[str | None, typer.Option(help="A shipped hierarchy, or a .json or .csv file.")] = None,
    classes: Classes = None,
    size: Annotated[int | None, typer.Option("--random", help="Also count random experts of N classes.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of random experts.", min=1)] = 100,
    preset: Annotated[str | None, typer.Option(help="Shape of the network; the next five replace its values.")] = None,
    split: Annotated[int | None, typer.Option(help="Split point, from the end: -1 is behind the last stage.")] = None,
    strides: Annotated[str | None, typer.Option(help="Stride of each level, like 2,1,2.")] = None,
    widths: Annotated[str | None, typer.Option(help="Channels inside the blocks of each level.")] = None,
    depths: Annotated[str | None, typer.Option(help="Blocks per branch of each level.")] = None,
    expansion: Annotated[int | None, typer.Option(help="Channels out of a block over those inside.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Plot cost against number of classes (.html).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Counts parameters, MACs and activation memory of the plain backbone, the nested model and an expert."""
    given = {"preset": preset, "split": split, "expansion": expansion}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    for name, text in zip(LEVELS, (strides, widths, depths), strict=True):
        if text is not None:
            options[name] = _parse_three(name, text)
    from timm_nhl.cli import cost_table
    from timm_nhl.costs import CostCounter, cost
    from timm_nhl.export import check_nested_name

    counter = CostCounter(check_nested_name(model), hierarchy=hierarchy, **options)
    tree = counter.hierarchy
    if size is not None and not 1 <= size <= len(tree):
        raise OptionError(
            f"--random {size} is out of range: the hierarchy has {count(len(tree), 'class')}; use 1 to {len(tree)}"
        )
    full = counter.cost()
    plain = cost(model.replace("_nhl", "", 1), num_classes=len(tree), input_size=counter.input_size)
    costs = cost_table.Comparison(plain, full, counter.cost(classes) if classes else full)
    drawn = cost_table.draw_experts(counter, size, seeds=seeds) if size else []
    if picture is not None:
        write_text(picture, cost_table.plot(counter, plain, title=f"experts of {model}"))
    if as_json:
        print_json(cost_table.to_dict(costs, drawn, input_size=counter.input_size))
        return
    title = f"{model}, {tree.sizes}, {cost_table.describe_size(counter)}"
    cost_table.show(costs, drawn, title=title, size=size, with_expert=bool(classes))


def _parse_three(name: str, text: str) -> tuple[int, ...]:
    """A number for each level, from text like `2,1,2`."""
    try:
        numbers = tuple(map(int, text.split(",")))
    except ValueError:
        numbers = ()
    if len(numbers) != 3:
        raise OptionError(f"invalid --{name} {text!r}: expected three whole numbers, like --{name} {LEVELS[name]}")
    return numbers
