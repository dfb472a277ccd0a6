"""Has a language model propose: what it is sent of the evidence, and what its answers change in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hierarchy.checks import Evidence, ask_witnesses
from hierarchy.llm import Chat
from hierarchy.proposal import Proposal, Vote
from hierarchy.sources import ClassList
from hierarchy.wordnet import Confidence

if TYPE_CHECKING:
    from hierarchy.prompting import Plan


@dataclass(frozen=True)
class Asked:
    """What came of asking a language model.

    Args:
        proposal: its proposal; the provenance says how it was asked.
        unsettled: class id -> why the model could not settle it.
        evidence: the evidence, with what the model said that classes mean.
    """

    proposal: Proposal
    unsettled: Mapping[str, str]
    evidence: Evidence


def trust_definitions(evidence: Evidence) -> tuple[ClassList, frozenset[str]]:
    """The classes as a model shall see them, and the ids of those whose definition is a guess.

    A definition from the source, or that of a WNID, is certain. One that was looked up is a guess where the sense is
    likely, and left out where it is not.
    """
    classes, senses = evidence.classes, evidence.senses
    if senses is None:
        return classes, frozenset()
    kept, guessed = [], set()
    for id, definition, meaning in zip(classes.ids, classes.definitions, senses.meanings, strict=True):
        looked_up = bool(meaning) and meaning.confidence < Confidence.EXACT
        looked_up = looked_up and definition == senses.wordnet.synset(meaning.wnid).gloss
        kept.append("" if looked_up and not meaning.is_sure else definition)
        if looked_up and meaning.is_sure:
            guessed.add(id)
    return replace(classes, definitions=tuple(kept)), frozenset(guessed)


def propose_by_model(
    evidence: Evidence,
    chat: Chat,
    plan: Plan,
    *,
    gather_again: Callable[[ClassList], Evidence],
    progress: Callable[[str], None] = lambda stage: None,
) -> Asked:
    """Asks a language model for a hierarchy, with the witnesses' second opinion.

    Args:
        evidence: what is known about the classes.
        chat: answers the requests.
        plan: how the model is asked.
        gather_again: the evidence about the classes with other definitions; called if the model corrects some.
        progress: receives the name of each stage.

    Raises:
        ChatError: the model proposed no superclasses.
    """
    from hierarchy.prompting import list_prompts, load_prompt, propose

    classes, guessed = trust_definitions(evidence)

    def learn(corrected: ClassList) -> Evidence:
        new = zip(corrected.definitions, classes.definitions, corrected.ids, strict=True)
        own = [said if said != sent or id not in guessed else "" for said, sent, id in new]
        return gather_again(replace(corrected, definitions=tuple(own)))

    learnt = [evidence]  # the last is the best

    def ask(proposal: Proposal) -> tuple[tuple[Vote, ...], ...]:
        if proposal.classes.definitions != classes.definitions:
            learnt.append(learn(proposal.classes))
        return tuple(ask_witnesses(proposal, learnt[-1]).votes())

    proposed = propose(classes, chat, plan, guessed=guessed, witnesses=ask, progress=progress)
    provenance = {
        "requests": proposed.requests,
        "troubles": proposed.troubles,
        "prompts": {name: load_prompt(name).digest for name in list_prompts()},
    }
    proposal = replace(proposed.proposal, classes=learnt[-1].classes, provenance=provenance)
    return Asked(proposal, proposed.left, learnt[-1])
