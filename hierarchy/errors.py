"""The exceptions of this package.

Every message says what was asked for, what was found and how to fix it. Library functions raise these exceptions. The
commands catch `HierarchyError` in one place (`cli.console.run`), print the message and exit with 2. Catch a subclass to
react to it, such as `DataError` to list bad rows, `BudgetReached` to continue later or `Locked` to wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any


def os_reason(error: OSError) -> str:
    """The reason of a failed file operation, in lower case.

    >>> os_reason(FileNotFoundError(2, "No such file or directory")), os_reason(OSError())
    ('no such file or directory', 'oserror')
    """
    return (error.strerror or type(error).__name__).lower()


class HierarchyError(ValueError):
    """The base of all exceptions of this package."""


class InvalidHierarchy(HierarchyError):
    """A table of classes is not a three-level hierarchy; `problems` lists everything that is wrong."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__(in_one_sentence("not a hierarchy", self.problems))


class UnknownNode(HierarchyError):
    """There is no such class, node or shipped hierarchy."""


class AmbiguousName(HierarchyError):
    """Several classes have this name."""


class EditError(HierarchyError):
    """An edit does not fit the hierarchy."""


class SourceError(HierarchyError):
    """A source of classes or a dataset cannot be read; the message names the file and the line."""


class DataError(HierarchyError):
    """A dataset does not fit: `problems` lists everything that is wrong, `bad` the rows.

    Args:
        problems: sentences, in which long lists of rows are cut short.
        bad: (split, fault) -> numbers of all rows with this fault.
    """

    def __init__(self, problems: Iterable[str], bad: Mapping[tuple[str, str], tuple[int, ...]] | None = None) -> None:
        self.problems = tuple(problems)
        self.bad = dict(bad or {})
        super().__init__(in_one_sentence("", self.problems))

    @property
    def rows(self) -> dict[str, tuple[int, ...]]:
        """The bad rows of each split."""
        found: dict[str, set[int]] = {}
        for (split, _), rows in self.bad.items():
            found.setdefault(split, set()).update(rows)
        return {split: tuple(sorted(rows)) for split, rows in found.items()}


class FormatError(HierarchyError):
    """A file does not have the format that its ending or header promises."""


class OutputError(HierarchyError):
    """A file cannot be written."""


class Locked(HierarchyError):
    """Another process is working on the file."""


class ShapeError(HierarchyError):
    """The classes cannot be grouped into this shape (numbers of superclasses and groups, sizes)."""


class EmbedError(HierarchyError):
    """An embedder is unknown, is not installed or returns no vectors for these classes."""


class WordNetMissing(HierarchyError):
    """WordNet's data files are not installed."""


class ChatError(HierarchyError):
    """A model server cannot be used: no key, no such model, no credit, no answer."""


class BudgetReached(HierarchyError):
    """The allowed number of calls or cost is used up; replies received so far are kept."""


class ReviewError(HierarchyError):
    """A decision log does not fit, or a review cannot be opened."""


def first_line(error: Exception) -> str:
    """The first line of an error's message without its full stop, or the error's type if it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")


MOST_PROBLEMS = 8  # that a message shows in full


def in_one_sentence(start: str, problems: tuple[str, ...]) -> str:
    """Joins problems into one message, the first few in full and the rest as a count."""
    rest = f"; and {len(problems) - MOST_PROBLEMS} more" if len(problems) > MOST_PROBLEMS else ""
    return (f"{start}: " if start else "") + "; ".join(problems[:MOST_PROBLEMS]) + rest


def nearest(asked: str, known: Iterable[str], most: int = 3) -> str:
    """`"; nearest: 'a', 'b'"`, or nothing if no known name is similar.

    >>> nearest("hammerhed", ["hammerhead", "tench"])
    "; nearest: 'hammerhead'"
    """
    by_lower = {name.lower(): name for name in known}
    close = get_close_matches(asked.lower(), by_lower, n=most, cutoff=0.6)
    return "; nearest: " + ", ".join(repr(by_lower[name]) for name in close) if close else ""


def validation_problems(error: Any) -> tuple[str, ...]:
    """What pydantic found wrong in some content, as "classes.1.name: input should be a valid string, got 7"."""
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        message = problem["msg"].removeprefix("Value error, ")
        got = "" if problem["type"] in ("missing", "value_error") else f", got {problem['input']!r:.80}"
        where = ".".join(map(str, problem["loc"]))
        found.append((f"{where}: " if where else "") + f"{message[:1].lower()}{message[1:]}{got}")
    return tuple(found)
