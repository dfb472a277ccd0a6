"""What is asked in a review: the most doubtful of all questions, and the votes that a new meaning calls for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

from hierarchy.proposal import Finding, Proposal, Vote
from hierarchy.review.questions.queue import Question, choose_worthy, find_now, list_questions
from hierarchy.review.state import History, State

Ask: TypeAlias = Callable[[Proposal, Mapping[str, str], Iterable[str]], Mapping[str, tuple[Vote, ...]]]


class Agenda:
    """The questions about a proposal under review.

    Args:
        first: the state before any decision.
        findings: what the checks found in it.
        only: kinds of questions to ask, all of each; if empty, the most doubtful of all kinds.
    """

    def __init__(self, first: State, findings: Sequence[Finding], only: Iterable[str] = ()) -> None:
        self._first, self._given, self._only = first.proposal, tuple(findings), tuple(only)
        self._checked: tuple[State, tuple[Finding, ...]] | None = None
        asked = list_questions(first, self._find(first))
        self._worthy = choose_worthy(asked, len(first.proposal.classes))

    def list_all(self, state: State) -> tuple[Question, ...]:
        """A question about every class, and about every node that a check found something in."""
        return list_questions(state, self._find(state))

    def list_asked(self, state: State, is_done: Callable[[Question], bool]) -> tuple[Question, ...]:
        """What is asked: of a class, as long as something speaks against its place, or once it is answered."""
        if self._only:
            return list_questions(state, self._find(state), self._only)
        worthy = {state.current_path(subject) for subject in self._worthy}
        return tuple(
            question
            for question in self.list_all(state)
            if "unsettled" in question.kinds
            or (question.subject in worthy and (question.kinds != ("undoubted",) or is_done(question)))
        )

    def _find(self, state: State) -> tuple[Finding, ...]:
        if self._checked is None or (self._checked[0].proposal, self._checked[0].meanings) != (
            state.proposal,
            state.meanings,
        ):
            self._checked = state, find_now(state, self._given, self._first)
        return self._checked[1]


class Renewal:
    """Asks the witnesses again about classes that mean something else by now, once for every meaning.

    Args:
        ask: (proposal, chosen meanings, ids) -> the votes of WordNet and the embedding about these classes.
    """

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
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
            cast = self._ask(state.proposal, state.meanings, new)
            self._known |= {keys[id]: tuple(cast.get(id, ())) for id in new}
        votes = dict(state.proposal.votes)
        for id, key in keys.items():
            votes[id] = (*(vote for vote in votes.get(id, ()) if vote.witness == "llm"), *self._known[key])
        proposal = replace(state.proposal, votes={id: own for id, own in votes.items() if own})
        return replace(history, states=(*history.states[:-1], replace(state, proposal=proposal)))
