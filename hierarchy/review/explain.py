"""Why a class stands where it does: who said what, hypernyms and neighbours, who decided, and what a model replied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from hierarchy.prompting import describe_answer
from hierarchy.proposal import Move, Proposal, Regroup, Split, Vote
from hierarchy.review.log import Decision

if TYPE_CHECKING:
    from hierarchy.checks.second_opinions import Witnesses
    from hierarchy.llm import ReplyCache

NEAREST = 6  # neighbours shown
TOGETHER = 6  # classes of the same group shown
WIDTH = 12  # of the first column


@dataclass(frozen=True)
class Neighbour:
    """A class that lies near: its id, name, similarity (cosine) and where it stands ("" while unsettled)."""

    id: str
    name: str
    similarity: float
    place: str


@dataclass(frozen=True)
class Said:
    """What a model was asked in one request, what it replied, and what the reply says of a class."""

    key: str
    prompt: str
    model: str
    answer: str
    messages: tuple[tuple[str, str], ...]
    reply: str


@dataclass(frozen=True)
class Explanation:
    """All that is known of why a class stands where it does.

    Args:
        place: the path of its group, "" while it is unsettled.
        proposed: where the proposal had it.
        together: names of the others of its group.
        votes: what the witnesses said of the proposal.
        hypernyms: ways from WordNet's root down to it, as words.
        nearest: its nearest classes by the embedding.
        decisions: what reviewers decided about it, as sentences.
        said: what a model was asked about it, and what it answered.
    """

    id: str
    name: str
    definition: str
    place: str
    proposed: str
    together: tuple[str, ...]
    votes: tuple[Vote, ...]
    hypernyms: tuple[tuple[str, ...], ...]
    nearest: tuple[Neighbour, ...]
    decisions: tuple[str, ...]
    said: tuple[Said, ...]

    def to_dict(self) -> dict[str, Any]:
        """The explanation as plain values for JSON."""
        return asdict(self)

    def text(self, *, full: bool = False) -> str:
        """The explanation for a person; `full` gives prompts and replies in full length."""
        more = len(self.together) - TOGETHER
        others = ", ".join(self.together[:TOGETHER]) + (f" and {more} more" if more > 0 else "")
        lines = [f"{self.name} ({self.id})" + (f": {self.definition}" if self.definition else "")]
        lines.append(_row("stands in", (self.place or "nowhere yet") + (f"  (with {others})" if others else "")))
        if self.proposed != self.place:
            lines.append(_row("proposed", self.proposed or "nowhere"))
        for vote in self.votes:
            agrees = "  " if f"{self.place}/".startswith(f"{vote.node}/") else "!="
            lines.append(_row(vote.witness, f"{agrees} {vote.node}  {vote.strength:.2f}  {vote.why}"))
        lines += [_row("hypernyms", " > ".join(path)) for path in self.hypernyms]
        for neighbour in self.nearest:
            place = neighbour.place or "nowhere yet"
            lines.append(_row("near", f"{neighbour.similarity:.2f}  {neighbour.name}  ({place})"))
        lines += [_row("decided", decision) for decision in self.decisions]
        for said in self.said:
            lines.append(_row(said.prompt, f"{said.key[:12]}  {said.model}: {said.answer}"))
            if full:
                lines += [f"\n[{role}]\n{text}" for role, text in said.messages] + [f"\n[reply]\n{said.reply}\n"]
        return "\n".join(lines)


def explain(
    id: str,
    proposal: Proposal,
    now: Proposal,
    witnesses: Witnesses,
    *,
    decisions: Sequence[Decision] = (),
    cache: ReplyCache | None = None,
) -> Explanation:
    """Gathers all that is known of a class.

    Args:
        id: of the class.
        proposal: what was proposed, with what was said of it.
        now: where the classes stand after the review so far.
        witnesses: what is known of the proposal's classes.
        decisions: those that are in effect.
        cache: the model's replies, if a model proposed and they are at hand.
    """
    label = now.classes.ids.index(id)
    place = now.place(id)
    history = cache.history(proposal.replies.get(id, ())) if cache else []
    return Explanation(
        id=id,
        name=now.classes.names[label],
        definition=now.classes.definitions[label],
        place=place,
        proposed=proposal.place(id),
        together=tuple(
            name
            for other, name in zip(now.classes.ids, now.classes.names, strict=True)
            if place and other != id and now.place(other) == place
        ),
        votes=proposal.votes.get(id, ()),
        hypernyms=_hypernyms(label, witnesses),
        nearest=_nearest(label, now, witnesses),
        decisions=tuple(f"{d.time} {d.who}: {d}" for d in decisions if _is_about(d, id)),
        said=tuple(
            Said(
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


def _hypernyms(label: int, witnesses: Witnesses) -> tuple[tuple[str, ...], ...]:
    if witnesses.wordnet is None or not witnesses.meanings or not witnesses.meanings[label]:
        return ()
    wordnet = witnesses.wordnet
    paths = wordnet.paths(witnesses.meanings[label].wnid)
    return tuple(tuple(wordnet.synset(wnid).words[0] for wnid in path) for path in paths)


def _nearest(label: int, now: Proposal, witnesses: Witnesses) -> tuple[Neighbour, ...]:
    if witnesses.vectors is None:
        return ()
    near = (witnesses.vectors @ witnesses.vectors[label]).round(9)
    order = [int(other) for other in (-near).argsort(kind="stable") if other != label][:NEAREST]
    ids, names = now.classes.ids, now.classes.names
    return tuple(Neighbour(ids[o], names[o], round(float(near[o]), 3), now.place(ids[o])) for o in order)


def _is_about(decision: Decision, id: str) -> bool:
    """Whether a decision names a class, rather than a node it is in."""
    what = decision.what
    if isinstance(what, Move):
        return what.id == id
    if isinstance(what, Split):
        return id in what.ids
    if isinstance(what, Regroup):
        return any(other == id for other, _ in what.places)
    return decision.subject == id
