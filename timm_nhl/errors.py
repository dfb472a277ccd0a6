"""Every error that this package raises on purpose: each message says what was asked, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from hierarchy.errors import in_one_sentence


def summarize(error: Exception) -> str:
    """The first sentence of an error of torch, timm or Pillow, or its type if it has no text.

    >>> summarize(ValueError("No such size. See the docs.")), summarize(AssertionError())
    ('No such size', 'AssertionError')
    """
    return str(error).split(". ")[0].splitlines()[0].rstrip(".") if str(error) else type(error).__name__


class NHLError(ValueError):
    """The base of all errors here: catching it catches all of them and nothing else."""


class SplitError(NHLError):
    """A split point that the backbone does not have."""


class OptionError(NHLError):
    """An option that is invalid, alone or in combination with another."""


class UnknownOption(OptionError, TypeError):
    """An option that neither the model nor its backbone has; also a TypeError, as for any function."""


class GrowthError(NHLError):
    """A model, a hierarchy or images that a model cannot grow with; `problems` lists everything that is wrong."""

    def __init__(self, problems: Iterable[str], *, fix: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{in_one_sentence('cannot grow', self.problems)}; {fix}")


class MergeError(NHLError):
    """Parts that do not fit together; `problems` lists everything that keeps them apart."""

    def __init__(self, problems: Iterable[str], *, fix: str) -> None:
        self.problems = tuple(problems)
        super().__init__(f"{in_one_sentence('cannot merge', self.problems)}; {fix}")


class CheckpointError(NHLError):
    """Weights that do not belong to this model: another hierarchy, another backbone, or not weights at all."""


class ExportError(NHLError):
    """A model that cannot be written in the requested format, or whose written form gives other numbers."""


class BundleError(NHLError):
    """A bundle that cannot be opened: a file is missing or corrupt, or does not fit the others."""


class EvaluationError(NHLError):
    """A model that cannot be evaluated on these images, or metrics that cannot be computed."""


class FeatureError(NHLError):
    """Outputs of a network that cannot be kept on disk."""


class TrainingError(NHLError):
    """A training run that cannot be started or resumed, or whose loss is not finite."""
