"""Every error this package raises on purpose; each message says what was asked, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from hierarchy.errors import in_one_sentence


def reason_of(error: Exception) -> str:
    """The first sentence of an error of torch, timm or Pillow, or its kind where it says nothing.

    >>> reason_of(ValueError("No such size. See the docs.")), reason_of(AssertionError())
    ('No such size', 'AssertionError')
    """
    return str(error).split(". ")[0].splitlines()[0].rstrip(".") if str(error) else type(error).__name__


class NHLError(ValueError):
    """The base of all errors here: catching it catches each of them and nothing else."""


class SplitError(NHLError):
    """A split point that the backbone does not have."""


class OptionError(NHLError):
    """An option of a model that cannot be taken, alone or together with another one."""


class UnknownOption(OptionError, TypeError):
    """An option that neither a model nor its backbone has; a TypeError too, as for any function."""


class GrowthError(NHLError):
    """A model, a hierarchy or a data set that cannot be grown with; `problems` lists all that is wrong."""

    def __init__(self, problems: Iterable[str], *, fix: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{in_one_sentence('cannot grow', self.problems)}; {fix}")


class CheckpointError(NHLError):
    """Weights that do not belong to this model: another hierarchy, another backbone, or not weights at all."""


class ExportError(NHLError):
    """A model that cannot be written in the asked form, or whose written form gives other numbers."""


class EvaluationError(NHLError):
    """A model that cannot be evaluated on these images, or numbers that cannot be counted."""


class TrainingError(NHLError):
    """A training that cannot be started, gone on with, or whose loss is no number any more."""
