"""Tables of the accuracy benchmark: accuracies, costs and the three differences of the paper."""

from __future__ import annotations

import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_plan import FLAT, NESTED, TREES, draw_parts
from accuracy_statistics import estimate, estimate_difference, mark_correct

Result = Mapping[str, Any]
# (list, seed) -> (images,), 1 where the answer is correct, NaN for images that are not evaluated
Answers = dict[tuple[str, int], np.ndarray]
PUBLISHED = (85.7 - 85.3, 93.4 - 90.6, 93.4 - 88.5)  # ResNet50, 100 classes, experts of 20 (Kelm et al., 2024)


def read_results(folder: Path) -> list[Result]:
    """Reads all results, sorted by key."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "results").glob("*.json"))]


def collect_answers(results: Iterable[Result], mark: Callable[[Result], np.ndarray]) -> Answers:
    """Marks the answers of results that all differ in list or seed."""
    return {(result["list"], result["seed"]): mark(result) for result in results}


def stack_by_list(found: Answers) -> dict[str, np.ndarray]:
    """Stacks the answers of each list: (images, seeds)."""
    columns: defaultdict[str, list[np.ndarray]] = defaultdict(list)
    for (name, _), column in sorted(found.items(), key=lambda each: each[0]):
        columns[name].append(column)
    return {name: np.stack(each, 1) for name, each in columns.items()}


def format_difference(first: Answers, second: Answers) -> str:
    """How much more often the first is correct, on the lists and seeds that both have."""
    both = [key for key in first if key in second]
    if not both:
        return "not run"
    return estimate_difference(
        *(stack_by_list({key: found[key] for key in both}) for found in (first, second))
    ).format_signed()


def mark_all(result: Result) -> np.ndarray:
    """Marks answers among all classes."""
    return mark_correct(result["logits"], result["labels"])


def mark_restricted(result: Result, each: int) -> np.ndarray:
    """Marks answers among the classes of each expert, by the logits of the whole network."""
    label_of = {id: label for label, id in enumerate(result["classes"])}
    found = np.full(len(result["labels"]), np.nan)
    for classes in draw_parts(result["classes"], each, seed=result["seed"]):
        own = mark_correct(result["logits"], result["labels"], [label_of[id] for id in classes])
        found = np.where(np.isnan(own), found, own)
    return found


def mark_experts(result: Result, each: int) -> np.ndarray:
    """Marks answers among the classes of each expert, by the logits of the expert."""
    label_of = {id: label for label, id in enumerate(result["classes"])}
    found = np.full(len(result["labels"]), np.nan)
    for expert in (expert for expert in result["experts"] if expert["size"] == each):
        found[_find_rows(result, [label_of[id] for id in expert["classes"]])] = mark_correct(
            expert["logits"], expert["labels"]
        )
    return found


def mark_specialists(results: Iterable[Result], whole: Mapping[tuple[str, int], Result]) -> Answers:
    """Marks answers of networks trained on some classes, in the rows of results on all classes; other rows are NaN.

    Args:
        whole: (list, seed) -> result on all classes.
    """
    found: Answers = {}
    for result in results:
        key = result["list"], result["seed"]
        if key in whole:
            label_of = {id: label for label, id in enumerate(whole[key]["classes"])}
            column = found.setdefault(key, np.full(len(whole[key]["labels"]), np.nan))
            column[_find_rows(whole[key], [label_of[id] for id in result["classes"]])] = mark_all(result)
    return found


def _find_rows(result: Result, labels: Sequence[int]) -> np.ndarray:
    """The rows of test images that have some labels, in order."""
    return np.flatnonzero(np.isin(result["labels"], labels))


@dataclass(frozen=True)
class Competitor:
    """Networks of one kind, with their answers on all classes and on the classes of experts."""

    name: str
    results: Sequence[Result]
    all: Answers
    small: Answers
    experts: bool  # whether `small` are the answers of experts

    def format_row(self, each: int) -> str:
        """Its table row for experts of `each` classes, or for all classes if 0."""
        train_accuracy = 100 * float(np.mean([result["train_accuracy"] for result in self.results]))
        cut = [one for result in self.results for one in result["experts"] if self.experts and one["size"] == each]
        accuracy = estimate(stack_by_list(self.small if each else self.all))
        cost = format_cost(cut or self.results)
        return f"| {self.name} | {accuracy} | {cost} | {len(self.results)} | {train_accuracy:.0f} % |"


def make_competitor(name: str, results: Sequence[Result], *, each: int) -> Competitor:
    """Networks trained on all classes; nested ones give experts of `each` classes, flat ones are restricted to them."""
    nested = results[0]["kind"] == NESTED
    small = collect_answers(results, lambda result: (mark_experts if nested else mark_restricted)(result, each))
    return Competitor(name, results, collect_answers(results, mark_all), small, nested)


def format_tables(
    results: Sequence[Result],
    *,
    each: int,
    variation: str = "",
    controls: Sequence[str] = (),
    expected: Mapping[str, Sequence[float]] | None = None,
) -> Iterator[str]:
    """Lines of Markdown that compare nested networks and experts of `each` classes with flat networks.

    Args:
        variation: name of the variation of the nested networks.
        controls: variations of flat networks to compare with, in addition to the plain one.
        expected: tree -> predictions of the paper's three differences.
    """

    def select(**wanted: Any) -> list[Result]:
        return [result for result in results if all(result[name] == value for name, value in wanted.items())]

    flats = {name: select(kind=FLAT, part=None, variation=name) for name in ("", *controls)}
    trees = {tree: select(kind=NESTED, tree=tree, variation=variation) for tree in TREES}
    rivals = [make_competitor(" ".join(("flat", name)).strip(), own, each=each) for name, own in flats.items() if own]
    nested = [make_competitor(tree, own, each=each) for tree, own in trees.items() if own]
    whole = {(result["list"], result["seed"]): result for result in flats[""]}
    parted = [one for one in select(part_of=each, variation="") if one["part"] is not None]
    trained = mark_specialists(parted, whole)
    yield from ("| | accuracy | parameters / GMACs | trainings | training accuracy |", "|---|---|---|---|---|")
    yield "| **all classes** | | | | |"
    yield from (one.format_row(0) for one in (*rivals, *nested))
    yield f"| **{each} classes**, flat restricted, nested cut | | | | |"
    yield from (one.format_row(each) for one in (*rivals, *nested))
    if parted:
        yield Competitor(f"flat trained on the {each}", parted, {}, trained, False).format_row(each)
    yield ""
    yield (
        f"| points | all classes | {each} classes, minus restricted | {each} classes, minus trained on them |"
        " predicted |"
    )
    yield "|---|---|---|---|---|"
    yield f"| published | {' | '.join(f'{value:+.1f}' for value in PUBLISHED)} | |"
    for one in nested:
        for rival in rivals:
            plain = rival is rivals[0]
            known = expected[one.name] if plain and expected else ()
            last = format_difference(one.small, trained) if plain else ""
            cells = [
                format_difference(one.all, rival.all),
                format_difference(one.small, rival.small),
                last,
                ", ".join(f"{v:+g}" for v in known),
            ]
            yield f"| {one.name} minus {rival.name} | {' | '.join(cells)} |"
    for one, other in itertools.combinations(nested, 2):
        cells = [format_difference(one.all, other.all), format_difference(one.small, other.small)]
        yield f"| {one.name} minus {other.name} | {' | '.join(cells)} | | |"


def format_variations(results: Sequence[Result], varied: Mapping[str, Any], *, each: int) -> Iterator[str]:
    """Lines of Markdown that compare each variation and its prediction with the main recipe on the same seeds."""
    yield (
        f"| variation | network | predicted | all classes | minus main recipe | experts of {each}, minus |"
        f" params / GMACs | minus flat with the same variation | experts of {each}, minus |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, kind in itertools.product(varied, (NESTED, FLAT)):
        tree = "unicode" if kind == NESTED else ""
        same = [one for one in results if one["kind"] == kind and one["part"] is None and one["tree"] == tree]
        own, base = ([one for one in same if one["variation"] == variation] for variation in (name, ""))
        if own and base:
            mine, theirs = make_competitor(name, own, each=each), make_competitor("", base, each=each)
            why = f"{varied[name].expected:+g}: {varied[name].why}" if kind == NESTED else ""
            cells = [
                str(estimate(stack_by_list(mine.all))),
                format_difference(mine.all, theirs.all),
                format_difference(mine.small, theirs.small),
            ]
            flat = [one for one in results if one["kind"] == FLAT and one["part"] is None and one["variation"] == name]
            cells += [format_cost(own), "", ""]
            if flat and kind == NESTED:
                rival = make_competitor("", flat, each=each)
                cells[-2:] = [format_difference(mine.all, rival.all), format_difference(mine.small, rival.small)]
            yield f"| {name} | {kind}, {len(own)} | {why} | {' | '.join(cells)} |"


def format_cost(costed: Sequence[Mapping[str, Any]]) -> str:
    """Mean parameters and multiply-accumulates."""
    params, macs = (float(np.mean([each[name] for each in costed])) for name in ("params", "macs"))
    return f"{params / 1e6:.2f}M / {macs / 1e9:.3f}"
