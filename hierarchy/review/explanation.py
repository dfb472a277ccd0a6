"""Why a class is in its group: votes, hypernyms, neighbours, reviewers' decisions, and the replies of an LLM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hierarchy.errors import WordNetMissing
from hierarchy.prompting import describe_answer
from hierarchy.proposal import Define, Move, Proposal, Regroup, Split, Vote
from hierarchy.review.log import Decision
from hierarchy.wordnet import WordNet

if TYPE_CHECKING:
    from hierarchy.checks import Kept
    from hierarchy.llm import ReplyCache

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
    kept: Kept,
    *,
    decisions: Sequence[Decision] = (),
    cache: ReplyCache | None = None,
) -> Explanation:
    """Gathers everything that is known about the place of a class.

    Args:
        id: the class.
        proposal: the proposal, with the votes and the keys of the replies.
        now: the proposal after the decisions.
        kept: what WordNet and the vectors say about the classes.
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
        hypernyms=_hypernyms(kept.wnids.get(id, "")),
        neighbours=_neighbours(id, now, kept),
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


def _hypernyms(wnid: str) -> tuple[tuple[str, ...], ...]:
    try:
        wordnet = WordNet() if wnid else None
    except WordNetMissing:
        return ()
    if wordnet is None or not wordnet.has(wnid):
        return ()
    return tuple(tuple(wordnet.synset(above).words[0] for above in path) for path in wordnet.paths(wnid))


def _neighbours(id: str, now: Proposal, kept: Kept) -> tuple[Neighbour, ...]:
    name_of = dict(zip(now.classes.ids, now.classes.names, strict=True))
    near = ((other, similarity) for other, similarity in kept.near.get(id, ()) if other in name_of)
    return tuple(Neighbour(other, name_of[other], similarity, now.place(other)) for other, similarity in near)


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
