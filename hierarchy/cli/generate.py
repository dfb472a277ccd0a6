"""The command `hierarchy generate`: what it checks before it starts, and its summary."""

from __future__ import annotations

import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.checks import describe_coverage
from hierarchy.cli.console import print_json, run, show_progress
from hierarchy.cli.inspect import SensesFile, explain_missing_wordnet
from hierarchy.cli.propose import (
    ask_model,
    confirm,
    mention_vectors,
    open_cache,
    parse_limits,
    rehearse,
    served_views,
    show_estimate,
)
from hierarchy.cluster import Range, Shape
from hierarchy.english import count
from hierarchy.errors import OutputError, ShapeError
from hierarchy.files import check_writable, same_file
from hierarchy.generate import (
    DEFAULT_MODEL,
    DEFAULT_VOTES,
    Generated,
    ModelSettings,
    Settings,
    check_undecided,
    generate,
)
from hierarchy.llm import DEFAULT_TIMEOUT, ChatOptions, make_client
from hierarchy.views import DEFAULT_EMBED, EMBEDDERS

if TYPE_CHECKING:  # the room imports pydantic, which takes longer than --help
    from hierarchy.review import Paths

SHAPE, MODEL, SPENDING = "Shape", "Language model", "Spending"  # panels of the help
Source = Annotated[
    str, typer.Argument(metavar="SOURCE", help="imagenet-1k, a file with class names, an image folder, a dataset, ...")
]
Format = Annotated[
    str | None, typer.Option("--format", help="Read a file in this form, such as coco; by default its content decides.")
]
UseGroups = Annotated[
    bool,
    typer.Option("--use-groups", help="Keep the superclasses and groups that SOURCE states.", rich_help_panel=SHAPE),
]
Out = Annotated[Path | None, typer.Option(help="File to write, .json or .csv; <source>.json by default.")]
Embed = Annotated[str, typer.Option(help=f"{', '.join(EMBEDDERS)}; several are joined by +.")]
BaseUrl = Annotated[str | None, typer.Option(help="Server of openai: embeddings and of --propose openai.")]
Seed = Annotated[int, typer.Option(help="Of projections and shuffles.", min=0, max=2**32 - 1)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")]
Superclasses = Annotated[str | None, typer.Option(help="How many: 7, or a range 5:9.", rich_help_panel=SHAPE)]
Groups = Annotated[str | None, typer.Option(help="How many in all: 23, or a range.", rich_help_panel=SHAPE)]
PerGroup = Annotated[str | None, typer.Option(help="Range of sizes, such as 2:12.", rich_help_panel=SHAPE)]
PerSuperclass = Annotated[str | None, typer.Option(help="Range of sizes, such as 10:150.", rich_help_panel=SHAPE)]
Chains = Annotated[bool, typer.Option("--chains", help="Allow nodes with a single child.", rich_help_panel=SHAPE)]
Propose = Annotated[
    str | None,
    typer.Option(help="openai: have a language model propose, on any such server.", rich_help_panel=MODEL),
]
Model = Annotated[str, typer.Option(help="The model that proposes.", rich_help_panel=MODEL)]
Votes = Annotated[int, typer.Option(help="Of the model on every class.", min=1, max=15, rich_help_panel=MODEL)]
Temperature = Annotated[
    float | None, typer.Option(help="Of the model; not sent by default.", min=0, max=2, rich_help_panel=MODEL)
]
ReplyTokens = Annotated[
    int | None, typer.Option(help="The largest reply; by default what it may need.", min=1, rich_help_panel=MODEL)
]
Concurrency = Annotated[int, typer.Option(help="Calls in flight at a time.", min=1, max=256, rich_help_panel=MODEL)]
Timeout = Annotated[float, typer.Option(help="Seconds that a call may take.", min=1, rich_help_panel=MODEL)]
DropUnsettled = Annotated[
    bool, typer.Option("--drop-unsettled", help="Leave out classes that stay unsettled.", rich_help_panel=MODEL)
]
AskAgain = Annotated[
    bool, typer.Option("--ask-again", help="Ask for replies that are in the cache too.", rich_help_panel=MODEL)
]
PriceFlag = Annotated[
    str | None, typer.Option(help="INPUT:OUTPUT, US dollars per million tokens.", rich_help_panel=SPENDING)
]
MaxCalls = Annotated[
    int | None, typer.Option(help="Stop before exceeding this number of calls.", min=1, rich_help_panel=SPENDING)
]
MaxCost = Annotated[
    float | None,
    typer.Option(help="Stop before exceeding this cost in US dollars; needs --price.", min=0, rich_help_panel=SPENDING),
]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if nothing is known of some classes.")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the estimate and spend nothing.", rich_help_panel=SPENDING)
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend without asking.", rich_help_panel=SPENDING)]


def generate_command(
    context: typer.Context,
    source: Source,
    out: Out = None,
    form: Format = None,
    use_groups: UseGroups = False,
    superclasses: Superclasses = None,
    groups: Groups = None,
    classes_per_group: PerGroup = None,
    classes_per_superclass: PerSuperclass = None,
    chains: Chains = False,
    embed: Embed = DEFAULT_EMBED,
    base_url: BaseUrl = None,
    seed: Seed = 0,
    senses: SensesFile = None,
    propose: Propose = None,
    model: Model = DEFAULT_MODEL,
    votes: Votes = DEFAULT_VOTES,
    temperature: Temperature = None,
    reply_tokens: ReplyTokens = None,
    price: PriceFlag = None,
    max_calls: MaxCalls = None,
    max_cost: MaxCost = None,
    concurrency: Concurrency = 8,
    timeout: Timeout = DEFAULT_TIMEOUT,
    ask_again: AskAgain = False,
    drop_unsettled: DropUnsettled = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    strict: Strict = False,
    as_json: AsJson = False,
) -> int:
    """Builds a three-level hierarchy over the classes of SOURCE, and writes it with its findings.

    With --propose openai a language model proposes it. Every reply is stored in OUT.replies.sqlite before it is read,
    and is never asked for again without --ask-again, unless it cannot be used. Exits with 1 if classes stay unsettled.
    """
    paths = _check_target(out or _default_out(source), source)
    shape = _parse_shape(superclasses, groups, classes_per_group, classes_per_superclass, chains)
    if propose is None:
        _refuse_model_flags(context, embed)
    asked = _check_model(propose, ModelSettings(model, votes, temperature, reply_tokens), shape, use_groups)
    settings = Settings(source, shape, embed, base_url, seed, asked, use_groups, drop_unsettled, form, senses)
    start = time.monotonic()
    limits = parse_limits(price, max_calls, max_cost)
    _check_key(settings, dry_run=dry_run)
    if asked is None:
        return _summarise(_cluster(settings, paths), paths, time.monotonic() - start, as_json, strict)
    evidence, expected = rehearse(settings, limits)
    if dry_run:
        show_estimate(expected, as_json)
        mention_vectors(embed)
        return 0
    typer.echo(expected, err=True)
    mention_vectors(embed)
    confirm(yes or max_calls is not None or max_cost is not None)
    options = ChatOptions(base_url, concurrency, timeout, limits=limits, ask_again=ask_again)
    return _summarise(ask_model(settings, evidence, paths, options), paths, time.monotonic() - start, as_json, strict)


def _cluster(settings: Settings, paths: Paths) -> Generated:
    cache = open_cache(paths, settings) if served_views(settings.embed) else None
    with show_progress() as progress:
        return generate(settings, paths, cache=cache, progress=progress)


def _parse_shape(
    superclasses: str | None, groups: str | None, per_group: str | None, per_superclass: str | None, chains: bool
) -> Shape:
    def parse(text: str | None) -> Range | None:
        return None if text is None else Range.parse(text)

    return Shape(parse(superclasses), parse(groups), parse(per_group), parse(per_superclass), chains)


def _refuse_model_flags(context: typer.Context, embed: str) -> None:
    """Refuses flags about a language model if none proposes: they would promise a limit that does not hold.

    Calls to an embedding server have no limit.
    """
    views = served_views(embed)
    panels = {option.name: getattr(option, "rich_help_panel", None) for option in context.command.params}
    names = [name for name, panel in panels.items() if name and panel in (MODEL, SPENDING)]
    names += [] if views else ["base_url"]
    sources = {name: context.get_parameter_source(name) for name in names}
    given = [f"--{name.replace('_', '-')}" for name, by in sources.items() if by and by.name == "COMMANDLINE"]
    if given:
        *others, last = given
        needing = f"{', '.join(others)} and {last} need" if others else f"{last} needs"
        limit = f" (--embed {'+'.join(views)} has no limit)" if views else ""
        raise typer.BadParameter(f"{needing} a language model that proposes{limit}; add --propose openai")


def _check_key(settings: Settings, *, dry_run: bool) -> None:
    """Reports a missing key before the classes are looked up, not after."""
    if (settings.propose or served_views(settings.embed)) and not dry_run:
        make_client(settings.base_url)


def _check_model(propose: str | None, asked: ModelSettings, shape: Shape, use_groups: bool) -> ModelSettings | None:
    """How a language model is asked, or None if none proposes."""
    if propose is None:
        return None
    if propose != "openai":
        raise typer.BadParameter(f"unknown --propose {propose!r}; use openai, with --base-url for other servers")
    if use_groups:
        raise typer.BadParameter("--use-groups needs a clustering; leave out --propose")
    if shape.classes_per_group or shape.classes_per_superclass:
        raise ShapeError(
            "a language model does not keep to node sizes; remove --classes-per-group and --classes-per-superclass"
            " (`hierarchy check` lists nodes that are too large)"
        )
    return asked


def _summarise(made: Generated, paths: Paths, seconds: float, as_json: bool, strict: bool) -> int:
    """Prints what was made; returns the exit code, 1 if classes are unsettled or, if strict, unknown."""
    proposal = made.proposal
    severities = [finding.severity for finding in made.findings]
    counts = {severity: severities.count(severity) for severity in ("error", "warning", "note")}
    numbers = proposal.settled.sizes if any(proposal.places) else (0, 0, 0)
    sizes = dict(zip(("superclasses", "groups", "classes"), numbers, strict=True))
    unknown = any(finding.kind == "unknown" for finding in made.findings)
    code = int(bool(proposal.unsettled) or (strict and unknown))
    known = proposal.provenance.get("known")
    explain_missing_wordnet()
    if as_json:
        files = {
            "file": None if proposal.unsettled else str(paths.result),
            "findings_file": str(paths.findings),
            "proposal_file": str(paths.base),
        }
        what = {**sizes, "known": known, "findings": counts, "unsettled": dict(made.unsettled)}
        print_json({**files, **what, "digest": proposal.digest, "seconds": round(seconds, 1)})
        return code
    written = paths.base if proposal.unsettled else paths.result
    typer.echo(f"{written}: " + ", ".join(map(count, numbers, ("superclass", "group", "class"))))
    typer.echo(f"{paths.findings}: " + ", ".join(count(number, severity) for severity, number in counts.items()))
    if known:
        typer.echo(describe_coverage(known, len(proposal.classes)))
    _explain_unsettled(made, paths)
    return code


def _explain_unsettled(made: Generated, paths: Paths) -> None:
    troubles = made.proposal.provenance.get("troubles")
    if troubles:
        kinds = ", ".join(f"{number} {kind}" for kind, number in troubles.items())
        typer.echo(f"problems with replies, all handled or listed: {kinds}", err=True)
    names = dict(zip(made.proposal.classes.ids, made.proposal.classes.names, strict=True))
    for id, why in made.unsettled.items():
        what = f"unsettled: {names[id]!r} ({id})" if id in names else f"left out: {id!r}"
        typer.echo(f"{what}: {why}", err=True)
    kept = paths.result.with_suffix(f".before{paths.result.suffix}")
    if made.proposal.unsettled and kept.exists():
        typer.echo(f"the result of an earlier run is kept as {kept}", err=True)
    if made.proposal.unsettled:
        number = len(made.proposal.unsettled)
        typer.echo(
            f"{number} {'class is' if number == 1 else 'classes are'} unsettled; place them with `hierarchy review"
            f" {paths.result}`, or leave them out with --drop-unsettled",
            err=True,
        )


def _default_out(source: str) -> Path:
    try:
        name = (Path(source).stem if Path(source).exists() else source) or "classes"
    except OSError:  # too long for a file name; `read_classes` says so
        name = "classes"
    ending = "-tree.json" if Path(source).suffix.lower() == ".json" else ".json"  # else a .json would replace itself
    return Path(re.sub(r"[^\w.-]+", "-", name) + ending)


def _check_target(file: Path, source: str) -> Paths:
    """The files of a result; refuses a place for them before minutes of work, not after."""
    from hierarchy.review import Paths, hold_lock

    paths = Paths.of(file)
    target = paths.result
    if target.suffix.lower() not in (".json", ".csv"):
        raise OutputError(f"cannot write {str(target)!r}: unknown ending {target.suffix!r}; use .json or .csv")
    check_writable(target)
    if paths.lock.exists():
        with hold_lock(paths, "generate"):
            pass
    check_undecided(paths)
    if same_file(target, source):
        raise OutputError(f"cannot write {str(target)!r}: it is the source; choose another name")
    return paths


if __name__ == "__main__":
    command = typer.Typer(add_completion=False)
    command.command()(generate_command)
    sys.exit(run(command, "python -m hierarchy.generate"))
