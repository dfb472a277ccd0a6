"""What decides a generated hierarchy, as data: equal settings, and versions of libraries, give an equal file."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hierarchy.cluster.constrained import Shape, likely_numbers

if TYPE_CHECKING:
    from hierarchy.prompting import Plan

DEFAULT_EMBED = "tfidf"
DEFAULT_MODEL = "gpt-4.1"
DEFAULT_VOTES = 3  # odd, so that two superclasses cannot tie


@dataclass(frozen=True)
class ModelSettings:
    """How a model proposes.

    Args:
        model: what the server calls it.
        votes: how often every class is put into a superclass.
        temperature: None leaves it to the server, as models that think before they answer want it.
        reply_tokens: the most tokens of a reply; None gives each as many as its answer may need. Models that think
            need more.
    """

    model: str = DEFAULT_MODEL
    votes: int = DEFAULT_VOTES
    temperature: float | None = None
    reply_tokens: int | None = None


@dataclass(frozen=True)
class Settings:
    """Everything that decides what `generate` gives, beside the versions of libraries.

    Args:
        source: of the classes.
        shape: what is asked of numbers and sizes; of a model's proposal only the numbers, and as a wish.
        embed: the embedder that clusters, or that is a witness about a model's proposal.
        base_url: of the servers of `openai:` embeddings and of the model.
        seed: of projections, and of the order in which a model is shown classes.
        propose: the model that proposes; None clusters.
    """

    source: str
    shape: Shape
    embed: str = DEFAULT_EMBED
    base_url: str | None = None
    seed: int = 0
    propose: ModelSettings | None = None

    @property
    def command(self) -> str:
        """The command that gives the same hierarchy again; a model's replies come from the cache beside the file."""
        words = ["python", "-m", "hierarchy.generate", self.source]
        if self.propose:
            words += ["--propose", "openai", "--model", self.propose.model]
        for flag, value, default in (
            ("--votes", self.propose and self.propose.votes, DEFAULT_VOTES),
            ("--temperature", self.propose and self.propose.temperature, None),
            ("--reply-tokens", self.propose and self.propose.reply_tokens, None),
            ("--superclasses", self.shape.superclasses, None),
            ("--groups", self.shape.groups, None),
            ("--classes-per-group", self.shape.classes_per_group, None),
            ("--classes-per-superclass", self.shape.classes_per_superclass, None),
        ):
            words += [flag, str(value)] if value is not None and value != default else []
        words += ["--chains"] if self.shape.chains else []
        words += ["--embed", self.embed] if self.embed != DEFAULT_EMBED else []
        words += ["--base-url", "URL"] if self.base_url else []  # a server's name is its owner's to tell
        words += ["--seed", str(self.seed)] if self.seed else []
        return shlex.join(words)

    def plan(self, classes: int) -> Plan:
        """What a model is asked for, of so many classes."""
        from hierarchy.prompting import Plan

        assert self.propose is not None
        superclasses, groups = likely_numbers(self.shape, classes)
        wished = {"temperature": self.propose.temperature, "max_tokens": self.propose.reply_tokens}
        return Plan(
            self.propose.model,
            superclasses,
            groups,
            votes=self.propose.votes,
            seed=self.seed,
            settings={name: value for name, value in wished.items() if value is not None},
        )

    def to_dict(self) -> Mapping[str, Any]:
        """The settings as plain values for a file; the server's name is left out."""
        shape = {key: value if isinstance(value, bool) else str(value) for key, value in vars(self.shape).items()}
        return {
            "source": self.source,
            **({"model": vars(self.propose)} if self.propose else {}),
            "embed": self.embed,
            "seed": self.seed,
            "shape": {key: None if value == "None" else value for key, value in shape.items()},
        }
