"""The tables of the accuracy claim, from the results of trainings: accuracies, costs, the paper's three differences."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_plan import FLAT, NESTED, TREES, parts
from accuracy_statistics import difference, estimate, right

Result = Mapping[str, Any]
Answers = dict[
    tuple[str, int], np.ndarray
]  # by list and seed: (pictures,), 1 where right; not a number where not asked
PUBLISHED = (85.7 - 85.3, 93.4 - 90.6, 93.4 - 88.5)  # ResNet50, 100 classes, experts of 20 (Kelm et al., 2024)


def read(folder: Path) -> list[Result]:
    """All results, by key."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "results").glob("*.json"))]


def answers(results: Iterable[Result], of: Callable[[Result], np.ndarray]) -> Answers:
    """The right answers of some results, of which no two have the same list and seed."""
    return {(result["list"], result["seed"]): of(result) for result in results}


def by_list(found: Answers) -> dict[str, np.ndarray]:
    """Answers as (pictures, seeds) of each list."""
    columns: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for (name, _), column in sorted(found.items(), key=lambda each: each[0]):
        columns[name].append(column)
    return {name: np.stack(each, 1) for name, each in columns.items()}


def less(first: Answers, second: Answers) -> str:
    """How much more often the first is right, on the lists and seeds that both have."""
    both = [key for key in first if key in second]
    if not both:
        return "not run"
    return difference(*(by_list({key: found[key] for key in both}) for found in (first, second))).signed()


def on_all(result: Result) -> np.ndarray:
    """Right among all classes."""
    return right(result["logits"], result["labels"])


def restricted(result: Result, each: int) -> np.ndarray:
    """Right among the classes of its expert, by the logits of the whole network; every class is in one expert."""
    label_of = {id: label for label, id in enumerate(result["classes"])}
    found = np.full(len(result["labels"]), np.nan)
    for classes in parts(result["classes"], each, seed=result["seed"]):
        own = right(result["logits"], result["labels"], [label_of[id] for id in classes])
        found = np.where(np.isnan(own), found, own)
    return found


def by_experts(result: Result, each: int) -> np.ndarray:
    """Right among the classes of its expert, by the experts that were cut out."""
    label_of = {id: label for label, id in enumerate(result["classes"])}
    found = np.full(len(result["labels"]), np.nan)
    for expert in (expert for expert in result["experts"] if expert["each"] == each):
        found[_rows(result, [label_of[id] for id in expert["classes"]])] = right(expert["logits"], expert["labels"])
    return found


def trained_on_parts(results: Iterable[Result], whole: Mapping[tuple[str, int], Result]) -> Answers:
    """Right among the classes it was trained on, each, in the rows of a result on all classes; other rows not a number.

    Args:
        whole: by list and seed, results on all classes.
    """
    found: Answers = {}
    for result in results:
        key = result["list"], result["seed"]
        if key in whole:
            label_of = {id: label for label, id in enumerate(whole[key]["classes"])}
            column = found.setdefault(key, np.full(len(whole[key]["labels"]), np.nan))
            column[_rows(whole[key], [label_of[id] for id in result["classes"]])] = on_all(result)
    return found


def _rows(result: Result, labels: Sequence[int]) -> np.ndarray:
    """The rows of a result's test pictures that have some labels, in order."""
    return np.flatnonzero(np.isin(result["labels"], labels))


@dataclass(frozen=True)
class Entrant:
    """What a row is about: networks of one kind, with their answers on all classes and on those of experts."""

    name: str
    results: Sequence[Result]
    all: Answers
    small: Answers
    experts: bool  # whether the small ones were cut out

    def row(self, each: int) -> str:
        """Its line on all classes, or on experts of so many."""
        fitted = 100 * float(np.mean([result["fitted"] for result in self.results]))
        cut = [one for result in self.results for one in result["experts"] if self.experts and one["each"] == each]
        accuracy = estimate(by_list(self.small if each else self.all))
        return f"| {self.name} | {accuracy} | {cost_of(cut or self.results)} | {len(self.results)} | {fitted:.0f} % |"


def entrant(name: str, results: Sequence[Result], *, each: int) -> Entrant:
    """Networks trained on all classes; nested ones as experts of so many, flat ones restricted to their classes."""
    nested = results[0]["kind"] == NESTED
    small = answers(results, lambda result: (by_experts if nested else restricted)(result, each))
    return Entrant(name, results, answers(results, on_all), small, nested)


def tables(
    results: Sequence[Result],
    *,
    each: int,
    variation: str = "",
    controls: Sequence[str] = (),
    expected: Mapping[str, Sequence[float]] | None = None,
) -> Iterator[str]:
    """Lines of Markdown about nested networks, experts of so many classes, and their flat rivals.

    Args:
        variation: of the nested networks.
        controls: variations of the flat ones that stand beside the plain one.
        expected: by tree, the three differences of the paper as they were predicted.
    """

    def some(**wanted: Any) -> list[Result]:
        return [result for result in results if all(result[name] == value for name, value in wanted.items())]

    flats = {name: some(kind=FLAT, part=None, variation=name) for name in ("", *controls)}
    trees = {tree: some(kind=NESTED, tree=tree, variation=variation) for tree in TREES}
    rivals = [entrant(" ".join(("flat", name)).strip(), own, each=each) for name, own in flats.items() if own]
    nested = [entrant(tree, own, each=each) for tree, own in trees.items() if own]
    whole = {(result["list"], result["seed"]): result for result in flats[""]}
    parted = [one for one in some(part_of=each, variation="") if one["part"] is not None]
    trained = trained_on_parts(parted, whole)
    yield from ("| | accuracy | parameters / GMACs | trainings | on what it trained on |", "|---|---|---|---|---|")
    yield "| **all classes** | | | | |"
    yield from (one.row(0) for one in (*rivals, *nested))
    yield f"| **{each} classes**, flat restricted, nested cut | | | | |"
    yield from (one.row(each) for one in (*rivals, *nested))
    if parted:
        yield Entrant(f"flat trained on the {each}", parted, {}, trained, False).row(each)
    yield ""
    yield (
        f"| points | all classes | {each} classes, less restricted | {each} classes, less trained on them |"
        " expected of these three |"
    )
    yield "|---|---|---|---|---|"
    yield f"| published | {' | '.join(f'{value:+.1f}' for value in PUBLISHED)} | |"
    for one in nested:
        for rival in rivals:
            plain = rival is rivals[0]
            known = expected[one.name] if plain and expected else ()
            last = less(one.small, trained) if plain else ""
            cells = [less(one.all, rival.all), less(one.small, rival.small), last, ", ".join(f"{v:+g}" for v in known)]
            yield f"| {one.name} less {rival.name} | {' | '.join(cells)} |"
    for one, other in itertools.combinations(nested, 2):
        yield f"| {one.name} less {other.name} | {less(one.all, other.all)} | {less(one.small, other.small)} | | |"


def variations(results: Sequence[Result], varied: Mapping[str, Any], *, each: int) -> Iterator[str]:
    """Lines of Markdown about what was varied: what was expected, and what came out, against the same seeds."""
    yield (
        f"| variation | of | expected | all classes | less main recipe | experts of {each}, less | params / GMACs |"
        f" less flat varied alike | experts of {each}, less |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, kind in itertools.product(varied, (NESTED, FLAT)):
        tree = "unicode" if kind == NESTED else ""
        same = [one for one in results if one["kind"] == kind and one["part"] is None and one["tree"] == tree]
        own, base = ([one for one in same if one["variation"] == variation] for variation in (name, ""))
        if own and base:
            mine, theirs = entrant(name, own, each=each), entrant("", base, each=each)
            why = f"{varied[name].expected:+g}: {varied[name].why}" if kind == NESTED else ""
            cells = [str(estimate(by_list(mine.all))), less(mine.all, theirs.all), less(mine.small, theirs.small)]
            flat = [one for one in results if one["kind"] == FLAT and one["part"] is None and one["variation"] == name]
            cells += [cost_of(own), "", ""]
            if flat and kind == NESTED:
                rival = entrant("", flat, each=each)
                cells[-2:] = [less(mine.all, rival.all), less(mine.small, rival.small)]
            yield f"| {name} | {kind}, {len(own)} | {why} | {' | '.join(cells)} |"


def cost_of(costed: Sequence[Mapping[str, Any]]) -> str:
    """The mean of parameters and multiply-accumulates."""
    params, macs = (float(np.mean([each[name] for each in costed])) for name in ("params", "macs"))
    return f"{params / 1e6:.2f}M / {macs / 1e9:.3f}"
