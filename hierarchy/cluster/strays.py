"""Strays of a clustering: classes among others of one kind, while their own kind, by hypernyms, is elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from hierarchy.cluster.shape import Range
from hierarchy.wordnet import Confidence, Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Labels = NDArray[np.intp]

KIND = 0.36  # information of a hypernym that is a kind: "mammal" has 0.37, "structure" 0.35, "vertebrate" 0.29;
CLOSE = 0.55  # and of one that only near kin share: "reptile" has 0.5, "amphibian" 0.56, "salamander" 0.7
MOST = 0.75  # share of a cluster that makes it one of that kind
FEW = 3  # near kin in a cluster that may be of no kind


def find_kinds(senses: Senses | None, count: int) -> list[dict[str, float]]:
    """The kinds of each class with their information; none of a class that WordNet knows only by a part of its name."""
    if senses is None:
        return [{}] * count
    wordnet, found = senses.wordnet, []
    for meaning in senses.meanings:
        above = wordnet.ancestors(meaning.wnid) if meaning.confidence > Confidence.HEAD else ()
        information = {wnid: wordnet.information(wnid) for wnid in above}
        found.append({wnid: told for wnid, told in information.items() if told >= KIND})
    return found


def settle_strays(labels: Labels, allowed: Range, kinds: Sequence[Mapping[str, float]]) -> Labels:
    """Moves each stray to the cluster where its closest kin are.

    A class is a stray if its cluster is of a kind that it is not of, while another cluster is of a kind that it is of,
    or holds three of its near kin.

    Args:
        labels: (K,) the cluster of each class.
        allowed: sizes of clusters that no move may leave.
        kinds: the kinds of each class with their information (`find_kinds`).
    """
    import numpy as np

    labels = labels.copy()
    sizes = np.bincount(labels)
    held = [Counter[str]() for _ in sizes]
    known = [0 for _ in sizes]
    for cluster, own in zip(labels, kinds, strict=True):
        held[cluster].update(own.keys())
        known[cluster] += bool(own)

    information = {kind: told for own in kinds for kind, told in own.items()}

    def find_kind(cluster: int) -> str:
        """The most specific kind that most classes of a cluster are of; "" if there is none."""
        most = max(FEW, MOST * known[cluster])
        common = (kind for kind, number in held[cluster].items() if number >= most)
        return max(common, key=lambda kind: (information[kind], kind), default="")

    for label, own in enumerate(kinds):
        here = int(labels[label])
        kind = find_kind(here) if own and sizes[here] > allowed.least else ""
        if not kind or kind in own:
            continue
        ranked = []
        for there in range(len(sizes)):
            if there != here and sizes[there] < allowed.most:
                kin = {k for k in own if held[there][k] >= FEW > held[here][k]}
                close = [k for k in kin if own[k] >= CLOSE or k == find_kind(there)]
                ranked += [(own[k], held[there][k], -there) for k in close]
        if ranked:
            there = -max(ranked)[-1]
            labels[label] = there
            for cluster, step in ((here, -1), (there, 1)):
                sizes[cluster] += step
                known[cluster] += step
                held[cluster].update(dict.fromkeys(own, step))
    return labels
