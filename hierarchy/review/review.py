"""A review: one question after another, the most disputed first, and a log of what was decided; no screen, no file.

The dialogue, the full-screen app and the scripts are faces of the same `Review`. A decision is written to the log
before it counts, so whatever happens to a face, nothing that was decided is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import NamedTuple, Protocol

from hierarchy.errors import EditError, ReviewError, UnknownNode, nearest
from hierarchy.proposal import Edit, Finding, Move, Proposal, Regroup, Vote
from hierarchy.review.log import Accept, Decision, Log, Undo, numbered
from hierarchy.review.queue import Question, findings_now, questions, said_now, suggestions, with_findings
from hierarchy.review.state import Replayed, Standing, after, groups, holding, nodes, replay


class Journal(Protocol):
    """Where decisions are written; they are on the disk when `append` returns."""

    @property
    def log(self) -> Log: ...

    def append(self, decisions: Sequence[Decision]) -> None: ...


class Position(NamedTuple):
    """Where in its questions a review is: the question's number, how many there are, how many disputed are left."""

    number: int
    of: int
    disputed: int


def utc_now() -> str:
    """The time as a log holds it."""
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


class Review:
    """A review of a proposal by one person.

    Args:
        base: the proposal.
        journal: its decision log, which may hold decisions already.
        who: who decides from now on.
        only: kinds of questions to ask (`hierarchy.review.queue.KINDS`); all, if none is given.
        findings: what the checks found that are too slow to be made again after each edit.
        now: tells the time.
    """

    def __init__(
        self,
        base: Proposal,
        journal: Journal,
        *,
        who: str,
        only: Iterable[str] = (),
        findings: Sequence[Finding] = (),
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.base, self.journal, self.who, self.only, self.now = base, journal, who, tuple(only), now
        self.findings = tuple(findings)
        self.votes = with_findings(base.votes, findings)
        replayed = settled(journal.log, base)
        self._taken, self._standings = list(replayed.decisions), list(replayed.standings)
        self._names = dict(zip(base.classes.ids, base.classes.names, strict=True))
        self._drafted: Proposal | None = None
        self._skipped: set[str] = set()
        self._passed = 0
        self._asked_at: dict[int, str] = {}  # act -> the subject of the question it answered, in this sitting
        self._focus: str | None = None
        self._ask()

    # How it stands

    @property
    def standing(self) -> Standing:
        """How the review stands."""
        return self._standings[-1]

    @property
    def proposal(self) -> Proposal:
        """The classes and where they stand now."""
        return self._standings[-1].proposal

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The decisions in effect."""
        return tuple(self._taken)

    @property
    def standings(self) -> tuple[Standing, ...]:
        """How the review stood before each of the decisions in effect, and after the last."""
        return tuple(self._standings)

    @property
    def question(self) -> Question | None:
        """What is asked now; None when everything is answered or skipped."""
        if self._focus is not None and self._focus in self._all:
            return self._all[self._focus]
        return next(iter(self._open), None)

    @property
    def position(self) -> Position:
        """How far the review is; a question that was jumped to counts as the next."""
        disputed = sum("disputed" in question.kinds and not self._done(question) for question in self._all.values())
        return Position(self._passed + 1, self._passed + len(self._open), disputed)

    @property
    def suggestions(self) -> tuple[Edit, ...]:
        """Edits that may answer the question, likeliest first."""
        return suggestions(self.question, self.standing, self.votes) if self.question else ()

    def said(self, id: str) -> tuple[Vote, ...]:
        """What the witnesses say of a class, in the names of now."""
        return said_now(id, self.standing, self.votes)

    def name(self, subject: str) -> str:
        """What people call a class (by id) or a node (by path)."""
        return self._names.get(subject, subject)

    def words(self, edit: Edit) -> str:
        """An edit in words; a class is called by its name, and not at all if the question is about it."""
        if not isinstance(edit, Move):
            return str(edit)
        about = "" if self.question and self.question.subject == edit.id else f"{self.name(edit.id)!r} "
        return f"move {about}to {edit.to}"

    def is_class(self, subject: str) -> bool:
        """Whether a subject is the id of a class, not the path of a node."""
        return subject in self._names

    def members(self, node: str) -> tuple[str, ...]:
        """Ids of the classes below a node, by name."""
        ids = [id for id, place in self._places if f"{place}/".startswith(f"{node}/")]
        return tuple(sorted(ids, key=lambda id: (self._names[id], id)))

    # What is decided

    def accept(self) -> str:
        """Says that the subject of the question stands well."""
        question = self.asked()
        if not self.node(question):
            raise ReviewError(f"{self.name(question.subject)!r} is unsettled; move it into a group")
        self._write([self._acceptance(question.subject)])
        return f"accepted {self.name(question.subject)!r}"

    def accept_rest(self) -> str:
        """Accepts every class and node of the question's superclass that is not answered yet."""
        superclass = self.node(self.asked()).partition("/")[0]
        below = [question for question in self._all_kinds() if self.node(question).partition("/")[0] == superclass]
        left = [question for question in below if not self._done(question)]
        if not superclass or not left:
            raise ReviewError(f"nothing is left to accept in {superclass!r}")
        self._write([self._acceptance(question.subject) for question in left])
        disputed = sum("disputed" in question.kinds for question in left)
        return f"accepted all {len(left)} left in {superclass!r}" + (
            f", {disputed} of them disputed" if disputed else ""
        )

    def do(self, *edits: Edit) -> str:
        """Makes edits, as one act; none is made if one cannot be.

        Raises:
            HierarchyError: what `hierarchy.proposal.edits.apply` raises; or there is nothing to do.
        """
        if not edits:
            raise ReviewError("nothing changes")
        self._write(list(edits))
        return self.words(edits[0]) if len(edits) == 1 else f"{len(edits)} edits: {', '.join(map(self.words, edits))}"

    def skip(self) -> str:
        """Leaves the question for later."""
        subject = self.asked().subject
        self._skipped.add(subject)
        self._passed += 1
        self._focus = None
        self._ask()
        return f"skipped {self.name(subject)!r}"

    def undo(self, number: int | None = None) -> str:
        """Takes the last act back, or the one a decision of a number belongs to; asks what it was about again.

        Raises:
            ReviewError: there is nothing to undo, or later decisions stand on it.
        """
        if not self._taken:
            raise ReviewError("nothing to undo")
        chosen = self._taken[-1] if number is None else self._numbered(number)
        act = [decision for decision in self._taken if decision.act == chosen.act]
        first, log = numbered(self.journal.log.decisions), self.journal.log
        undoings = [
            Decision(
                first + i, self.now(), self.who, Undo(decision.number), decision.subject, decision.before, act=first
            )
            for i, decision in enumerate(reversed(act))
        ]
        if act == self._taken[-len(act) :]:
            kept, standings = self._taken[: -len(act)], self._standings[: -len(act)]
        else:
            replayed = replay(replace(log, decisions=(*log.decisions, *undoings)), self.base)
            if replayed.conflicts:
                later = ", ".join(str(conflict.decision.number) for conflict in replayed.conflicts)
                raise ReviewError(f"cannot undo {chosen.number}: decision {later} stands on it; undo that first")
            kept, standings = list(replayed.decisions), list(replayed.standings)
        self.journal.append(undoings)
        self._taken, self._standings = kept, standings
        self._passed = max(0, self._passed - 1)
        self._skipped.discard(act[0].subject)
        alone = act[0].subject if len(act) == 1 else None
        self._focus = self._asked_at.get(chosen.act, alone)
        self._ask()
        if len(act) > 1:
            return f"undid {len(act)} decisions"
        what, name = act[0].what, self.name(act[0].subject)
        if isinstance(what, Accept):
            return f"undid accept {name!r}"
        return f"undid {f'move {name!r} to {what.to}' if isinstance(what, Move) else what}"

    # Where to go

    def jump(self, subject: str) -> None:
        """Asks about a class or a node next."""
        if subject not in self._names and subject not in nodes(self.proposal):
            raise UnknownNode(f"no class or node {subject!r}{nearest(subject, [*self._names, *nodes(self.proposal)])}")
        self._focus = subject
        self._skipped.discard(subject)
        self._ask()

    def node(self, question: Question) -> str:
        """The node a question is about: its subject or, of a class, its group; "" while it is unsettled."""
        return self.proposal.place(question.subject) if question.subject in self._names else question.subject

    # Inside

    def asked(self) -> Question:
        """The question.

        Raises:
            ReviewError: there is none.
        """
        if self.question is None:
            raise ReviewError("no question is left here; search a class or undo")
        return self.question

    def _numbered(self, number: int) -> Decision:
        for decision in self._taken:
            if decision.number == number:
                return decision
        raise ReviewError(f"no decision {number} in effect; `hierarchy review FILE --log` lists them")

    def _acceptance(self, subject: str) -> tuple[str, str]:
        return subject, self.proposal.place(subject) if subject in self._names else subject

    def _write(self, whats: Sequence[Edit | tuple[str, str]]) -> None:
        """Tries decisions, then writes them, then counts them."""
        first = numbered(self.journal.log.decisions)
        question, taken, standings = self.question, [], [self.standing]
        for number, what in enumerate(whats, first):
            proposal = standings[-1].proposal
            subject, before = what if isinstance(what, tuple) else _about(what, proposal)
            new = isinstance(what, Move) and what.to not in groups(proposal)
            decided = Accept() if isinstance(what, tuple) else what
            holds = "" if not isinstance(what, tuple) or self.is_class(subject) else holding(subject, proposal)
            taken.append(Decision(number, self.now(), self.who, decided, subject, before, new, first, holds))
            standings.append(after(standings[-1], taken[-1]))
            if not isinstance(what, tuple) and standings[-1].proposal == proposal:
                raise EditError(f"{what}: that changes nothing")
        self.journal.append(taken)
        self._taken += taken
        self._standings += standings[1:]
        self._focus = None
        self._ask()
        if question:
            self._asked_at[first] = question.subject
            self._passed += self.question is None or self.question.subject != question.subject

    def _done(self, question: Question) -> bool:
        if question.subject in self._names:
            return question.subject in self.standing.classes and "unsettled" not in question.kinds
        return question.subject in self.standing.nodes

    def _all_kinds(self) -> tuple[Question, ...]:
        return questions(self.standing, self.votes, self._found, ())

    def _ask(self) -> None:
        """Works out what is to be asked."""
        proposal = self.proposal
        if self._drafted is not proposal:
            self._drafted = proposal
            self._places = [(id, proposal.place(id)) for id in proposal.classes.ids]
            self._found = findings_now(proposal, self.findings)
        asked = questions(self.standing, self.votes, self._found, self.only)
        self._all = {question.subject: question for question in asked}
        if self._focus is not None and not self.is_class(self._focus) and self._focus not in nodes(proposal):
            self._focus = None  # a node that an undoing took away
        if self._focus is not None and self._focus not in self._all:
            every = {question.subject: question for question in self._all_kinds()}
            self._all[self._focus] = every.get(self._focus) or Question(self._focus, ("undisputed",))
        todo = [question for question in asked if not self._done(question) and question.subject not in self._skipped]
        self._open = todo


def settled(log: Log, proposal: Proposal) -> Replayed:
    """A log's own proposal after all its decisions.

    Raises:
        ReviewError: some of them cannot have been made on it.
    """
    if log.base != proposal.digest:
        raise ReviewError(
            f"the decisions are about a proposal with digest {log.base[:12]!r}, this one has {proposal.digest[:12]!r};"
            " take them over with --replay"
        )
    replayed = replay(log, proposal)
    if replayed.conflicts:
        raise ReviewError(f"the decision log contradicts itself: {replayed.conflicts[0]}; mend or move it away")
    return replayed


def _about(edit: Edit, proposal: Proposal) -> tuple[str, str]:
    """The subject of an edit, and where it stands."""
    if isinstance(edit, Move):
        return edit.id, proposal.place(edit.id) if edit.id in proposal.classes.ids else ""
    return ("", "") if isinstance(edit, Regroup) else (edit.node, edit.node)
