"""Every error this package raises on purpose; each message says what was asked, what was found and what to do."""

from __future__ import annotations


class NHLError(ValueError):
    """The base of all errors here: catching it catches each of them and nothing else."""


class SplitError(NHLError):
    """A split point that the backbone does not have."""


class OptionError(NHLError):
    """An option of a model that cannot be taken, alone or together with another one."""


class CheckpointError(NHLError):
    """Weights that do not belong to this model: another hierarchy, another backbone, or not weights at all."""


class ExportError(NHLError):
    """A model that cannot be written in the asked form, or whose written form gives other numbers."""


class EvaluationError(NHLError):
    """A model that cannot be evaluated on these images, or numbers that cannot be counted."""


class TrainingError(NHLError):
    """A training that cannot be started, gone on with, or whose loss is no number any more."""
