"""How alike two hierarchies are, corrected for chance: each measure comes with its mean over random trees."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from hierarchy.errors import HierarchyError, nearest
from hierarchy.names import Words, match
from hierarchy.tree import Hierarchy

RANDOM_TREES = 10  # their mean triplet agreement varies by less than 0.01 from 100 classes on
FEWEST = 3  # classes; a triplet is the smallest thing that two trees can disagree about


@dataclass(frozen=True)
class Measure:
    """A measure of the hierarchy, and its mean over random trees of the same shape."""

    value: float
    random: float


@dataclass(frozen=True)
class Score:
    """How alike a hierarchy and a reference are, over the classes that both have.

    Args:
        covered: classes that were found in both, n; everything below is about them.
        classes: classes of the hierarchy.
        referenced: classes of the reference.
        unmatched: classes of the reference that match no class of the hierarchy by id or by a unique name.
        superclass_ari: ARI of the hierarchy's superclasses against the reference's; 1 if they are the same.
        superclass_ami: AMI of the same.
        group_ari: ARI of the hierarchy's groups against the reference's superclasses. Groups are finer, so equal
            hierarchies have less than 1; among hierarchies with equally many groups, the best one is still highest.
        group_ami: AMI of the same.
        groups_ari: ARI of groups against the reference's groups; None if it has none.
        groups_ami: AMI of the same.
        dendrogram_purity: for two classes of one superclass of the reference, the share of that superclass in the
            smallest node that holds both, in expectation over all such pairs (Heller & Ghahramani 2005).
        triplet_agreement: of all triplets in which the reference puts two classes together and the third apart, the
            share that the hierarchy resolves alike; a triplet that it leaves tied does not agree.

    ARI is the adjusted Rand index (Hubert & Arabie 1985), AMI the adjusted mutual information with the arithmetic mean
    (Vinh et al. 2010). Both are 0 in expectation for a random partition of the same sizes, and at most 1; purity and
    triplet agreement lie between 0 and 1 and are high for some shapes already by chance: compare them with `random`.
    """

    covered: int
    classes: int
    referenced: int
    unmatched: tuple[str, ...]
    superclass_ari: Measure
    superclass_ami: Measure
    group_ari: Measure
    group_ami: Measure
    groups_ari: Measure | None
    groups_ami: Measure | None
    dendrogram_purity: Measure
    triplet_agreement: Measure

    @property
    def measures(self) -> dict[str, Measure]:
        """The measures by name, in the order of a table, without those that the reference does not allow."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Measure)}

    def to_dict(self) -> dict[str, Any]:
        """The score as plain numbers, lists and dicts, ready for `json.dumps`."""
        return {**asdict(self), "unmatched": list(self.unmatched)}


@dataclass(frozen=True)
class _Tree:
    """Two levels over n classes: for each class, its node at depth 1 and at depth 2 (the same again without groups)."""

    superclasses: tuple[Hashable, ...]
    groups: tuple[Hashable, ...]

    def at(self, labels: Sequence[int]) -> _Tree:
        return _Tree(tuple(self.superclasses[i] for i in labels), tuple(self.groups[i] for i in labels))


def score(hierarchy: Hierarchy, reference: Hierarchy | Mapping[str, str]) -> Score:
    """Compares a hierarchy with a reference over the classes that both have.

    Args:
        hierarchy: the one to judge.
        reference: another hierarchy, or class -> superclass; classes are matched by id, then by a name that is unique
            on both sides, then with case, "_" and " " taken as equal where that leaves it unique.

    Raises:
        HierarchyError: fewer than three classes match, or the reference does not separate them.

    >>> rows = [("a", "tabby", "cat", "pet"), ("b", "siamese", "cat", "pet"), ("c", "carp", "fish", "pet")]
    >>> score(Hierarchy.from_rows(rows), {"Tabby": "furry", "siamese": "furry", "carp": "wet"}).superclass_ari.value
    1.0
    """
    if isinstance(reference, Hierarchy):
        words: list[Words] = list(zip(reference.classes, reference.names, strict=True))
        theirs = _tree(reference)
    else:
        words = [(key,) for key in reference]
        theirs = _Tree(*(tuple(reference.values()),) * 2)  # no groups of its own, so no deeper triplets
    known: list[Words] = list(zip(hierarchy.classes, hierarchy.names, strict=True))
    matched = match(known, words)
    unmatched = tuple(word[0] for i, word in enumerate(words) if i not in matched)
    if len(matched) < FEWEST:
        raise HierarchyError(_too_few(len(matched), unmatched, known))
    # In the order of ids, so that the random trees do not depend on the order of labels.
    order = sorted(matched, key=lambda i: hierarchy.classes[matched[i]])
    theirs, ours = theirs.at(order), _tree(hierarchy).at([matched[i] for i in order])
    if not _agreeing(theirs, theirs):
        raise HierarchyError(
            f"the reference groups all {len(matched)} classes that it covers together, or none; give one that groups"
            " some of them"
        )
    measure = _measurer(theirs, with_groups=isinstance(reference, Hierarchy))
    values = measure(ours)
    chance = random.Random(0)
    shuffled = [measure(ours.at(chance.sample(range(len(order)), len(order)))) for _ in range(RANDOM_TREES)]
    table: dict[str, Any] = {
        name: Measure(value, fmean(other[name] for other in shuffled)) for name, value in values.items()
    }
    return Score(
        len(matched), len(hierarchy), len(words), unmatched, **{"groups_ari": None, "groups_ami": None} | table
    )


def _tree(hierarchy: Hierarchy) -> _Tree:
    return _Tree(hierarchy.ancestors(1), hierarchy.ancestors(2))


def _measurer(theirs: _Tree, *, with_groups: bool) -> Callable[[_Tree], dict[str, float]]:
    """A function from a tree to its figures against one reference."""
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score

    resolved = _agreeing(theirs, theirs)
    names = ["superclass", "group", "groups"] if with_groups else ["superclass", "group"]

    def measure(ours: _Tree) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name in names:
            wanted = theirs.groups if name == "groups" else theirs.superclasses
            given = ours.superclasses if name == "superclass" else ours.groups
            figures[f"{name}_ari"] = float(adjusted_rand_score(wanted, given))
            figures[f"{name}_ami"] = float(adjusted_mutual_info_score(wanted, given))
        figures["dendrogram_purity"] = _dendrogram_purity(ours, theirs.superclasses)
        figures["triplet_agreement"] = _agreeing(ours, theirs) / resolved
        return figures

    return measure


def _dendrogram_purity(tree: _Tree, wanted: Sequence[Hashable]) -> float:
    """Expected purity of the least common ancestor of two classes that belong together, by counting per node.

    A node holds c classes of one kind; the pairs of that kind that meet at it, and not below it, are c(c-1)/2 less the
    same of its children. Each contributes c / (size of the node).
    """
    levels = [("root",) * len(wanted), tree.superclasses, tree.groups]
    total = 0.0
    purity_above: dict[tuple[Hashable, Hashable], float] = {}
    for depth, nodes in enumerate(levels):
        size = Counter(nodes)
        parent = dict(zip(nodes, levels[max(depth - 1, 0)], strict=True))
        purity: dict[tuple[Hashable, Hashable], float] = {}
        for (node, kind), count in Counter(zip(nodes, wanted, strict=True)).items():
            purity[node, kind] = count / size[node]
            total += _pairs(count) * (purity[node, kind] - purity_above.get((parent[node], kind), 0.0))
        purity_above = purity
    return total / sum(_pairs(count) for count in Counter(wanted).values())


def _agreeing(one: _Tree, other: _Tree) -> int:
    """Number of triplets {a, b | c} that two trees resolve alike; of a tree and itself, those it resolves at all.

    Let a and b meet at node u of one tree and v of the other (both below the root): then c agrees if it lies neither
    below u nor below v, so n - |u| - |v| + |u and v| of them do. Pairs that meet exactly at (u, v) are those in both,
    less those that meet deeper in either tree, plus those that meet deeper in both.
    """
    n = len(one.groups)
    levels = ((one.superclasses, one.groups), (other.superclasses, other.groups))
    sizes = [[Counter(nodes) for nodes in level] for level in levels]
    above = [dict(zip(level[1], level[0], strict=True)) for level in levels]
    cells = {(i, j): Counter(zip(levels[0][i], levels[1][j], strict=True)) for i in (0, 1) for j in (0, 1)}

    def apart(i: int, j: int, u: Hashable, v: Hashable) -> int:
        return n - sizes[0][i][u] - sizes[1][j][v] + cells[i, j][u, v]

    total = 0
    for (i, j), table in cells.items():
        for (u, v), count in table.items():
            if count < 2:
                continue
            others = apart(i, j, u, v)
            if i:
                others -= apart(0, j, above[0][u], v)
            if j:
                others -= apart(i, 0, u, above[1][v])
            if i and j:
                others += apart(0, 0, above[0][u], above[1][v])
            total += _pairs(count) * others
    return total


def _pairs(count: int) -> int:
    return count * (count - 1) // 2


def _too_few(covered: int, unmatched: tuple[str, ...], known: Sequence[Words]) -> str:
    start = f"the reference covers {covered} of {len(known)} classes, but {FEWEST} are needed"
    if not unmatched:
        return f"{start}; give a reference with more classes"
    words = [word for names in known for word in names]
    lost = tuple(repr(key) + nearest(key, words, 1).replace("; ", ", ") for key in unmatched[:8])
    rest = f"; and {len(unmatched) - len(lost)} more" if len(unmatched) > len(lost) else ""
    return f"{start}; no class has these ids or unique names: {'; '.join(lost)}{rest}"
