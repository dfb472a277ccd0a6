"""Why a class is in its group: votes, hypernyms, neighbours, reviewers' decisions, and the replies of an LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierarchy.prompting import describe_answer
from hierarchy.proposal import Define, Move, Proposal, Regroup, Split, Vote
from hierarchy.review.log import Decision

if TYPE_CHECKING:
    from hierarchy.checks import Evidence
    from hierarchy.llm import ReplyCache

MOST_NEIGHBOURS = 6
MOST_SIBLINGS = 6  # that are named
WIDTH = 12  # of the first column


@dataclass(frozen=True)
class Neighbour:
    """A similar class: its id, name, similarity (cosine) and group ("" while unsettled)."""

    id: str
    name: str
    similarity: float
    group: str


@dataclass(frozen=True)
class Exchange:
    """A request to an LLM and its reply; `answer` is what the reply says about one class."""

    key: str
    prompt: str
    model: str
    answer: str
    messages: tuple[tuple[str, str], ...]
    reply: str


@dataclass(frozen=True)
class Explanation:
    """Everything that is known about the place of a class.

    Args:
        group: the path of its group, "" while it is unsettled.
        proposed: the path of the group it was proposed for.
        siblings: names of the other classes of its group.
        votes: the votes in the proposal.
        hypernyms: paths from WordNet's root down to the class, as words.
        neighbours: its nearest classes by the embedding.
        decisions: what reviewers decided about it, as sentences.
        exchanges: the requests to an LLM about it, and the replies.
    """

    id: str
    name: str
    definition: str
    group: str
    proposed: str
    siblings: tuple[str, ...]
    votes: tuple[Vote, ...]
    hypernyms: tuple[tuple[str, ...], ...]
    neighbours: tuple[Neighbour, ...]
    decisions: tuple[str, ...]
    exchanges: tuple[Exchange, ...]

    def to_text(self, *, full: bool = False) -> str:
        """The explanation for a person; `full` shows prompts and replies in full."""
        more = len(self.siblings) - MOST_SIBLINGS
        siblings = ", ".join(self.siblings[:MOST_SIBLINGS]) + (f" and {more} more" if more > 0 else "")
        lines = [f"{self.name} ({self.id})" + (f": {self.definition}" if self.definition else "")]
        lines.append(_row("group", (self.group or "unsettled") + (f"  (with {siblings})" if siblings else "")))
        if self.proposed != self.group:
            lines.append(_row("proposed", self.proposed or "unsettled"))
        for vote in self.votes:
            agrees = "  " if f"{self.group}/".startswith(f"{vote.node}/") else "!="
            lines.append(_row(vote.witness, f"{agrees} {vote.node}  {vote.strength:.2f}  {vote.why}"))
        lines += [_row("hypernyms", " > ".join(path)) for path in self.hypernyms]
        for neighbour in self.neighbours:
            group = neighbour.group or "unsettled"
            lines.append(_row("near", f"{neighbour.similarity:.2f}  {neighbour.name}  ({group})"))
        lines += [_row("decided", decision) for decision in self.decisions]
        for exchange in self.exchanges:
            lines.append(_row(exchange.prompt, f"{exchange.key[:12]}  {exchange.model}: {exchange.answer}"))
            if full:
                lines += [f"\n[{role}]\n{text}" for role, text in exchange.messages]
                lines.append(f"\n[reply]\n{exchange.reply}\n")
        return "\n".join(lines)


def explain(
    id: str,
    proposal: Proposal,
    now: Proposal,
    evidence: Evidence,
    *,
    decisions: Sequence[Decision] = (),
    cache: ReplyCache | None = None,
) -> Explanation:
    """Gathers everything that is known about the place of a class.

    Args:
        id: the class.
        proposal: the proposal, with the votes and the keys of the replies.
        now: the proposal after the decisions.
        evidence: what WordNet and the vectors say about the classes.
        decisions: the decisions in effect.
        cache: the replies of the LLM, if there are any.
    """
    label = now.classes.ids.index(id)
    group = now.place(id)
    history = cache.history(proposal.replies.get(id, ())) if cache else []
    return Explanation(
        id=id,
        name=now.classes.names[label],
        definition=now.classes.definitions[label],
        group=group,
        proposed=proposal.place(id),
        siblings=tuple(
            name
            for other, name in zip(now.classes.ids, now.classes.names, strict=True)
            if group and other != id and now.place(other) == group
        ),
        votes=proposal.votes.get(id, ()),
        hypernyms=_hypernyms(label, evidence),
        neighbours=_neighbours(label, now, evidence),
        decisions=tuple(f"{d.time} {d.who}: {d}" for d in decisions if _is_about(d, id)),
        exchanges=tuple(
            Exchange(
                request.key,
                request.prompt,
                reply.model,
                describe_answer(request, reply, label + 1),
                request.messages,
                reply.text,
            )
            for request, reply in history
        ),
    )


def _row(head: str, text: str) -> str:
    return f"  {head:{WIDTH}}{text}"


def _hypernyms(label: int, evidence: Evidence) -> tuple[tuple[str, ...], ...]:
    if not evidence.senses or not evidence.senses.meanings[label]:
        return ()
    wordnet = evidence.senses.wordnet
    paths = wordnet.paths(evidence.senses.meanings[label].wnid)
    return tuple(tuple(wordnet.synset(wnid).words[0] for wnid in path) for path in paths)


def _neighbours(label: int, now: Proposal, evidence: Evidence) -> tuple[Neighbour, ...]:
    if evidence.vectors is None:
        return ()
    near = (evidence.vectors @ evidence.vectors[label]).round(9)
    order = [int(other) for other in (-near).argsort(kind="stable") if other != label][:MOST_NEIGHBOURS]
    ids, names = now.classes.ids, now.classes.names
    return tuple(Neighbour(ids[o], names[o], round(float(near[o]), 3), now.place(ids[o])) for o in order)


def _is_about(decision: Decision, id: str) -> bool:
    """Whether a decision names a class, rather than a node it is in."""
    what = decision.what
    if isinstance(what, Move | Define):
        return what.id == id
    if isinstance(what, Split):
        return id in what.ids
    if isinstance(what, Regroup):
        return any(other == id for other, _ in what.places)
    return decision.subject == id
