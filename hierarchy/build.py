"""Class names in, a checked proposal out: reads the classes, calls the witnesses, has somebody propose, checks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hierarchy.settings import Settings

if TYPE_CHECKING:
    from hierarchy.checks.second_opinions import Witnesses
    from hierarchy.llm import Chat, ReplyCache
    from hierarchy.prompting import Proposed
    from hierarchy.proposal import Finding, Proposal
    from hierarchy.sources import ClassList
    from hierarchy.tree import Hierarchy

USED = ("timm-nhl", "timm", "numpy", "scipy", "scikit-learn", "nltk")  # versions that a result depends on
USED_BY = {  # and further ones, by embedder
    "sentence-transformers": ("sentence-transformers", "transformers", "torch"),
    "timm": ("torch",),
    "openai": ("openai",),
}
Tell = Callable[[str], None]


def _quiet(stage: str) -> None:
    """Tells nobody."""


@dataclass(frozen=True)
class Known:
    """What is known before anybody proposes: the classes, with definitions where there are any, and witnesses."""

    classes: ClassList
    witnesses: Witnesses


@dataclass(frozen=True)
class Generated:
    """What was proposed, what may be wrong with it, and why a class is unsettled, by id."""

    proposal: Proposal
    findings: tuple[Finding, ...]
    left: Mapping[str, str] = field(default_factory=dict)

    @property
    def hierarchy(self) -> Hierarchy:
        """The hierarchy; InvalidHierarchy where classes are unsettled."""
        return self.proposal.hierarchy()


def generate(
    settings: Settings,
    *,
    chat: Chat | None = None,
    known: Known | None = None,
    cache: ReplyCache | None = None,
    tell: Tell = _quiet,
) -> Generated:
    """Builds a hierarchy over the classes of a source: by clustering, or by asking a model.

    Args:
        settings: source, shape, embedder, seed and, for a model, how it is asked.
        chat: who is asked, where the settings say that a model proposes.
        known: what `know` gave for these settings, where that was done already.
        cache: where the vectors of an embedding server are kept.
        tell: is called with the name of each stage as it begins.

    Raises:
        HierarchyError: the source cannot be read, the shape cannot be had, or embedder or model cannot be used.
    """
    from hierarchy.checks.checks import check
    from hierarchy.checks.second_opinions import hear, votes

    known = known or know(settings, tell, cache)
    classes, witnesses = known.classes, known.witnesses
    proposed: Proposed | None = None
    if settings.propose:
        from hierarchy.prompting import propose

        assert chat is not None, "a model proposes, so a chat is needed"
        plan, said_of = settings.plan(len(classes)), lambda proposal: votes(hear(proposal, witnesses))
        proposed = propose(classes, chat, plan, witnesses=said_of, tell=tell)
        proposal = proposed.proposal
    else:
        proposal = clustered(known, settings, tell)
    tell("checking")
    hearing = hear(proposal, witnesses)
    findings = check(proposal, **vars(witnesses), hearing=hearing)
    heard = {
        id: said
        for id, others in zip(classes.ids, votes(hearing), strict=True)
        if (said := (*proposal.votes.get(id, ()), *others))
    }
    made = replace(proposal, votes=heard, provenance=_provenance(settings, classes, witnesses, proposed))
    return Generated(made, findings, proposed.left if proposed else {})


def know(settings: Settings, tell: Tell = _quiet, cache: ReplyCache | None = None) -> Known:
    """Reads the classes and calls the witnesses about them."""
    from hierarchy.checks.second_opinions import call_witnesses
    from hierarchy.sources import read_classes
    from hierarchy.wordnet.disambiguate import described

    tell("reading classes")
    classes = read_classes(settings.source)
    witnesses = call_witnesses(
        classes, settings.embed, base_url=settings.base_url, cache=cache, seed=settings.seed, tell=tell
    )
    return Known(described(classes, witnesses.wordnet, witnesses.meanings), witnesses)


def clustered(known: Known, settings: Settings, tell: Tell = _quiet) -> Proposal:
    """The proposal of the offline way: clusters of the vectors, named by what their classes share."""
    from hierarchy.cluster.constrained import cluster
    from hierarchy.cluster.naming import name_nodes
    from hierarchy.proposal import Proposal

    classes, (wordnet, meanings, vectors) = known.classes, vars(known.witnesses).values()
    tell("clustering")
    placement = cluster(vectors, settings.shape)
    tell("naming")
    centrality = _centrality(vectors, placement)
    return Proposal(classes, name_nodes(classes, placement, wordnet=wordnet, meanings=meanings, centrality=centrality))


def _centrality(vectors: Any, placement: list[tuple[int, int]]) -> list[float]:
    """How near each class is to the middle of its group."""
    import numpy as np

    groups = {group: index for index, group in enumerate(dict.fromkeys(placement))}
    labels = np.array([groups[group] for group in placement])
    centres = np.zeros((len(groups), vectors.shape[1]))
    np.add.at(centres, labels, vectors)
    centres /= np.bincount(labels)[:, None]
    return [round(float(near), 6) for near in np.einsum("kd,kd->k", vectors, centres[labels])]


def _provenance(
    settings: Settings, classes: ClassList, witnesses: Witnesses, proposed: Proposed | None
) -> dict[str, Any]:
    from hierarchy.prompting import list_prompts, load_prompt

    views = [view.partition(":")[0] for view in settings.embed.split("+")]
    used = dict.fromkeys((*USED, *(name for view in views for name in USED_BY.get(view, ()))))
    proposed_by = "clustering of class embeddings (hierarchy.generate)"
    if settings.propose:
        proposed_by = f"the model {settings.propose.model}, by prompts (hierarchy.generate)"
    asked = (
        {
            "requests": proposed.requests,
            "troubles": proposed.troubles,
            "prompts": {name: load_prompt(name).digest for name in list_prompts()},
        }
        if proposed
        else {}
    )
    return {
        "proposed_by": proposed_by,
        "reviewed_by": None,
        "command": settings.command,
        "settings": settings.to_dict(),
        **asked,
        "classes": len(classes),
        "wordnet": "3.0" if witnesses.wordnet else "unchecked",
        "versions": {name: version(name) for name in used},
    }
