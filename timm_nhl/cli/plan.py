"""The command `timm-nhl plan`: composition and flags only."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from hierarchy.cli import print_json, show_progress
from hierarchy.files import write_text
from timm_nhl.errors import OptionError
from timm_nhl.presets import PRESETS, choose_shape

UNITS = {"": 1, "k": 1e3, "m": 1e6, "g": 1e9}

Backbones = Annotated[
    list[str], typer.Argument(metavar="BACKBONES", help="Timm models, like resnet50; any number.", show_default=False)
]
Tree = Annotated[str, typer.Option(help="A shipped hierarchy, or a .json or .csv file.", show_default=False)]
Classes = Annotated[
    list[str] | None,
    typer.Option(help="A task: ids, names and node paths with commas between; repeat it for more tasks."),
]
Random = Annotated[list[int] | None, typer.Option(help="A task: N random classes; may be repeated.")]
Related = Annotated[list[int] | None, typer.Option(help="A task: N neighbours in the hierarchy; may be repeated.")]
Draws = Annotated[int, typer.Option(help="Experts drawn for --random and --related.", min=1)]
Seed = Annotated[int, typer.Option(help="Seed of the draws.")]
Preset = Annotated[list[str] | None, typer.Option(help=f"Shape; may be repeated. By default {', '.join(PRESETS)}.")]
Explicit = Annotated[
    list[str] | None,
    typer.Option("--shape", help="Another shape, as options: 'split=-3 widths=32,16,8'; may be repeated."),
]
MaxMacs = Annotated[str | None, typer.Option(help="Most MACs of each expert, like 60M or 0.3G.")]
MaxParams = Annotated[str | None, typer.Option(help="Most parameters of each expert, like 800k or 2M.")]
MaxMs = Annotated[
    float | None,
    typer.Option(help="Most milliseconds of each expert, measured here in ONNX Runtime: one image, one thread."),
]
ImageSize = Annotated[int | None, typer.Option(help="Image size; by default each model's own.", min=1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Picture = Annotated[Path | None, typer.Option(help="Draw the frontier (.html); it loads nothing from elsewhere.")]


def plan_command(
    backbones: Backbones,
    hierarchy: Tree,
    classes: Classes = None,
    random: Random = None,
    related: Related = None,
    draws: Draws = 20,
    seed: Seed = 0,
    preset: Preset = None,
    shape: Explicit = None,
    max_macs: MaxMacs = None,
    max_params: MaxParams = None,
    max_ms: MaxMs = None,
    img_size: ImageSize = None,
    html: Picture = None,
    as_json: AsJson = False,
) -> int:
    """Counts what nested and plain networks would cost for some tasks, before anything is trained.

    A budget is for the experts of all tasks, without tasks for all classes; exit code 1 if no network is within it.
    """
    if html is not None and not html.parent.is_dir():
        raise OptionError(f"cannot write {str(html)!r}: no folder {str(html.parent)!r}; create it first")
    limits = {"macs": parse_count("--max-macs", max_macs), "params": parse_count("--max-params", max_params)}
    if max_ms is not None and not max_ms > 0:
        raise OptionError(f"--max-ms {max_ms:g} is not above 0; give milliseconds")
    from hierarchy import load
    from timm_nhl import planning

    tree, shapes = load(hierarchy), parse_shapes(preset or (), shape or ())
    tasks = planning.name_tasks(tree, classes or ())
    for sizes, draw in ((random, planning.draw_random), (related, planning.draw_related)):
        tasks += tuple(draw(tree, size, draws=draws, seed=seed) for size in sizes or ())
    found = planning.find_backbones(backbones, img_size=img_size)
    with show_progress() as track:
        made = planning.plan(found, tree, tasks, shapes, budget=planning.Budget(**limits, ms=max_ms), track=track)
    if html is not None:
        write_text(html, planning.draw(made, title=f"{hierarchy}: {', '.join(each.name for each in found)}"))
    if as_json:
        print_json(planning.to_dict(made))
    else:
        planning.show(made)
    if made.fitting:
        return 0
    typer.echo(planning.describe_failure(made), err=True)
    return 1


def parse_shapes(presets: list[str] | tuple[str, ...], texts: list[str] | tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Name -> options, of the presets and shapes asked for; all presets if none is."""
    from timm_nhl.train import parse_kwargs

    names = presets or (() if texts else tuple(PRESETS))
    for name in names:
        choose_shape(name)
    return {name: {"preset": name} for name in names} | {text: parse_kwargs("--shape", [text]) for text in texts}


def parse_count(flag: str, text: str | None) -> float | None:
    """A number with k, M or G behind it.

    >>> parse_count("--max-macs", "0.3G"), parse_count("--max-macs", "1500")
    (300000000.0, 1500.0)
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+)([kmg]?)", text.strip().lower())
    if not found or not float(found[1]):
        raise OptionError(f"invalid {flag} {text!r}: expected a number above 0, with k, M or G behind it or not")
    return float(found[1]) * UNITS[found[2]]
