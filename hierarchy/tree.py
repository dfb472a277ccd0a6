"""`Hierarchy`: three levels over classes as one immutable table, valid by construction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any, Literal

from hierarchy.english import count
from hierarchy.errors import InvalidHierarchy, UnknownNode
from hierarchy.names import NameIndex, join_path, split_path, table_problems

Level = Literal[1, 2, 3]  # superclasses, groups, classes
Row = tuple[str, str, str, str]  # id, name, superclass, group


@dataclass(frozen=True)
class Hierarchy:
    """Three levels over classes: superclass > group > class.

    Args:
        classes: K unique ids; the position is the label.
        names: K display names, which may repeat (ImageNet has two cranes).
        groups: K pairs (superclass, group). In a table, cycles and second parents cannot be written.

    Raises:
        InvalidHierarchy: with every problem of the table, not just the first.

    The nodes of a level have one order, independent of the labels: superclasses by name, groups by (superclass, name),
    classes by (superclass, group, name, id). So siblings are adjacent, a subset keeps the order of the whole, and only
    `ancestors` depends on labels.

    >>> pets = Hierarchy(
    ...     classes=("tabby", "goldfish", "siamese"),
    ...     names=("tabby cat", "goldfish", "siamese cat"),
    ...     groups=(("mammals", "cats"), ("fish", "carps"), ("mammals", "cats")),
    ... )
    >>> pets.sizes
    (2, 2, 3)
    >>> pets.nodes(2)
    ('fish/carps', 'mammals/cats')
    >>> pets.labels("mammals", "goldfish")
    (0, 1, 2)
    """

    classes: tuple[str, ...]
    names: tuple[str, ...]
    groups: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", tuple(self.classes))
        object.__setattr__(self, "names", tuple(self.names))
        object.__setattr__(self, "groups", tuple(map(_frozen, self.groups)))
        problems = tuple(table_problems(self.classes, self.names, self.groups))
        if problems:
            raise InvalidHierarchy(problems)

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Hierarchy:
        """Builds a hierarchy from (id, name, superclass, group), one row per class, in label order."""
        table = list(rows)
        return cls(
            classes=tuple(row[0] for row in table),
            names=tuple(row[1] for row in table),
            groups=tuple((row[2], row[3]) for row in table),
        )

    @classmethod
    def balanced(cls, classes: int) -> Hierarchy:
        """An anonymous tree of about cube-root branching: "superclass 0" > "group 00" > "class 00".

        Raises:
            InvalidHierarchy: no classes.

        >>> Hierarchy.balanced(42).sizes
        (3, 12, 42)
        """
        if classes < 1:
            raise InvalidHierarchy([f"expected at least one class, got {classes}"])
        superclasses = max(1, round(classes ** (1 / 3)))
        groups = max(superclasses, round(classes ** (2 / 3)))
        widths = [len(str(count - 1)) for count in (superclasses, groups, classes)]  # leading zeros, to sort as numbers
        rows = []
        for label in range(classes):
            group = label * groups // classes
            id = f"class {label:0{widths[2]}}"
            rows.append(
                (id, id, f"superclass {group * superclasses // groups:0{widths[0]}}", f"group {group:0{widths[1]}}")
            )
        return cls.from_rows(rows)

    @classmethod
    def flat(cls, classes: Sequence[str], names: Sequence[str] | None = None) -> Hierarchy:
        """One superclass and one group of all classes, for networks without a tree.

        Args:
            classes: K unique ids.
            names: K display names; by default the ids.

        Raises:
            InvalidHierarchy: as in `Hierarchy`.

        >>> Hierarchy.flat(["tabby", "goldfish"]).nodes(3)
        ('everything/everything/goldfish', 'everything/everything/tabby')
        """
        names = classes if names is None else names
        node = "everything"
        while node in (*classes, *names):  # a node may not be called like a class
            node += " else"
        return cls(tuple(classes), tuple(names), ((node, node),) * len(classes))

    @property
    def rows(self) -> tuple[Row, ...]:
        """The table: (id, name, superclass, group) of each class, in label order."""
        return tuple(
            (id, name, superclass, group)
            for id, name, (superclass, group) in zip(self.classes, self.names, self.groups, strict=True)
        )

    def __len__(self) -> int:
        """The number of classes, K."""
        return len(self.classes)

    def __repr__(self) -> str:
        superclasses, groups, classes = self.sizes
        sizes = f"{count(superclasses, 'superclass')}, {count(groups, 'group')}, {count(classes, 'class')}"
        return f"Hierarchy({sizes}, {self.digest[:12]})"

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Numbers of superclasses, groups and classes."""
        return len(self._superclasses), len(self._groups), len(self.classes)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the content in hexadecimal: equal for equal hierarchies, different for all others."""
        content = json.dumps(self.rows, ensure_ascii=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()

    def nodes(self, level: Level) -> tuple[str, ...]:
        """Paths of all nodes of a level, in node order.

        The path of a class ends in its name, or in its id if another class of its group has the same name. A "/" in a
        name is written "%2F".
        """
        if level == 1:
            return tuple(map(join_path, self._superclasses))
        if level == 2:
            return tuple(join_path(*group) for group in self._groups)
        if level == 3:
            return tuple(self.index.paths[label] for label in self._leaves)
        raise ValueError(f"level={level!r} is not a level; use 1 (superclasses), 2 (groups) or 3 (classes)")

    def parents(self, level: Level) -> tuple[int, ...]:
        """For each node of a level, the index of its parent among `nodes(level - 1)`; 0, the root, at level 1."""
        paths = self.nodes(level)
        above = ("",) if level == 1 else self.nodes(2 if level == 3 else 1)
        index = {path: i for i, path in enumerate(above)}
        return tuple(index[path.rpartition("/")[0]] for path in paths)

    def ancestors(self, level: Level) -> tuple[int, ...]:
        """For each class, in label order, the index of its node among `nodes(level)`.

        At level 3 it is the class's own place, so `scores[:, ancestors(3)]` reorders columns to label order.
        """
        if level not in self._ancestors:
            index = {path: i for i, path in enumerate(self.nodes(level))}
            paths = self.index.paths if level == 3 else [join_path(*group[:level]) for group in self.groups]
            self._ancestors[level] = tuple(index[path] for path in paths)
        return self._ancestors[level]

    def labels(self, *asked: str) -> tuple[int, ...]:
        """Labels of all classes at or below what is asked, in ascending order, without duplicates.

        Args:
            asked: class ids, class names and node paths, mixed freely; `""` is the root, so every class. An id or a
                path always means its own class or node, even if a class has the same name.

        Raises:
            UnknownNode: the hierarchy has no such class or node; the message suggests the nearest names.
            AmbiguousName: several classes have this name; the message gives their ids and paths.
        """
        found: set[int] = set()
        for item in asked:
            found.update(self.index.labels(item))
        return tuple(sorted(found))

    def subset(self, *asked: str) -> Hierarchy:
        """The hierarchy of only the classes asked for (see `labels`), in their old order, relabelled from 0.

        Raises:
            UnknownNode: there is no such class or node.
            AmbiguousName: a name belongs to several classes or nodes.
            InvalidHierarchy: nothing is asked for.
        """
        return self.at(self.labels(*asked))

    def at(self, labels: Iterable[int]) -> Hierarchy:
        """The hierarchy of the classes at these labels, in the order given; a permutation reorders the labels.

        Raises:
            UnknownNode: a label is out of range.
            InvalidHierarchy: a label is repeated, or there are none.
        """
        rows, wanted, count = self.rows, tuple(labels), len(self)
        for label in wanted:
            if not 0 <= label < count:
                raise UnknownNode(f"label {label} is out of range: there are {count} classes; use 0 to {count - 1}")
        return Hierarchy.from_rows(rows[label] for label in wanted)

    def extend(self, other: Hierarchy) -> Hierarchy:
        """The hierarchy with the further classes of another one behind its own, where that one puts them.

        Classes are the same by their id. An own class whose id the other one lacks may be there with its name as id, or
        with its id as name.

        Raises:
            InvalidHierarchy: a name would mean a class of one and a node of the other.

        >>> Hierarchy.balanced(2).extend(Hierarchy.balanced(3)).classes
        ('class 0', 'class 1', 'class 2')
        """
        theirs = set(other.classes)
        missing = [row for row in self.rows if row[0] not in theirs]
        known, ids = {*self.classes, *(row[1] for row in missing)}, {row[0] for row in missing}
        further = [row for row in other.rows if row[0] not in known and row[1] not in ids]
        return Hierarchy.from_rows([*self.rows, *further])

    def find(self, text: str) -> tuple[str, ...]:
        """Paths of the nodes that a text may mean: equal names first, then names that contain it, else similar names.

        >>> Hierarchy(("n1",), ("great white shark",), (("marine animals", "sharks"),)).find("shark")
        ('marine animals/sharks', 'marine animals/sharks/great white shark')
        """
        wanted = text.casefold().strip("/")
        spellings = self._spellings
        equal = [path for path, words in spellings.items() if wanted in (path.casefold(), *words)]
        part = [path for path, words in spellings.items() if path not in equal and any(wanted in w for w in words)]
        if equal or part:
            return tuple(equal + part)
        close = get_close_matches(wanted, {word for words in spellings.values() for word in words}, n=5, cutoff=0.6)
        return tuple(dict.fromkeys(path for word in close for path, words in spellings.items() if word in words))

    @cached_property
    def index(self) -> NameIndex:
        """What each class and node answers to."""
        return NameIndex(self.classes, self.names, self.groups)

    @cached_property
    def _ancestors(self) -> dict[Level, tuple[int, ...]]:
        """What `ancestors` found: experts that are cut out of a large network ask for it each time."""
        return {}

    @cached_property
    def _superclasses(self) -> tuple[str, ...]:
        return tuple(sorted({superclass for superclass, _ in self.groups}))

    @cached_property
    def _groups(self) -> tuple[tuple[str, str], ...]:
        return tuple(sorted(set(self.groups)))

    @cached_property
    def _leaves(self) -> tuple[int, ...]:
        """The label of each class in node order."""
        key = [(*group, name, id) for id, name, group in zip(self.classes, self.names, self.groups, strict=True)]
        return tuple(sorted(range(len(key)), key=key.__getitem__))

    @cached_property
    def _spellings(self) -> dict[str, tuple[str, ...]]:
        """Path -> what a person may call the node, casefolded; superclasses, then groups, then classes."""
        nodes = (*self.nodes(1), *self.nodes(2))
        table: dict[str, tuple[str, ...]] = {path: (split_path(path)[-1].casefold(),) for path in nodes}
        for label in self._leaves:
            table[self.index.paths[label]] = (self.names[label].casefold(), self.classes[label].casefold())
        return table


def _frozen(group: Any) -> Any:
    """A pair as a tuple; anything else unchanged, for `table_problems` to report."""
    return tuple(group) if isinstance(group, list) else group
