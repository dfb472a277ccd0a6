"""The main job, `python -m hierarchy.generate SOURCE`: class names in, a checked three-level hierarchy out."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.cli.console import print_json, progress, run
from hierarchy.errors import BudgetReached, Locked, OutputError, ShapeError, os_reason
from hierarchy.settings import DEFAULT_EMBED, DEFAULT_MODEL, DEFAULT_VOTES, ModelSettings, Settings

if TYPE_CHECKING:
    from hierarchy.build import Generated, Known
    from hierarchy.cluster.constrained import Shape
    from hierarchy.llm import Limits, ReplyCache
    from hierarchy.prompting import Estimate
    from hierarchy.review import Paths


def generate_command(
    context: typer.Context,
    source: Annotated[str, typer.Argument(help="imagenet-1k, a .txt/.csv/.tsv file, an image folder, a dataset, ...")],
    out: Annotated[Path | None, typer.Option(help="File to write, .json or .csv.  [default: <source>.json]")] = None,
    superclasses: Annotated[str | None, typer.Option(help="How many: 7, or a range 5:9.")] = None,
    groups: Annotated[str | None, typer.Option(help="How many in all: 23, or a range.")] = None,
    classes_per_group: Annotated[str | None, typer.Option(help="Range of sizes, as 2:12.")] = None,
    classes_per_superclass: Annotated[str | None, typer.Option(help="Range of sizes, as 10:150.")] = None,
    chains: Annotated[bool, typer.Option("--chains", help="Allow nodes with a single child.")] = False,
    embed: Annotated[
        str, typer.Option(help="tfidf, wordnet, sentence-transformers:M, openai:M, timm:M; joined by + to combine.")
    ] = DEFAULT_EMBED,
    base_url: Annotated[str | None, typer.Option(help="Server of openai: embeddings and of --propose openai.")] = None,
    seed: Annotated[int, typer.Option(help="Of projections and shuffles.", min=0, max=2**32 - 1)] = 0,
    propose: Annotated[str | None, typer.Option(help="openai: have a model propose, on any such server.")] = None,
    model: Annotated[str, typer.Option(help="The model that proposes.")] = DEFAULT_MODEL,
    votes: Annotated[int, typer.Option(help="Of the model on every class.", min=1, max=15)] = DEFAULT_VOTES,
    temperature: Annotated[float | None, typer.Option(help="Of the model; not sent by default.", min=0, max=2)] = None,
    reply_tokens: Annotated[
        int | None, typer.Option(help="The most of a reply; by default what it needs.", min=1)
    ] = None,
    price: Annotated[str | None, typer.Option(help="INPUT:OUTPUT, US dollars per million tokens.")] = None,
    max_calls: Annotated[int | None, typer.Option(help="Stop before exceeding this number of calls.", min=1)] = None,
    max_cost: Annotated[
        float | None, typer.Option(help="Stop before exceeding this cost in US dollars; needs --price.", min=0)
    ] = None,
    concurrency: Annotated[int, typer.Option(help="Calls in flight at a time.", min=1, max=256)] = 8,
    ask_again: Annotated[bool, typer.Option("--ask-again", help="Ask for replies that are in the cache too.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it will take, and spend nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Spend without asking.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> int:
    """Builds a three-level hierarchy over the classes of SOURCE, and writes it with its findings beside it.

    With --propose openai a model proposes it. Every reply is stored in OUT.replies.sqlite before it is read, and is
    never asked for again without --ask-again. Exits with 1 if classes are unsettled.
    """
    from hierarchy.build import generate
    from hierarchy.cluster.constrained import Range, Shape
    from hierarchy.files import same_file
    from hierarchy.review import Paths

    def parse(text: str | None) -> Range | None:
        return Range.parse(text) if text is not None else None

    paths = Paths.of(out or _default_out(source))
    _can_be_written(paths.result)
    _is_not_under_review(paths)
    if (out or paths.result != _default_out(source)) and same_file(paths.result, source):  # a .json is none
        raise OutputError(f"cannot write {str(paths.result)!r}: it is the source; choose another name")
    shape = Shape(parse(superclasses), parse(groups), parse(classes_per_group), parse(classes_per_superclass), chains)
    if propose is None:
        _needs_no_model(context, embed)
    asked = _model(propose, ModelSettings(model, votes, temperature, reply_tokens), shape)
    settings = Settings(source, shape, embed, base_url, seed, asked)
    start = time.monotonic()
    if not asked:
        with progress() as tell:
            made = generate(settings, cache=_open_cache(paths, settings) if _by_server(embed) else None, tell=tell)
            _write(made, paths, tell)
    else:
        limits = _limits(price, max_calls, max_cost)
        known, expected = _expected(settings, limits)  # asks nobody, embeddings included
        if dry_run:
            _show(expected, as_json)
            _say_of_vectors(embed)
            return 0
        typer.echo(expected, err=True)
        _say_of_vectors(embed)
        _consent(yes or max_calls is not None or max_cost is not None)
        made = _asked(settings, known, paths, limits, concurrency=concurrency, ask_again=ask_again)
    return _summary(made, paths, time.monotonic() - start, as_json)


_OF_A_MODEL: tuple[str, ...] = ("model", "votes", "temperature", "reply_tokens", "price", "max_calls", "max_cost")
_OF_A_MODEL += ("concurrency", "ask_again", "dry_run", "yes")


def _needs_no_model(context: typer.Context, embed: str) -> None:
    """Refuses flags about a model where none proposes: they would promise a limit that does not hold.

    Calls to an embedding server have no limit.
    """
    views = _by_server(embed)
    sources = {name: context.get_parameter_source(name) for name in (*_OF_A_MODEL, *(() if views else ("base_url",)))}
    given = [f"--{name.replace('_', '-')}" for name, by in sources.items() if by and by.name == "COMMANDLINE"]
    if given:
        *others, last = given
        flags = f"{', '.join(others)} and {last} are" if others else f"{last} is"
        calls = f" that proposes, and --embed {'+'.join(views)} is under no limit; leave that out, or" if views else ";"
        raise typer.BadParameter(f"{flags} about a model{calls} add --propose openai")


def _model(propose: str | None, asked: ModelSettings, shape: Shape) -> ModelSettings | None:
    """How a model is asked, or None where none is."""
    if propose is None:
        return None
    if propose != "openai":
        raise typer.BadParameter(
            f"nobody called {propose!r} proposes; use --propose openai, with --base-url for others"
        )
    if shape.classes_per_group or shape.classes_per_superclass:
        raise ShapeError(
            "sizes of nodes cannot be promised of a model; leave out --classes-per-group and --classes-per-superclass,"
            " `hierarchy check` lists nodes that are too large"
        )
    return asked


def _limits(price: str | None, max_calls: int | None, max_cost: float | None) -> Limits:
    from hierarchy.llm import Limits, Price

    found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", price) if price is not None else None
    if price is not None and not found:
        raise typer.BadParameter(
            f"--price {price!r} is not INPUT:OUTPUT; give US dollars per million tokens, such as 2:8"
        )
    return Limits(max_calls, max_cost, Price(float(found[1]), float(found[2])) if found else None)


def _expected(settings: Settings, limits: Limits) -> tuple[Known | None, Estimate]:
    """What asking the model will take, rehearsed with the clustering's answers, and what is known of the classes.

    Known is nothing yet where the embedder is a server, which may want money: the rehearsal then has another one.
    """
    from hierarchy.build import clustered, know
    from hierarchy.prompting import estimate

    assert settings.propose is not None
    free = "+".join(view for view in settings.embed.split("+") if not view.startswith("openai:"))
    rehearsed = replace(settings, embed=free or DEFAULT_EMBED)
    with progress() as tell:
        known = know(rehearsed, tell)
        proposal = clustered(known, rehearsed, tell)
        tell("rehearsing")
        plan = settings.plan(len(known.classes))
        expected = estimate(proposal, plan, price=limits.price)
    return (known if rehearsed == settings else None), expected


def _show(expected: Estimate, as_json: bool) -> None:
    if as_json:
        print_json({**expected.to_dict(), "first_prompt": [list(message) for message in expected.first.messages]})
        return
    typer.echo(expected)
    typer.echo(", ".join(f"{calls} {prompt}" for prompt, calls in expected.prompts.items()))
    for role, text in expected.first.messages:
        typer.echo(f"\n[{role}]\n{text}")


def _say_of_vectors(embed: str) -> None:
    """Says what no estimate holds and no limit binds."""
    if views := _by_server(embed):
        typer.echo(f"in addition, and without a limit, vectors are requested from --embed {'+'.join(views)}", err=True)


def _consent(given: bool) -> None:
    """Asks before money is spent, unless a flag said yes or set a limit; a default is no consent to pay."""
    if given:
        return
    if not sys.stdin.isatty():
        raise BudgetReached(
            "refusing to spend money without confirmation (stdin is not a terminal); pass --yes, --max-cost or"
            " --max-calls"
        )
    typer.confirm("Continue?", abort=True, err=True)


def _asked(
    settings: Settings, known: Known | None, paths: Paths, limits: Limits, *, concurrency: int, ask_again: bool
) -> Generated:
    """Has the model propose, with its replies in the cache beside the result, and writes that."""
    from hierarchy.build import generate
    from hierarchy.llm import ChatOptions, OpenAIChat

    cache = _open_cache(paths, settings)
    options = ChatOptions(settings.base_url, concurrency, limits=limits, ask_again=ask_again)
    with progress() as tell:
        chat = OpenAIChat(cache, options, tell=tell.about)
        made = generate(settings, chat=chat, known=known, cache=cache, tell=tell)
        try:
            _write(made, paths, tell)
        except Locked as error:  # a review began meanwhile
            raise Locked(f"{error}; then run again: all replies are in {cache.path.name!r}") from None
    for name, total in cache.totals().items():
        tokens = total.input_tokens + total.output_tokens
        typer.echo(f"{cache.path}: {total.replies} replies from {name}, {tokens:,} tokens in all runs", err=True)
    return made


def _by_server(embed: str) -> list[str]:
    """The views of an embedder that a server is asked for."""
    return [view for view in embed.split("+") if view.startswith("openai:")]


def _open_cache(paths: Paths, settings: Settings) -> ReplyCache:
    """The reply cache beside the result.

    Says if it holds replies of another server, as after a change of --base-url: keys of requests name no server.
    """
    from hierarchy.llm import ReplyCache, digest_server

    paths.result.parent.mkdir(parents=True, exist_ok=True)
    cache, server = ReplyCache(paths.replies), digest_server(settings.base_url)
    models = [view.partition(":")[2] for view in _by_server(settings.embed)]
    models += [settings.propose.model] if settings.propose else []
    others = {model: number for model in models if (number := cache.count_from_other_servers(server, model))}
    if others:
        replies = " and ".join(f"{number:,} replies from {model}" for model, number in others.items())
        typer.echo(
            f"{cache.path}: {replies} came from another server and answer equal requests; pass --ask-again to replace"
            " a model's, or another --out",
            err=True,
        )
    return cache


def _write(made: Generated, paths: Paths, tell: progress) -> None:
    """Writes the proposal, the findings and, where every class is settled, the hierarchy, while nobody reviews it."""
    from hierarchy.files import write_text
    from hierarchy.io import save
    from hierarchy.proposal import save_findings, save_proposal

    tell("writing")
    paths.result.parent.mkdir(parents=True, exist_ok=True)
    with _reserved(paths):
        _is_undecided(paths)  # still
        save_proposal(made.proposal, paths.base)
        save_findings(made.findings, paths.findings)
        if made.proposal.unsettled:
            _set_aside(paths.result)  # of an earlier run: it is not what this proposal says
        else:
            save(made.hierarchy, paths.result, provenance=made.proposal.provenance)
            if paths.is_csv:  # which has no place for it
                write_text(paths.provenance, json.dumps(made.proposal.provenance, indent=1) + "\n")


def _set_aside(target: Path) -> None:
    if target.exists():
        kept = target.with_suffix(f".before{target.suffix}")
        target.replace(kept)
        typer.echo(f"{target} of an earlier run is kept as {kept.name}", err=True)


def _summary(made: Generated, paths: Paths, seconds: float, as_json: bool) -> int:
    """Says what was made; the exit code, 1 where classes are unsettled."""
    proposal = made.proposal
    counts = {severity: sum(finding.severity == severity for finding in made.findings) for severity in _SEVERITIES}
    numbers = proposal.settled.sizes if any(proposal.places) else (0, 0, 0)
    sizes = dict(zip(("superclasses", "groups", "classes"), numbers, strict=True))
    target, beside = paths.result, paths.findings
    if as_json:
        files = {"file": None if proposal.unsettled else str(target), "findings_file": str(beside)}
        what = {**sizes, "findings": counts, "unsettled": dict(made.left), "digest": proposal.digest}
        print_json({**files, "proposal_file": str(paths.base), **what, "seconds": round(seconds, 1)})
        return int(bool(proposal.unsettled))
    made_file = paths.base if proposal.unsettled else target
    typer.echo(f"{made_file}: " + ", ".join(f"{n:,} {kind}" for kind, n in sizes.items()))
    typer.echo(f"{beside}: " + ", ".join(f"{number} {severity}s" for severity, number in counts.items()))
    troubles = made.proposal.provenance.get("troubles")
    if troubles:
        kinds = ", ".join(f"{number} {kind}" for kind, number in troubles.items())
        typer.echo(f"troubles with answers, all dealt with or listed: {kinds}", err=True)
    names = dict(zip(proposal.classes.ids, proposal.classes.names, strict=True))
    for id, why in made.left.items():
        typer.echo(f"unsettled: {names[id]!r} ({id}): {why}", err=True)
    if made.left:
        count = "one class is" if len(made.left) == 1 else f"{len(made.left)} classes are"
        typer.echo(f"{count} unsettled; `hierarchy review {target}` places them", err=True)
    return int(bool(proposal.unsettled))


_SEVERITIES = ("error", "warning", "note")


def _default_out(source: str) -> Path:
    try:
        name = (Path(source).stem if Path(source).exists() else source) or "classes"
    except OSError:  # too long for the name of a file; `read_classes` says so
        name = "classes"
    return Path(re.sub(r"[^\w.-]+", "-", name) + ".json")


def _is_not_under_review(paths: Paths) -> None:
    """Refuses to make a proposal anew under somebody who reviews the old one, or under decisions about it."""
    if paths.lock.exists():  # else nobody does, and nothing is touched
        with _reserved(paths):
            pass
    _is_undecided(paths)


def _reserved(paths: Paths) -> AbstractContextManager[None]:
    """Keeps reviewers out while the block runs; raises Locked if one is at work."""
    from hierarchy.review import hold_lock, utc_now

    return hold_lock(paths, "generate", utc_now())


def _is_undecided(paths: Paths) -> None:
    if paths.log.exists():
        copied = (
            f", copy {paths.replies.name!r} to it so that no reply is paid for twice" if paths.replies.exists() else ""
        )
        raise OutputError(
            f"cannot write {str(paths.result)!r}: decisions about it are in {paths.log.name!r}; choose another"
            f" name{copied}, and take them over with `hierarchy review NAME --replay`"
        )


def _can_be_written(target: Path) -> None:
    """Refuses a place for the result before minutes of work are done for it, not after."""
    if target.suffix.lower() not in (".json", ".csv"):
        raise OutputError(f"cannot write {str(target)!r}: the ending is {target.suffix!r}; use .json or .csv")
    try:
        if target.is_dir():
            raise OutputError(f"cannot write {str(target)!r}: it is a folder; name a file")
        above = next(folder for folder in target.absolute().parents if folder.exists())
    except OSError as error:
        reason = os_reason(error)
        raise OutputError(f"cannot write {str(target)!r}: {reason}; choose another name") from None
    if not above.is_dir():
        raise OutputError(f"cannot write {str(target)!r}: {above.name!r} is a file, not a folder; choose another name")
    if not os.access(above, os.W_OK):
        raise OutputError(f"cannot write {str(target)!r}: {str(above)!r} is read-only; choose another folder")


if __name__ == "__main__":
    command = typer.Typer(add_completion=False)
    command.command()(generate_command)
    sys.exit(run(command, "python -m hierarchy.generate"))
