"""`hierarchy generate --propose`: the estimate, the confirmation before money is spent, and the run with its cache."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from hierarchy.cli.console import print_json, show_progress
from hierarchy.english import count
from hierarchy.errors import BudgetReached, Locked
from hierarchy.generate import Generated, Settings, gather_evidence, generate, make_plan, propose_offline
from hierarchy.llm import ChatOptions, Limits, OpenAIChat, Price, ReplyCache, digest_server
from hierarchy.model import trust_definitions
from hierarchy.views import DEFAULT_EMBED

if TYPE_CHECKING:
    from hierarchy.checks import Evidence
    from hierarchy.prompting import Estimate
    from hierarchy.review import Paths


def parse_limits(price: str | None, max_calls: int | None, max_cost: float | None) -> Limits:
    found = re.fullmatch(r"(\d+(?:\.\d+)?):(\d+(?:\.\d+)?)", price) if price is not None else None
    if price is not None and not found:
        raise typer.BadParameter(
            f"--price {price!r} is not INPUT:OUTPUT; give US dollars per million tokens, such as 2:8"
        )
    return Limits(max_calls, max_cost, Price(float(found[1]), float(found[2])) if found else None)


def rehearse(settings: Settings, limits: Limits) -> tuple[Evidence | None, Estimate]:
    """The evidence, and what asking the model will take, estimated with the clustering's answers.

    No server is asked: an embedder on a server is replaced by a free one, and the evidence is then None.
    """
    from hierarchy.prompting import estimate_usage

    free = "+".join(view for view in settings.embed.split("+") if not view.startswith("openai:"))
    rehearsed = replace(settings, embed=free or DEFAULT_EMBED)
    with show_progress() as progress:
        evidence = gather_evidence(rehearsed, progress=progress)
        proposal = propose_offline(settings, evidence, progress=progress)
        progress("rehearsing")
        classes, guessed = trust_definitions(evidence)
        asked, plan = replace(proposal, classes=classes), make_plan(settings, classes)
        expected = estimate_usage(asked, plan, guessed=guessed, price=limits.price)
    return (evidence if rehearsed == settings else None), expected


def show_estimate(expected: Estimate, as_json: bool) -> None:
    if as_json:
        print_json({**expected.to_dict(), "first_prompt": [list(message) for message in expected.first.messages]})
        return
    typer.echo(expected)
    typer.echo(", ".join(f"{calls} {prompt}" for prompt, calls in expected.prompts.items()))
    for role, text in expected.first.messages:
        typer.echo(f"\n[{role}]\n{text}")


def mention_vectors(embed: str) -> None:
    """Names the calls that no estimate includes and no limit covers."""
    if views := served_views(embed):
        typer.echo(f"in addition, and without a limit, vectors are requested from --embed {'+'.join(views)}", err=True)


def confirm(given: bool) -> None:
    """Asks before money is spent, unless a flag agreed or set a limit; a default is not consent to pay."""
    if given:
        return
    if not sys.stdin.isatty():
        raise BudgetReached(
            "refusing to spend money without confirmation (stdin is not a terminal); pass --yes, --max-cost or"
            " --max-calls"
        )
    typer.confirm("Continue?", abort=True, err=True)


def ask_model(settings: Settings, evidence: Evidence | None, paths: Paths, options: ChatOptions) -> Generated:
    """Has the model propose, with its replies in the cache next to the result."""
    cache = open_cache(paths, settings)
    with show_progress() as progress:
        chat = OpenAIChat(cache, options, progress=progress.about)
        try:
            made = generate(settings, paths, chat=chat, evidence=evidence, cache=cache, progress=progress)
        except Locked as error:  # a review began meanwhile
            raise Locked(f"{error}; then run again: all replies are in {cache.path.name!r}") from None
    for name, total in cache.totals().items():
        tokens = total.input_tokens + total.output_tokens
        typer.echo(
            f"{cache.path}: {count(total.replies, 'reply')} from {name}, {count(tokens, 'token')} in all runs", err=True
        )
    return made


def served_views(embed: str) -> list[str]:
    """The views of an embedder that need a server."""
    return [view for view in embed.split("+") if view.startswith("openai:")]


def open_cache(paths: Paths, settings: Settings) -> ReplyCache:
    """The reply cache next to the result.

    Says if it holds replies of another server, as after a change of --base-url: keys of requests name no server.
    """
    paths.result.parent.mkdir(parents=True, exist_ok=True)
    cache, server = ReplyCache(paths.replies), digest_server(settings.base_url)
    models = [view.partition(":")[2] for view in served_views(settings.embed)]
    models += [settings.propose.model] if settings.propose else []
    others = {model: number for model in models if (number := cache.count_from_other_servers(server, model))}
    if others:
        replies = " and ".join(f"{count(number, 'reply')} from {model}" for model, number in others.items())
        typer.echo(
            f"{cache.path}: {replies} came from another server and answer equal requests; pass --ask-again to replace"
            " a model's, or another --out",
            err=True,
        )
    return cache
