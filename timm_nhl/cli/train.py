"""The command `timm-nhl train`: composition and flags only."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hierarchy.cli import run as run_command
from hierarchy.errors import FormatError
from hierarchy.files import read_json
from timm_nhl.cli.train_flags import parse, with_flags
from timm_nhl.errors import NHLError, OptionError
from timm_nhl.train.config import Settings

train_app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


@train_app.command("train", no_args_is_help=True)
@with_flags
def train_command(
    out: Annotated[Path, typer.Option(help="Folder of the training; one that was stopped goes on.")],
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="DATA", help="A saved folder, .parquet, an image folder, or a Hub name; by default --config's."
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="The settings.json of another training; flags win over it.")
    ] = None,
    **given: Any,
) -> None:
    """Trains a model of timm, plain or nested along a hierarchy; also by torchrun. A training that was stopped goes on.

    Flags are those of timm's train.py where it has them. Several numbers are separated by commas.
    """
    from timm_nhl.train.loop import train

    values = parse(given)
    if config is not None:
        settings = saved_settings(config)
        settings = settings if source is None else Settings.from_dict({**settings.to_dict(), "source": source})
        settings = settings.but(**values)
    elif source is not None:
        settings = Settings.of(source, **values)
    else:
        raise OptionError("no data are named; give DATA, or --config with the settings of another training")
    train(settings, out=out)
    if _talks():
        typer.echo(str(out))


def saved_settings(path: Path) -> Settings:
    """The settings in a training's settings.json.

    Raises:
        FormatError: there is no such file, or it holds something else.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("settings"), dict):
        raise FormatError(f"{str(path)!r} holds no settings of a training; give a settings.json that one wrote")
    return Settings.from_dict(content["settings"])


def main() -> None:
    """Runs the command alone: `python -m timm_nhl.train`."""
    try:
        code = run_command(train_app, "timm-nhl train")
    except NHLError as error:
        if _talks():
            typer.echo(f"error: {error}", err=True)
        code = 2
    sys.exit(code)


def _talks() -> bool:
    """Whether this is the one of torchrun's processes that talks."""
    return os.environ.get("RANK", "0") == "0"
