"""What is asked in a review: the most doubtful of all questions, and what the witnesses say after an edit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from hierarchy.proposal import Finding, Vote
from hierarchy.review.questions.meanings import Witnesses
from hierarchy.review.questions.queue import Question, choose_worthy, find_now, list_questions
from hierarchy.review.state import History, State


class Agenda:
    """The questions about a proposal under review.

    Args:
        first: the state before any decision.
        findings: what the checks found in it.
        only: kinds of questions to ask, all of each; if empty, the most doubtful of all kinds.
        witnesses: look for mixed nodes among those that edits change; if None, nothing does.
    """

    def __init__(
        self,
        first: State,
        findings: Sequence[Finding],
        only: Iterable[str] = (),
        witnesses: Witnesses | None = None,
    ) -> None:
        self._first, self._given, self._only = first.proposal, tuple(findings), tuple(only)
        self._witnesses = witnesses
        self._checked: tuple[State, tuple[Finding, ...]] | None = None
        asked = list_questions(first, self._find(first))
        self._worthy = choose_worthy(asked, len(first.proposal.classes))

    def list_all(self, state: State) -> tuple[Question, ...]:
        """A question about every class, and about every node that a check found something in."""
        return list_questions(state, self._find(state))

    def list_asked(self, state: State, is_done: Callable[[Question], bool]) -> tuple[Question, ...]:
        """What is asked: the most doubtful of the first questions, as long as something speaks for them or once they
        are answered; of each class without a place; and of each node that edits have made mixed.
        """
        if self._only:
            return list_questions(state, self._find(state), self._only)
        worthy = {state.current_path(subject) for subject in self._worthy}
        mixed = {state.current_path(finding.node) for finding in self._given if finding.kind == "mixed"}
        return tuple(
            question
            for question in self.list_all(state)
            if "unsettled" in question.kinds
            or ("mixed" in question.kinds and question.subject not in mixed)
            or (question.subject in worthy and (question.kinds != ("undoubted",) or is_done(question)))
        )

    def _find(self, state: State) -> tuple[Finding, ...]:
        if self._checked is None or (self._checked[0].proposal, self._checked[0].meanings) != (
            state.proposal,
            state.meanings,
        ):
            seek = self._witnesses.find_mixed if self._witnesses else None
            self._checked = state, find_now(state, self._given, self._first, seek)
        return self._checked[1]


class Renewal:
    """Asks the witnesses again about classes that mean something else by now, once for every meaning.

    Args:
        witnesses: who is asked; if None, nobody votes on these classes.
    """

    def __init__(self, witnesses: Witnesses | None) -> None:
        self._witnesses = witnesses
        self._known: dict[tuple[str, str, str], tuple[Vote, ...]] = {}

    def __call__(self, history: History) -> History:
        """The history, with the new votes in its last state."""
        state = history.state
        if not state.meanings:
            return history
        definitions = dict(zip(state.proposal.classes.ids, state.proposal.classes.definitions, strict=True))
        keys = {id: (id, definitions[id], wnid) for id, wnid in state.meanings.items()}
        new = [id for id, key in keys.items() if key not in self._known]
        if new:
            cast = self._witnesses.vote(state.proposal, state.meanings, new) if self._witnesses else {}
            self._known |= {keys[id]: tuple(cast.get(id, ())) for id in new}
        votes = dict(state.proposal.votes)
        for id, key in keys.items():
            votes[id] = (*(vote for vote in votes.get(id, ()) if vote.witness == "llm"), *self._known[key])
        proposal = replace(state.proposal, votes={id: own for id, own in votes.items() if own})
        return replace(history, states=(*history.states[:-1], replace(state, proposal=proposal)))
