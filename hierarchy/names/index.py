"""Names of classes and nodes: which are valid, and what a person means by one; nothing else resolves names."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property

from hierarchy.errors import AmbiguousName, UnknownNode, nearest
from hierarchy.names.paths import join_path, split_path

Words = tuple[str, ...]  # what one class may be called, most reliable first


class NameIndex:
    """What each of K classes, and each node above them, answers to.

    An id or a path always means its own class or node, even if another class has that name.

    Args:
        ids, names: of the classes, in label order.
        places: the (superclass, group) of each class, None while it has none.

    >>> index = NameIndex(("n1", "n2"), ("tabby", "carp"), (("mammals", "cats"), ("fish", "carps")))
    >>> index.labels("mammals"), index.label("carp"), index.paths
    ((0,), 1, ('mammals/cats/tabby', 'fish/carps/carp'))
    """

    def __init__(self, ids: Sequence[str], names: Sequence[str], places: Sequence[tuple[str, str] | None]) -> None:
        self._ids, self._names, self._places = tuple(ids), tuple(names), tuple(places)

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """The path of each class: by name where nothing else in its group answers to it, else by id; its id alone
        while it has no place."""
        table = list(zip(self._ids, self._names, self._places, strict=True))
        uses = Counter((place, word) for id, name, place in table for word in {id, name})
        return tuple(
            join_path(*(place or ()), name if place and uses[place, name] == 1 else id) for id, name, place in table
        )

    def labels(self, asked: str) -> tuple[int, ...]:
        """Labels of the classes below an id, a name or a path, ascending; "" is the root.

        Raises:
            UnknownNode: nothing has that name; the nearest names are suggested.
            AmbiguousName: several classes have that name; their paths and ids are given.
        """
        if not isinstance(asked, str):
            raise TypeError(f"cannot look up {asked!r}; give ids, names or paths, as in labels('shark', 'n01494475')")
        if asked == "":
            return tuple(range(len(self._ids)))
        meanings = self._meanings.get(asked, set())
        if len(meanings) == 1:
            return next(iter(meanings))
        if meanings:
            labels = sorted((label for found in meanings for label in found), key=self.paths.__getitem__)
            choices = [f"{self.paths[label]!r} (id {self._ids[label]!r})" for label in labels]
            raise AmbiguousName(f"{asked!r} is ambiguous: {' and '.join(choices)}; use an id or a path")
        raise UnknownNode(f"no class or node {asked!r}{nearest(asked, self._meanings)}; use an id, a name or a path")

    def label(self, asked: str) -> int:
        """The label of the one class that is asked for.

        Raises:
            UnknownNode, AmbiguousName: as in `labels`; UnknownNode also for a node of several classes.
        """
        labels = self.labels(asked)
        if len(labels) != 1:
            raise UnknownNode(f"{asked!r} is a node of {len(labels)} classes; name one of them")
        return labels[0]

    def candidates(self, name: str) -> tuple[int, ...]:
        """Labels of the classes that an id or a name may mean: none, one or, for a repeated name, several.

        A "/" may be written as in a path, since the folder of a class cannot have one.
        """
        (plain,) = split_path(name) if "/" not in name else (name,)
        known = (table.get(word) for word in (name, plain) for table in (self._by_id, self._by_name))
        return next((labels for labels in known if labels), ())

    @cached_property
    def _by_id(self) -> dict[str, tuple[int, ...]]:
        return {id: (label,) for label, id in enumerate(self._ids)}

    @cached_property
    def _by_name(self) -> dict[str, tuple[int, ...]]:
        found: defaultdict[str, tuple[int, ...]] = defaultdict(tuple)
        for label, name in enumerate(self._names):
            found[name] += (label,)
        return dict(found)

    @cached_property
    def _meanings(self) -> dict[str, set[tuple[int, ...]]]:
        """Everything that can be asked for -> its meanings, each the labels of a class or node."""
        meanings: defaultdict[str, set[tuple[int, ...]]] = defaultdict(set)
        members: defaultdict[str, list[int]] = defaultdict(list)
        for label, (id, name, place) in enumerate(zip(self._ids, self._names, self._places, strict=True)):
            meanings[name].add((label,))
            if place:
                members[join_path(place[0])].append(label)
                members[join_path(*place)].append(label)
                meanings[join_path(*place, name)].add((label,))
                meanings[join_path(*place, id)].add((label,))
        meanings |= {path: {tuple(labels)} for path, labels in members.items()}
        meanings |= {path: {(label,)} for label, path in enumerate(self.paths)}
        for label, id in enumerate(self._ids):
            meanings[id] = meanings[join_path(id)] = {(label,)}
        for superclass in {place[0] for place in self._places if place}:  # "Exterior/urban" without an escape, too
            meanings.setdefault(superclass, {tuple(members[join_path(superclass)])})
        return dict(meanings)


def match(ours: Sequence[Words], theirs: Sequence[Words]) -> dict[int, int]:
    """Pairs the classes of two lists: position in `theirs` -> position in `ours`.

    Classes are paired by their first words (ids), then by any of their words, then with case, "_" and " " taken as
    equal; each time only where that leaves exactly one class on each side.

    >>> match([("n1", "tabby cat"), ("n2", "carp")], [("Tabby_cat",), ("n2",)])
    {1: 1, 0: 0}
    """
    spellings: tuple[Callable[[Words], set[str]], ...] = (
        lambda words: {words[0]},
        lambda words: set(words),
        lambda words: {" ".join(word.replace("_", " ").casefold().split()) for word in words},
    )
    found: dict[int, int] = {}
    for spelling in spellings:
        mine, yours = _positions(ours, spelling), _positions(theirs, spelling)
        answers: defaultdict[int, set[int]] = defaultdict(set)
        for word, places in yours.items():
            if len(places) == 1:
                answers[min(places)] |= mine[word]
        taken = set(found.values())
        clear = {i: min(labels) for i, labels in answers.items() if len(labels) == 1 and i not in found}
        asked = Counter(clear.values())
        found |= {i: label for i, label in clear.items() if label not in taken and asked[label] == 1}
    return found


def _positions(classes: Sequence[Words], spelling: Callable[[Words], set[str]]) -> defaultdict[str, set[int]]:
    found: defaultdict[str, set[int]] = defaultdict(set)
    for i, words in enumerate(classes):
        for word in spelling(words):
            found[word].add(i)
    return found
