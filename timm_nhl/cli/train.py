"""The commands `timm-nhl train`, alone or as `torchrun -m timm_nhl train`, and `convert`; flags are their settings."""

# no `from __future__ import annotations`: typer would look up the names in the annotations in the settings' file

import functools
import inspect
import os
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from hierarchy.errors import HierarchyError
from timm_nhl.converting import Conversion
from timm_nhl.errors import NHLError, OptionError
from timm_nhl.train import Settings, describe

Try = Annotated[
    bool,
    typer.Option(
        "--try", help="A minute on a few classes instead: a picture of a batch, accuracy, minutes of the whole."
    ),
]


def train_command(*, try_: bool, **values: Any) -> None:
    """Trains a timm model, plain or nested along a hierarchy; a run that was stopped resumes.

    What is not given and depends on the data is chosen, and said. Flags are those of timm's train.py where it has them.
    For several processes: torchrun -m timm_nhl train ...
    """
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise OptionError(describe(error)) from None
    from timm_nhl.train import train, try_out

    is_main = os.environ.get("RANK", "0") == "0"  # one of torchrun's processes reports
    try:
        if try_:
            trial = try_out(settings)
            for line in trial.describe():
                typer.echo(line, err=True)
            typer.echo(str(trial.picture))
            return
        out = train(settings)
    except (HierarchyError, NHLError):
        if is_main:
            raise
        raise typer.Exit(2) from None
    if is_main:
        typer.echo(str(out))


# typer reads the flags from the signature: those of `Settings`, and one more
_flags = inspect.signature(Settings)
_try = inspect.Parameter("try_", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Try)
train_command.__signature__ = _flags.replace(  # type: ignore[attr-defined]
    parameters=[*_flags.parameters.values(), _try], return_annotation=None
)


@functools.wraps(Conversion, assigned=(), updated=())  # typer reads the flags from the signature of `Conversion`
def convert_command(**values: Any) -> None:
    """Converts a trained flat classifier into a nested network: its own trunk, branches that learn its answers.

    A few images a class are enough to begin with, labelled or not. A conversion that was stopped resumes.
    """
    try:
        settings = Conversion(**values)
    except ValidationError as error:
        raise OptionError(describe(error)) from None
    from timm_nhl.converting import convert

    typer.echo(str(convert(settings)))
