"""The flags of `hierarchy generate`, in the panels of its help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SHAPE, MODEL, SPENDING = "Shape", "Language model", "Spending"  # panels of the help
Source = Annotated[str, typer.Argument(help="imagenet-1k, a .txt/.csv/.tsv file, an image folder, a data set, ...")]
Out = Annotated[Path | None, typer.Option(help="File to write, .json or .csv; <source>.json by default.")]
Embed = Annotated[
    str, typer.Option(help="tfidf, wordnet, sentence-transformers:M, openai:M, timm:M; joined by + to combine.")
]
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
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Show the estimate and spend nothing.", rich_help_panel=SPENDING)
]
Yes = Annotated[bool, typer.Option("--yes", help="Spend without asking.", rich_help_panel=SPENDING)]

OF_A_MODEL: tuple[str, ...] = (
    "model",
    "votes",
    "temperature",
    "reply_tokens",
    "price",
    "max_calls",
    "max_cost",
    "concurrency",
)
OF_A_MODEL += ("ask_again", "dry_run", "yes")
