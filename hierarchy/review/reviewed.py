"""A file under review, on the disk: X.json is the result, and beside it lie

    X.proposal.json    the proposal the review starts from; written once, never changed
    X.decisions.jsonl  the decision log; appended to, and written anew by a replay only, which keeps the old one
    X.lock             while somebody reviews: who, where and since when

X.json is made of the first two whenever a sitting ends and no class is unsettled; the same two give the same bytes.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from hierarchy.errors import FormatError, HierarchyError, ReviewError
from hierarchy.files import read_json, same_file, write_text
from hierarchy.io import read, save, shipped
from hierarchy.proposal import Finding, Proposal, read_proposal
from hierarchy.review.log import Accept, Decision, Log, Undo, dumps, read_log
from hierarchy.review.state import Replayed, placed, replay, without
from hierarchy.review.storage import Paths, keep_base


def paths_of(file: str | os.PathLike[str]) -> Paths:
    """Where the files of a review lie: beside the file itself where a link to it is given.

    Raises:
        ReviewError: it is the name of a shipped hierarchy, or no .json or .csv file.
    """
    paths = Paths.of(file)
    path = paths.result
    if str(file) in shipped():
        raise ReviewError(f"{str(file)!r} is shipped and stays as it is; review a copy, as --out {file}.json")
    if path.suffix.lower() not in (".json", ".csv"):
        raise ReviewError(f"{str(file)!r} cannot be reviewed; give a .json or .csv file")
    for ending in (".proposal.json", ".findings.json", ".provenance.json"):
        if path.name.endswith(ending):
            beside = path.name.removesuffix(ending) + ".json"
            raise ReviewError(f"{str(file)!r} lies beside the file to review; give {beside!r}")
    return paths


def read_base(file: str | os.PathLike[str]) -> Proposal:
    """The proposal a review of a file starts from: X.proposal.json or, where there is none, the hierarchy X itself.

    Raises:
        FormatError: neither can be read.
    """
    known = str(file) in shipped()
    if not known:
        paths = paths_of(file)
        if paths.base.exists():
            return read_proposal(paths.base)
        if paths.result.suffix.lower() == ".csv" and paths.provenance.exists():
            return Proposal.from_hierarchy(read(file).hierarchy, source=paths.result.name, provenance=_origin(paths))
    held = read(file)
    source = (held.provenance.get("settings") or {}).get("source") if isinstance(held.provenance, Mapping) else None
    name = source if isinstance(source, str) else Path(file).name
    return Proposal.from_hierarchy(held.hierarchy, source=name, provenance=held.provenance)


def read_base_for(file: str, paths: Paths) -> Proposal:
    """The proposal of a review that is kept at some paths, be it a file's own or those of a copy.

    Raises:
        FormatError: it cannot be read.
        ReviewError: a review of something else is kept there.
    """
    base = read_base(file)
    if not same_file(paths.result, file) or file in shipped():
        if paths.result.exists() and not paths.base.exists():
            raise ReviewError(f"{str(paths.result)!r} is there already; choose another name, or review it itself")
        if paths.base.exists() and read_proposal(paths.base).digest != base.digest:
            raise ReviewError(f"{str(paths.base)!r} is the proposal of something else; choose another name")
    return base


def _origin(paths: Paths) -> Mapping[str, Any]:
    content = read_json(paths.provenance)
    if not isinstance(content, Mapping):
        raise FormatError(f"{paths.provenance} holds a {type(content).__name__}, not an object; delete or mend it")
    return content


def read_findings(file: str | os.PathLike[str]) -> tuple[Finding, ...]:
    """What the checks found when the proposal was made, X.findings.json; nothing where that is missing or odd."""
    from hierarchy.proposal import edit_from_dict

    try:
        content = read_json(Path(file).with_suffix(".findings.json") if file in shipped() else paths_of(file).findings)
        return tuple(
            Finding(**{**entry, "edit": entry.get("edit") and edit_from_dict(entry["edit"])})
            for entry in content
            if isinstance(entry["node"], str) and isinstance(entry["message"], str)
        )
    except (HierarchyError, TypeError, KeyError, AttributeError):
        return ()


def provenance(base: Proposal, log: Log, replayed: Replayed) -> dict[str, Any]:
    """How the result of a review came to be: the proposal's provenance, who decided, and how much was looked at."""
    if not replayed.decisions:
        return dict(base.provenance)
    before = base.provenance.get("reviewed_by") or []
    looked_at = replayed.standings[-1].classes
    names = {*([before] if isinstance(before, str) else before), *(decision.who for decision in replayed.decisions)}
    return {
        **base.provenance,
        "reviewed_by": sorted(names),
        "review": {
            "decisions": len(replayed.decisions),
            "reviewed": len(looked_at),
            "one_by_one": len(looked_at & _one_by_one(replayed.decisions)),
            "together": len(looked_at - _one_by_one(replayed.decisions)),
            "classes": len(base.classes),
            "until": replayed.decisions[-1].time,
            "base": base.digest,
            "log": log.digest,
        },
    }


def _one_by_one(decisions: Sequence[Decision]) -> frozenset[str]:
    """Ids of the classes that were placed by hand, or accepted by an act that accepted nothing else."""
    accepted = Counter(decision.act for decision in decisions if isinstance(decision.what, Accept))
    found: set[str] = set()
    for decision in decisions:
        if isinstance(decision.what, Accept):
            found |= {decision.subject} if accepted[decision.act] == 1 else set()
        elif not isinstance(decision.what, Undo):
            found.update(placed(decision.what))
    return frozenset(found)


def write_result(paths: Paths, base: Proposal, log: Log) -> Replayed:
    """Writes X.json from the proposal and the log, unless a class is unsettled.

    Raises:
        OutputError: it cannot be written.
    """
    replayed = replay(log, base)
    if not replayed.proposal.unsettled:
        origin = provenance(base, log, replayed)
        save(replayed.proposal.hierarchy(), paths.result, provenance=origin)
        if paths.result.suffix.lower() == ".csv":
            write_text(paths.provenance, json.dumps(origin, ensure_ascii=False, indent=1) + "\n")
    return replayed


def check_result(paths: Paths, base: Proposal, log: Log, proposal: Proposal) -> None:
    """Makes sure that the result, if there is one, comes from this proposal and this log, which lead to a proposal.

    Raises:
        ReviewError: it was changed by other means, and would be overwritten; or the review is that of a sibling, X.csv
            of X.json.
        FormatError: it cannot be read.
    """
    there = paths.result.exists()
    fits = there and _comes_from(paths, base, log, proposal)
    sibling = Paths(paths.result.with_suffix(".json" if paths.result.suffix.lower() == ".csv" else ".csv"))
    theirs = (paths.base.exists() or paths.log.exists()) and _is_result(sibling, base, log, proposal)
    if fits and not (theirs and _is_written(sibling, log) and not _is_written(paths, log)):
        return
    if theirs:
        raise ReviewError(
            f"{paths.base.name!r} and {paths.log.name!r} are of the review of {str(sibling.result)!r}; review that, or"
            + (f" copy {paths.result.name!r} to a name of its own" if there else " give another name")
        )
    if there:
        raise ReviewError(
            f"{str(paths.result)!r} was changed by other means than a review; to keep that, move {paths.base.name!r}"
            f" and {paths.log.name!r} away, to go on from the log, move {paths.result.name!r} away"
        )


def _comes_from(paths: Paths, base: Proposal, log: Log, proposal: Proposal) -> bool:
    """Whether a result is the proposal, what the log leads to, or what an earlier state of the log led to."""
    held = read(paths.result)
    if held.hierarchy.digest in (base.digest, proposal.digest):
        return True
    written = _written(paths, held.provenance, log)
    return written is not None and replay(written, base).proposal.digest == held.hierarchy.digest


def _is_result(paths: Paths, base: Proposal, log: Log, proposal: Proposal) -> bool:
    try:
        return paths.result.exists() and _comes_from(paths, base, log, proposal)
    except HierarchyError:  # another file, which cannot even be read
        return False


def _is_written(paths: Paths, log: Log) -> bool:
    """Whether a result that is there says that this log made it."""
    return paths.result.exists() and _written(paths, read(paths.result).provenance, log) is not None


def _written(paths: Paths, origin: Mapping[str, Any], log: Log) -> Log | None:
    """The beginning of the log that a result says it was made by."""
    digest = _log_of(origin or (_origin(paths) if paths.provenance.exists() else {}))
    return next((part for part in _beginnings(log) if part.digest == digest), None)


def _log_of(origin: Mapping[str, Any]) -> str | None:
    """The digest of the log that a result was made by."""
    review = origin.get("review")
    digest = review.get("log") if isinstance(review, Mapping) else None
    return digest if isinstance(digest, str) else None


def check_is_new(log: Log, where: Path, base: Proposal) -> None:
    """Makes sure that a proposal is not what a log led to already, as where a result is copied together with its log.

    Raises:
        ReviewError: they are.
    """
    if log.decisions and _log_of(base.provenance) == log.digest:
        raise ReviewError(
            f"what {str(where)!r} decides is done already in the hierarchy: it is the result of that log; to review the"
            " result anew, move the log away; to go on in the old review, make the proposal again with generate and"
            " take the log over with --replay"
        )


def _beginnings(log: Log) -> Iterator[Log]:
    """What the log was before its last decisions: after a crash the result is older than the log."""
    return (replace(log, decisions=log.decisions[:size]) for size in range(len(log.decisions), 0, -1))


def take_over(old: Log, paths: Paths, base: Proposal, findings: Sequence[Finding] = ()) -> Replayed:
    """Replays a log on a proposal and makes what could be taken over the log of the file.

    Raises:
        ReviewError: the file has decisions of its own, or was changed by other means.
        OutputError: the log cannot be written.
    """
    replayed = replay(old, base)
    own = read_log(paths.log)[0] if paths.log.exists() else None
    known = own if own and own.decisions else old
    check_result(paths, base, known, replay(known, base).proposal)
    kept = without(old, replayed.conflicts)
    if kept.base != base.digest:
        kept = replace(kept, base=base.digest, source=base.classes.source)
    if own and own.decisions and own not in (old, kept):
        raise ReviewError(
            f"{str(paths.log)!r} holds {len(own.decisions)} decisions already; move it away to replay another log"
        )
    if own and own.decisions and own != kept:
        _move_away(paths.log)
    keep_base(paths, base, findings)
    write_text(paths.log, dumps(kept))
    return replayed


def _move_away(log: Path) -> None:
    """Keeps an old log under the next free name, X.decisions.1.jsonl."""
    number = next(i for i in count(1) if not log.with_suffix(f".{i}.jsonl").exists())
    log.rename(log.with_suffix(f".{number}.jsonl"))
