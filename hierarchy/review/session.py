"""A review session: one question after another, the most doubtful first, and a log of what was decided.

The line dialogue, the full screen and the scripts all drive a `Session`. It knows neither a screen nor a file: the
function `write` that it is given saves each decision before the decision counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import NamedTuple

from hierarchy.errors import EditError, ReviewError, UnknownNode, nearest
from hierarchy.proposal import Define, Edit, Finding, Move, Proposal, Vote
from hierarchy.review.log import Accept, Decision, Log, Undo, utc_now
from hierarchy.review.questions import Agenda, Question, Renewal, Witnesses, add_votes, current_votes, suggest
from hierarchy.review.state import History, State, apply, decide, nodes, replay, replay_own


class Position(NamedTuple):
    """The number of the current question, and how many there are."""

    number: int
    of: int


class _Listing(NamedTuple):
    """What is asked: all questions, those without an answer, and one that comes before these."""

    asked: tuple[Question, ...]
    open: tuple[Question, ...]
    focus: Question | None


class Session:
    """A review of a proposal by one person.

    Args:
        base: the proposal.
        log: its decision log, which may hold decisions already.
        write: writes the last decisions of a longer log; they are on the disk when it returns.
        who: who decides from now on.
        only: kinds of questions to ask (`hierarchy.review.questions.KINDS`), all of each; if empty, the most doubtful.
        findings: what the checks found that are too slow to run again after each edit.
        witnesses: WordNet and the embedding, to be asked again after decisions that concern them; None if nobody is.
        now: the clock.

    Raises:
        ReviewError: the log is about another proposal.
    """

    def __init__(
        self,
        base: Proposal,
        log: Log,
        write: Callable[[Log, Sequence[Decision]], None],
        *,
        who: str,
        only: Iterable[str] = (),
        findings: Sequence[Finding] = (),
        witnesses: Witnesses | None = None,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.base, self.log, self.who = base, log, who
        self._write, self._now = write, now
        self._witnesses, self._renew = witnesses, Renewal(witnesses)
        self.history = self._renew(replay_own(log, add_votes(base, findings)))
        self._agenda = Agenda(self.history.states[0], findings, only, witnesses)
        self._names = dict(zip(base.classes.ids, base.classes.names, strict=True))
        self._skipped: set[str] = set()
        self._answered: dict[int, str] = {}  # act -> the subject of the question that it answered in this session
        self._next = ""
        self._listed: _Listing | None = None

    def prepare(self) -> None:
        """Has the witnesses gather what they know while a person reads the first question."""
        if self._witnesses:
            self._witnesses.prepare(self.proposal, self.state.meanings)

    # State

    @property
    def state(self) -> State:
        """The state of the review."""
        return self.history.state

    @property
    def proposal(self) -> Proposal:
        """The classes and their current places."""
        return self.history.proposal

    @property
    def question(self) -> Question | None:
        """The current question; None when everything is answered or skipped."""
        return self._listing.focus or next(iter(self._listing.open), None)

    @property
    def position(self) -> Position:
        """How far the review is; a question that was jumped to counts as the next."""
        return Position(len(self._listing.asked) - len(self._listing.open) + 1, len(self._listing.asked))

    @property
    def left(self) -> int:
        """How many questions are not answered, skipped ones included."""
        return sum(not self._is_done(question) for question in self._listing.asked)

    @property
    def unasked(self) -> int:
        """How many classes nobody has looked at and no question is left about."""
        open_ids = {question.subject for question in self._listing.asked if not self._is_done(question)}
        return sum(id not in self.state.classes and id not in open_ids for id in self._names)

    @property
    def suggestions(self) -> tuple[Edit, ...]:
        """Edits that may answer the question, likeliest first."""
        return suggest(self.question, self.state) if self.question else ()

    def votes(self, id: str) -> tuple[Vote, ...]:
        """The votes about a class, with the nodes' current paths."""
        return current_votes(id, self.state)

    def name(self, subject: str) -> str:
        """The display name of a class (by id), or the path of a node."""
        return self._names.get(subject, subject)

    def is_class(self, subject: str) -> bool:
        """Whether a subject is the id of a class rather than the path of a node."""
        return subject in self._names

    def node(self, subject: str) -> str:
        """The group of a class, "" while it is unsettled; a node itself."""
        return self.proposal.place(subject) if self.is_class(subject) else subject

    def members(self, node: str) -> tuple[str, ...]:
        """Ids of the classes below a node, sorted by name."""
        ids = (id for id in self._names if f"{self.proposal.place(id)}/".startswith(f"{node}/"))
        return tuple(sorted(ids, key=lambda id: (self._names[id], id)))

    def describe(self, what: Accept | Undo | Edit, *, whole: bool = False) -> str:
        """A decision in words; a class goes by its name, and is omitted if the question is about it, unless `whole`."""
        if isinstance(what, Accept):
            return f"accept {self.name(what.subject)!r}"
        if isinstance(what, Define):
            return f"{self.name(what.id)!r} means {what.definition!r}"
        if not isinstance(what, Move):
            return str(what)
        asked = not whole and self.question is not None and self.question.subject == what.id
        return f"move to {what.to}" if asked else f"move {self.name(what.id)!r} to {what.to}"

    def require_question(self) -> Question:
        """The current question.

        Raises:
            ReviewError: there is none.
        """
        if self.question is None:
            raise ReviewError("there is no question left; search for a class, or undo")
        return self.question

    # Decisions

    def accept(self) -> str:
        """Accepts the subject of the question as it is."""
        subject = self.require_question().subject
        if not self.node(subject):
            raise ReviewError(f"{self.name(subject)!r} is unsettled; move it into a group")
        self._decide([Accept(subject)])
        return f"accepted {self.name(subject)!r}"

    def accept_rest(self) -> str:
        """Accepts every class and node of the question's superclass that is not answered yet."""
        subject = self.require_question().subject
        superclass = self.node(subject).partition("/")[0]
        if not superclass:
            raise ReviewError(f"{self.name(subject)!r} is unsettled; move it into a group")
        every = self._agenda.list_all(self.state)
        below = [question for question in every if self.node(question.subject).partition("/")[0] == superclass]
        left = [question for question in below if not self._is_done(question)]
        if not left:
            raise ReviewError(f"nothing is left to accept in {superclass!r}")
        self._decide([Accept(question.subject) for question in left])
        doubtful = sum(question.kinds != ("undoubted",) for question in left)
        more = f", {doubtful} of them in doubt" if doubtful else ""
        return f"accepted all {len(left)} left in {superclass!r}{more}"

    def edit(self, *edits: Edit) -> str:
        """Applies edits as one act: all of them or, if one fails, none.

        Raises:
            HierarchyError: what `hierarchy.proposal.apply` raises, or nothing would change.
        """
        if not edits:
            raise ReviewError("nothing changed")
        self._decide(edits)
        words = [self.describe(edit, whole=True) for edit in edits]
        return words[0] if len(words) == 1 else f"{len(words)} edits: {', '.join(words)}"

    def undo(self, number: int | None = None) -> str:
        """Undoes the last act, or the act of the decision with a number, and asks its question again.

        Raises:
            ReviewError: there is nothing to undo, or later decisions depend on it.
        """
        decisions = self.history.decisions
        if not decisions:
            raise ReviewError("there is nothing to undo")
        chosen = decisions[-1] if number is None else self._find_decision(number)
        act = [decision for decision in decisions if decision.act == chosen.act]
        first, time = self.log.next_number, self._now()
        undoings = [
            Decision(i, time, self.who, Undo(decision.number), decision.subject, decision.before, act=first)
            for i, decision in enumerate(reversed(act), first)
        ]
        self._record(undoings, self._find_history_without(act, undoings))
        self._skipped.discard(act[0].subject)
        self._refresh(self._answered.get(chosen.act, act[0].subject if len(act) == 1 else ""))
        return f"undid {len(act)} decisions" if len(act) > 1 else f"undid {self.describe(act[0].what, whole=True)}"

    def skip(self) -> str:
        """Leaves the question for later."""
        subject = self.require_question().subject
        self._skipped.add(subject)
        self._refresh()
        return f"skipped {self.name(subject)!r}"

    def jump(self, subject: str) -> None:
        """Asks about a class or a node next.

        Raises:
            UnknownNode: there is no such class or node.
        """
        known = nodes(self.proposal)
        if subject not in self._names and subject not in known:
            raise UnknownNode(f"no class or node {subject!r}{nearest(subject, [*self._names, *known])}")
        self._skipped.discard(subject)
        self._refresh(subject)

    def _decide(self, whats: Sequence[Accept | Edit]) -> None:
        """Applies decisions, then writes them, then counts them."""
        first = self.log.next_number
        if self._listed:  # else nobody has seen a question
            self._answered[first] = self.question.subject if self.question else ""
        decisions, states = list[Decision](), [self.state]
        for number, what in enumerate(whats, first):
            decision = decide(what, states[-1], number=number, time=self._now(), who=self.who, act=first)
            states.append(apply(decision, states[-1]))
            decisions.append(decision)
            if not isinstance(what, Accept) and states[-1].proposal == states[-2].proposal:
                raise EditError(f"{what}: nothing would change")
        history = History((*self.history.states, *states[1:]), (*self.history.decisions, *decisions))
        self._record(decisions, self._renew(history))
        stays = all(isinstance(what, Define) for what in whats)  # what a class means does not say where it belongs
        self._refresh(self._answered.get(first, "") if stays else "")

    def _record(self, decisions: Sequence[Decision], history: History) -> None:
        """Writes decisions; only then do they count."""
        log = replace(self.log, decisions=(*self.log.decisions, *decisions))
        self._write(log, decisions)
        self.log, self.history = log, history

    def _find_history_without(self, act: Sequence[Decision], undoings: Sequence[Decision]) -> History:
        """The history without an act; cut short where the act is the last, replayed where it is not."""
        states, decisions = self.history.states, self.history.decisions
        if tuple(act) == decisions[-len(act) :]:
            return self._renew(History(states[: -len(act)], decisions[: -len(act)]))
        log = replace(self.log, decisions=(*self.log.decisions, *undoings))
        history = replay(log, states[0].proposal)
        if history.conflicts:
            later = ", ".join(str(conflict.decision.number) for conflict in history.conflicts)
            raise ReviewError(f"cannot undo {act[0].number}: decision {later} depends on it; undo that first")
        return self._renew(history)

    def _find_decision(self, number: int) -> Decision:
        for decision in self.history.decisions:
            if decision.number == number:
                return decision
        raise ReviewError(f"no decision {number} is in effect; `hierarchy review FILE --log` lists them")

    # Questions

    def _is_done(self, question: Question) -> bool:
        if self.is_class(question.subject):
            return question.subject in self.state.classes and "unsettled" not in question.kinds
        return question.subject in self.state.nodes

    def _refresh(self, focus: str = "") -> None:
        """Forgets what is asked; if there is a class or node in focus, it comes first from now on."""
        self._next, self._listed = focus, None

    @property
    def _listing(self) -> _Listing:
        """What is asked, computed when it is needed: a single edit of a script needs no questions."""
        if self._listed is None:
            asked, focus = self._agenda.list_asked(self.state, self._is_done), None
            left = tuple(q for q in asked if not self._is_done(q) and q.subject not in self._skipped)
            if self.is_class(self._next) or self._next in nodes(self.proposal):  # an undoing may remove a node
                every = {question.subject: question for question in self._agenda.list_all(self.state)}
                focus = every.get(self._next) or Question(self._next, ("undoubted",))
            self._listed = _Listing(asked, left, focus)
        return self._listed
