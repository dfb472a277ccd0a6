"""The main job, `python -m hierarchy.generate SOURCE`: class names in, a checked three-level hierarchy out."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from hierarchy.errors import HierarchyError, OutputError, WordNetMissing

if TYPE_CHECKING:
    from hierarchy.classes import ClassList
    from hierarchy.cluster import Shape
    from hierarchy.proposal import Finding
    from hierarchy.tree import Hierarchy
    from hierarchy.wordnet import WordNet

DEFAULT_EMBED = "tfidf"
USED = ("timm-nhl", "timm", "numpy", "scipy", "scikit-learn", "nltk")  # versions that a result depends on
USED_BY = {  # and further ones, by embedder
    "sentence-transformers": ("sentence-transformers", "transformers", "torch"),
    "timm": ("torch",),
    "openai": ("openai",),
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides what `generate` gives, beside the versions of libraries."""

    source: str
    shape: Shape
    embed: str = DEFAULT_EMBED
    base_url: str | None = None
    seed: int = 0

    @property
    def command(self) -> str:
        """The command that gives the same hierarchy again."""
        words = ["python", "-m", "hierarchy.generate", self.source]
        for flag, value in (
            ("--superclasses", self.shape.superclasses),
            ("--groups", self.shape.groups),
            ("--classes-per-group", self.shape.classes_per_group),
            ("--classes-per-superclass", self.shape.classes_per_superclass),
        ):
            words += [flag, str(value)] if value is not None else []
        words += ["--chains"] if self.shape.chains else []
        words += ["--embed", self.embed] if self.embed != DEFAULT_EMBED else []
        words += ["--base-url", "URL"] if self.base_url else []  # a server's name is its owner's to tell
        words += ["--seed", str(self.seed)] if self.seed else []
        return shlex.join(words)


@dataclass(frozen=True)
class Generated:
    """A hierarchy, what may be wrong with it, how it came to be, and the classes it was made from."""

    hierarchy: Hierarchy
    findings: tuple[Finding, ...]
    provenance: dict[str, Any]
    classes: ClassList = field(repr=False)


def generate(settings: Settings, *, tell: Callable[[str], None] = lambda stage: None) -> Generated:
    """Builds a hierarchy over the classes of a source, offline unless the embedder is a server.

    Args:
        settings: source, shape, embedder and seed.
        tell: is called with the name of each stage as it begins.

    Raises:
        HierarchyError: the source cannot be read, the shape cannot be had, or the embedder cannot be used.
    """
    from hierarchy.checks import check
    from hierarchy.classes import read_classes
    from hierarchy.cluster import cluster
    from hierarchy.embed import embedder
    from hierarchy.naming import name_nodes
    from hierarchy.proposal import Proposal
    from hierarchy.senses import choose_senses

    tell("reading classes")
    classes = read_classes(settings.source)
    tell(f"looking up {len(classes):,} classes in WordNet")
    wordnet = open_wordnet()
    meanings = choose_senses(classes, wordnet) if wordnet else ()
    tell(f"embedding with {settings.embed}")
    embed = embedder(settings.embed, wordnet=wordnet, meanings=meanings, base_url=settings.base_url, seed=settings.seed)
    vectors = embed(classes)
    tell("clustering")
    placement = cluster(vectors, settings.shape)
    tell("naming")
    centrality = _centrality(vectors, placement)
    names = name_nodes(classes, placement, wordnet=wordnet, meanings=meanings, centrality=centrality)
    proposal = Proposal(classes, tuple((id, *group) for id, group in zip(classes.ids, names, strict=True)))
    tell("checking")
    hierarchy = proposal.settle()
    findings = check(proposal, wordnet=wordnet, meanings=meanings, vectors=vectors)
    return Generated(hierarchy, findings, _provenance(settings, classes, wordnet), classes)


def open_wordnet() -> WordNet | None:
    """WordNet, or None where its data is not on this machine."""
    from hierarchy.wordnet import WordNet

    try:
        return WordNet()
    except WordNetMissing:
        return None


def _centrality(vectors: Any, placement: list[tuple[int, int]]) -> list[float]:
    """How near each class is to the middle of its group."""
    import numpy as np

    groups = {group: index for index, group in enumerate(dict.fromkeys(placement))}
    labels = np.array([groups[group] for group in placement])
    centres = np.zeros((len(groups), vectors.shape[1]))
    np.add.at(centres, labels, vectors)
    centres /= np.bincount(labels)[:, None]
    return [round(float(near), 6) for near in np.einsum("kd,kd->k", vectors, centres[labels])]


def _provenance(settings: Settings, classes: ClassList, wordnet: WordNet | None) -> dict[str, Any]:
    views = [view.partition(":")[0] for view in settings.embed.split("+")]
    used = dict.fromkeys((*USED, *(name for view in views for name in USED_BY.get(view, ()))))
    shape = {key: value if isinstance(value, bool) else str(value) for key, value in vars(settings.shape).items()}
    return {
        "proposed_by": "clustering of class embeddings (hierarchy.generate)",
        "reviewed_by": None,
        "command": settings.command,
        "settings": {
            "source": settings.source,
            "embed": settings.embed,
            "seed": settings.seed,
            "shape": {key: None if value == "None" else value for key, value in shape.items()},
        },
        "classes": len(classes),
        "wordnet": "3.0" if wordnet else "unchecked",
        "versions": {name: version(name) for name in used},
    }


def findings_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings as plain values, worst first, for a file or a script."""
    from hierarchy.edits import to_dict

    return [{**asdict(finding), "edit": finding.edit and to_dict(finding.edit)} for finding in findings]


def generate_command(
    source: Annotated[str, typer.Argument(help="imagenet-1k, a .txt/.csv/.tsv file, an image folder, a data set, ...")],
    out: Annotated[Path | None, typer.Option(help="File to write, .json or .csv.  [default: <source>.json]")] = None,
    superclasses: Annotated[str | None, typer.Option(help="How many: 7, or a range 5:9.")] = None,
    groups: Annotated[str | None, typer.Option(help="How many in all: 23, or a range.")] = None,
    classes_per_group: Annotated[str | None, typer.Option(help="Range of sizes, as 2:12.")] = None,
    classes_per_superclass: Annotated[str | None, typer.Option(help="Range of sizes, as 10:150.")] = None,
    chains: Annotated[bool, typer.Option("--chains", help="Allow nodes with a single child.")] = False,
    embed: Annotated[
        str, typer.Option(help="tfidf, wordnet, sentence-transformers:M, openai:M, timm:M; joined by + to combine.")
    ] = DEFAULT_EMBED,
    base_url: Annotated[str | None, typer.Option(help="Server of openai: embeddings.")] = None,
    seed: Annotated[int, typer.Option(help="For projections of many classes.", min=0, max=2**32 - 1)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Builds a three-level hierarchy over the classes of SOURCE, and writes it with its findings beside it."""
    from hierarchy.cluster import Range, Shape
    from hierarchy.files import save, write_text

    def parse(text: str | None) -> Range | None:
        return Range.parse(text) if text is not None else None

    shape = Shape(parse(superclasses), parse(groups), parse(classes_per_group), parse(classes_per_superclass), chains)
    target = out or _default_out(source)
    _can_be_written(target)
    _can_be_written(target.with_suffix(".findings.json"))
    if out and out.absolute() == Path(source).absolute():
        raise OutputError(f"cannot write {str(target)!r}: it is the source; choose another name")
    start = time.monotonic()
    with progress() as tell:
        made = generate(Settings(source, shape, embed, base_url, seed), tell=tell)
        tell("writing")
        beside = target.with_suffix(".findings.json")
        target.parent.mkdir(parents=True, exist_ok=True)
        save(made.hierarchy, target, provenance=made.provenance)
        if target.suffix.lower() == ".csv":  # which has no place for it
            write_text(target.with_suffix(".provenance.json"), json.dumps(made.provenance, indent=1) + "\n")
        write_text(beside, json.dumps(findings_json(made.findings), ensure_ascii=False, indent=1) + "\n")
    counts = {severity: sum(finding.severity == severity for finding in made.findings) for severity in _SEVERITIES}
    sizes = dict(zip(("superclasses", "groups", "classes"), made.hierarchy.sizes, strict=True))
    if as_json:
        summary = {"file": str(target), "findings_file": str(beside), **sizes, "findings": counts}
        print_json({**summary, "digest": made.hierarchy.digest, "seconds": round(time.monotonic() - start, 1)})
        return
    typer.echo(f"{target}: " + ", ".join(f"{number:,} {kind}" for kind, number in sizes.items()))
    typer.echo(f"{beside}: " + ", ".join(f"{number} {severity}s" for severity, number in counts.items()))


_SEVERITIES = ("error", "warning", "note")


def _default_out(source: str) -> Path:
    try:
        name = (Path(source).stem if Path(source).exists() else source) or "classes"
    except OSError:  # too long for the name of a file; `read_classes` says so
        name = "classes"
    return Path(re.sub(r"[^\w.-]+", "-", name) + ".json")


def _can_be_written(target: Path) -> None:
    """Refuses a place for the result before minutes of work are done for it, not after."""
    if target.suffix.lower() not in (".json", ".csv"):
        raise OutputError(f"cannot write {str(target)!r}: the ending is {target.suffix!r}; use .json or .csv")
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {str(target)!r}: it is a folder; name a file")
        above = next(folder for folder in target.absolute().parents if folder.exists())
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"cannot write {str(target)!r}: {reason}; choose another name") from None
    if not above.is_dir():
        raise OutputError(f"cannot write {str(target)!r}: {above.name!r} is a file, not a folder; choose another name")
    if not os.access(above, os.W_OK):
        raise OutputError(f"cannot write {str(target)!r}: {str(above)!r} is read-only; choose another folder")


class progress:  # a context manager, used as a function is
    """Shows on stderr which stage is running, and how long each took.

    >>> with progress() as tell:
    ...     tell("counting")
    """

    def __enter__(self) -> Callable[[str], None]:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._stage: tuple[str, float] | None = None
        self._status.start()
        return self._tell

    def __exit__(self, *error: object) -> None:
        self._finish(done=error[0] is None)
        self._status.stop()

    def _tell(self, stage: str) -> None:
        self._finish(done=True)
        self._stage = (stage, time.monotonic())
        self._status.update(stage)

    def _finish(self, done: bool) -> None:
        if self._stage and done:
            stage, start = self._stage
            self._status.console.print(f"{time.monotonic() - start:6.1f} s  {stage}", highlight=False)


def print_json(value: Any) -> None:
    """Prints a value as JSON on stdout, for scripts."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=1))


def run(app: typer.Typer, name: str = "hierarchy") -> int:
    """Runs a command line by its name; gives its exit code: 0 done, 1 done and found errors, 2 could not be done.

    Errors are one line on stderr: no traceback, and no file is left half-written.
    """
    try:
        result = app(prog_name=name, standalone_mode=False)
        if result == INTERRUPTED:
            raise KeyboardInterrupt
        return result if isinstance(result, int) else 0
    except HierarchyError as error:
        typer.echo(f"error: {error}", err=True)
    except USAGE_ERROR as error:
        _show_usage(error)
    except (typer.Abort, KeyboardInterrupt):
        typer.echo("stopped; no file is half-written", err=True)
    except BrokenPipeError:
        sys.stderr.close()
    return 2


# click's UsageError: of click itself or, in newer typers, of the copy they carry, which has no public name.
USAGE_ERROR = cast("type[Exception]", typer.BadParameter.__mro__[1])
INTERRUPTED = 130  # what typer makes of Ctrl-C


def _show_usage(error: Any) -> None:
    """Says what is wrong with a command line, and how help is had; a command without arguments shows its help."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return
    message = error.format_message().rstrip(".")
    message = re.sub(r"\. Did you mean (.*?)\?| \(Possible options: (.*)\)", r"; nearest: \1\2", message)
    message = re.sub(r"(^|: )([A-Z])", lambda found: found[1] + found[2].lower(), message)
    path = error.ctx.command_path if error.ctx else "hierarchy"
    typer.echo(f"error: {message}; `{path} --help` shows what there is", err=True)


if __name__ == "__main__":
    command = typer.Typer(add_completion=False)
    command.command()(generate_command)
    sys.exit(run(command, "python -m hierarchy.generate"))
