"""Every error this package raises on purpose; each message says what was asked, what was found and what to do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches


def os_reason(error: OSError) -> str:
    """Why the system could not do something with a file, in small letters.

    >>> os_reason(FileNotFoundError(2, "No such file or directory")), os_reason(OSError())
    ('no such file or directory', 'oserror')
    """
    return (error.strerror or type(error).__name__).lower()


class HierarchyError(ValueError):
    """The base of all errors here: catching it catches each of them and nothing else."""


class InvalidHierarchy(HierarchyError):
    """A table of classes that is not a three-level hierarchy; `problems` lists all that is wrong with it."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(in_one_sentence("not a hierarchy", self.problems))


class UnknownNode(HierarchyError):
    """A class or node that was asked for and is not there."""


class AmbiguousName(HierarchyError):
    """A name that several classes answer to."""


class EditError(HierarchyError):
    """An edit that cannot be done to this hierarchy."""


class SourceError(HierarchyError):
    """A source of class names that cannot be read; the message names the file and the line."""


class DataError(HierarchyError):
    """A data set that does not fit: `problems` lists all that is wrong, `bad` each fault of rows and which have it.

    Args:
        problems: sentences; long lists of rows are cut short in them.
        bad: (split, fault) -> numbers of all rows that have it.
    """

    def __init__(self, problems: Iterable[str], bad: Mapping[tuple[str, str], tuple[int, ...]] | None = None) -> None:
        self.problems = tuple(problems)
        self.bad = dict(bad or {})
        super().__init__(in_one_sentence("", self.problems))

    @property
    def rows(self) -> dict[str, tuple[int, ...]]:
        """The bad rows of each split, whatever is wrong with them."""
        found: dict[str, set[int]] = {}
        for (split, _), rows in self.bad.items():
            found.setdefault(split, set()).update(rows)
        return {split: tuple(sorted(rows)) for split, rows in found.items()}


class FormatError(HierarchyError):
    """A file that is not what its ending or its header promises."""


class OutputError(HierarchyError):
    """A file that cannot be written."""


class Locked(HierarchyError):
    """A file that another process is working on."""


class ShapeError(HierarchyError):
    """A shape (numbers of superclasses and groups, sizes) that these classes cannot take."""


class EmbedError(HierarchyError):
    """An embedder that is unknown, not installed or gives no vectors for these classes."""


class WordNetMissing(HierarchyError):
    """WordNet's data files are not on this machine."""


class PromptError(HierarchyError):
    """A prompt file that is malformed, or a prompt that lacks a variable."""


class ChatError(HierarchyError):
    """A server that cannot be used at all: no key, no such model, no money, nobody there."""


class BudgetReached(HierarchyError):
    """The number of calls or the cost that was allowed is used up; what was paid for is kept."""


class ReviewError(HierarchyError):
    """A decision log that does not fit, or a review that cannot be held."""


def in_one_sentence(start: str, problems: tuple[str, ...], most: int = 8) -> str:
    """Joins problems behind a start, the first few in full and the rest as a count."""
    rest = f"; and {len(problems) - most} more" if len(problems) > most else ""
    return (f"{start}: " if start else "") + "; ".join(problems[:most]) + rest


def nearest(asked: str, known: Iterable[str], most: int = 3) -> str:
    """Gives `"; nearest: 'a', 'b'"`, or nothing where no known name is close.

    >>> nearest("hammerhed", ["hammerhead", "tench"])
    "; nearest: 'hammerhead'"
    """
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(asked.lower(), by_lower, n=most, cutoff=0.6)
    return "; nearest: " + ", ".join(repr(by_lower[name]) for name in close) if close else ""
