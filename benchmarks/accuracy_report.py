"""The tables of the accuracy claim, from the results of trainings: accuracies, costs, the paper's three differences."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_plan import FLAT, NESTED, TREES, parts
from accuracy_statistics import difference, estimate, right
from accuracy_variations import MAIN

Result = Mapping[str, Any]
Answers = dict[str, np.ndarray]  # by list: (test pictures, seeds), 1 where right; not a number where not asked
PUBLISHED = {  # ResNet50, 100 classes of ImageNet, experts of 20 (Kelm et al., 2024)
    "all": 85.7 - 85.3,
    "restricted": 93.4 - 90.6,
    "trained": 93.4 - 88.5,
}


def read(folder: Path) -> list[Result]:
    """All results, by key."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted((folder / "results").glob("*.json"))]


def answers(results: Iterable[Result], of: Callable[[Result], np.ndarray]) -> Answers:
    """The right answers of some results, put together by list, the seeds in order."""
    columns: defaultdict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
    for result in results:
        columns[result["list"]].append((result["seed"], of(result)))
    return {
        name: np.stack([found for _, found in sorted(each, key=lambda one: one[0])], 1)
        for name, each in columns.items()
    }


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


def trained_on_part(result: Result, whole: Result) -> np.ndarray:
    """Right among the classes it was trained on, in the rows of a result on all classes; the others not a number."""
    label_of = {id: label for label, id in enumerate(whole["classes"])}
    found = np.full(len(whole["labels"]), np.nan)
    found[_rows(whole, [label_of[id] for id in result["classes"]])] = on_all(result)
    return found


def _rows(result: Result, labels: Sequence[int]) -> np.ndarray:
    """The rows of a result's test pictures that have some labels, in order."""
    return np.flatnonzero(np.isin(result["labels"], labels))


def tables(results: Sequence[Result], *, each: int) -> Iterator[str]:
    """Lines of Markdown about the trainings of one size of lists, experts of so many classes."""
    main = [result for result in results if not result["variation"]]
    flat = [result for result in main if result["kind"] == FLAT and result["part"] is None]
    small = [result for result in main if result["part"] is not None and result["part_of"] == each]
    whole = {(result["list"], result["seed"]): result for result in flat}
    small = [result for result in small if (result["list"], result["seed"]) in whole]
    flat_all, flat_restricted = answers(flat, on_all), answers(flat, lambda result: restricted(result, each))
    flat_trained = answers(small, lambda result: trained_on_part(result, whole[result["list"], result["seed"]]))
    nested = {
        tree: [result for result in main if result["kind"] == NESTED and result["tree"] == tree] for tree in TREES
    }
    nested = {tree: found for tree, found in nested.items() if found}
    yield "| | accuracy | parameters / GMACs | trainings | of its training pictures |"
    yield "|---|---|---|---|---|"
    yield _row("flat, all classes", flat_all, flat)
    for variation in sorted({result["variation"] for result in results if result["kind"] == FLAT} - {""}):
        own = [result for result in results if result["variation"] == variation and result["kind"] == FLAT]
        yield _row(f"flat, {variation}, all classes", answers(own, on_all), own)
    for tree, found in nested.items():
        yield _row(f"nested, {tree}, all classes", answers(found, on_all), found)
    yield _row(f"flat, all classes, restricted to {each}", flat_restricted, flat)
    for variation in sorted({result["variation"] for result in results if result["kind"] == FLAT} - {""}):
        own = [result for result in results if result["variation"] == variation and result["kind"] == FLAT]
        yield _row(
            f"flat, {variation}, restricted to {each}", answers(own, lambda result: restricted(result, each)), own
        )
    if small:
        yield _row(f"flat, trained on {each}", flat_trained, small)
    for tree, found in nested.items():
        yield _row(
            f"expert of {each}, {tree}", answers(found, lambda result: by_experts(result, each)), found, each=each
        )
    yield ""
    yield (
        f"| nested less flat, in brackets as expected | all classes (published {PUBLISHED['all']:+.1f})"
        f" | expert of {each} less flat restricted ({PUBLISHED['restricted']:+.1f})"
        f" | expert of {each} less flat trained on {each} ({PUBLISHED['trained']:+.1f}) |"
    )
    yield "|---|---|---|---|"
    for tree, found in nested.items():
        own, experts = answers(found, on_all), answers(found, lambda result: by_experts(result, each))
        pairs = [(own, flat_all), (experts, flat_restricted), (experts, flat_trained)]
        cells = [difference(*pair).signed() if comparable(*pair) else "not run" for pair in pairs]
        expected = [f" ({value:+g})" for value in MAIN[tree]] if each == 20 else [""] * len(cells)
        yield f"| {tree} | {' | '.join(map(''.join, zip(cells, expected, strict=True)))} |"


def variations(results: Sequence[Result], predictions: Mapping[str, Any], *, each: int) -> Iterator[str]:
    """Lines of Markdown about what was varied: what was expected, and what came out, against the same seeds."""
    yield f"| variation | of | expected | all classes | against the main recipe | experts of {each} | params / GMACs |"
    yield "|---|---|---|---|---|---|---|"
    for name, varied in predictions.items():
        for kind in (NESTED, FLAT):
            own = [result for result in results if result["variation"] == name and result["kind"] == kind]
            if not own:
                continue
            pairs = {(result["list"], result["seed"]) for result in own}
            base = [
                result
                for result in results
                if not result["variation"]
                and result["kind"] == kind
                and result["part"] is None
                and result["tree"] == own[0]["tree"]
                and (result["list"], result["seed"]) in pairs
            ]
            mine, theirs = answers(own, on_all), answers(base, on_all)
            changed = difference(mine, theirs).signed() if comparable(mine, theirs) else "not run"
            expert = "-"
            if kind == NESTED and comparable(mine, theirs):
                expert = difference(
                    *(answers(some, lambda result: by_experts(result, each)) for some in (own, base))
                ).signed()
            expected = f"{varied.expected:+g}: {varied.why}" if kind == NESTED else "-"
            yield f"| {name} | {kind} | {expected} | {estimate(mine)} | {changed} | {expert} | {_cost(own)} |"


def comparable(first: Answers, second: Answers) -> bool:
    """Whether two have answers to the same pictures, with as many seeds."""
    return any(name in second and table.shape == second[name].shape for name, table in first.items())


def _row(what: str, found: Answers, results: Sequence[Result], *, each: int = 0) -> str:
    fitted = 100 * float(np.mean([result["fitted"] for result in results]))
    experts = [expert for result in results for expert in result["experts"] if expert["each"] == each]
    return f"| {what} | {estimate(found)} | {_cost(experts or results)} | {len(results)} | {fitted:.0f} % |"


def _cost(costed: Sequence[Mapping[str, Any]]) -> str:
    """The mean of parameters and multiply-accumulates."""
    params, macs = (float(np.mean([each[name] for each in costed])) for name in ("params", "macs"))
    return f"{params / 1e6:.2f}M / {macs / 1e9:.3f}"
