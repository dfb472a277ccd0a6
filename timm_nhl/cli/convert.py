"""The commands `timm-nhl convert` and `merge`; the flags of the first are the settings of a conversion."""

# no `from __future__ import annotations`: typer would look up the names in the annotations in the file of `Conversion`

import functools
from typing import Any

import typer
from pydantic import ValidationError

from timm_nhl.converting import Conversion
from timm_nhl.errors import OptionError
from timm_nhl.train import describe


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
