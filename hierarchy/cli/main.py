"""The command `hierarchy`: puts its subcommands together and runs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from hierarchy.cli.console import run
from hierarchy.cli.dataset import dataset_app
from hierarchy.cli.edit import edit_command
from hierarchy.cli.generate import generate_command
from hierarchy.cli.inspect import (
    check_command,
    explain_command,
    labels_command,
    report_command,
    score_command,
    senses_command,
    show_command,
)
from hierarchy.cli.review import review_command

app = typer.Typer(
    add_completion=False, no_args_is_help=True, help="Three-level hierarchies over the classes of a dataset."
)
wordnet_app = typer.Typer(no_args_is_help=True, help="WordNet's data files.")
app.command("generate")(generate_command)
app.command("review")(review_command)
app.command("edit")(edit_command)
app.command("show")(show_command)
app.command("check")(check_command)
app.command("score")(score_command)
app.command("senses")(senses_command)
app.command("labels")(labels_command)
app.command("report")(report_command)
app.command("explain")(explain_command)
app.add_typer(dataset_app, name="dataset")
app.add_typer(wordnet_app, name="wordnet")


@wordnet_app.command("install")
def wordnet_install(
    target: Annotated[Path | None, typer.Option("--dir", help="The nltk_data folder to install into.")] = None,
) -> None:
    """Installs WordNet 3.0: by NLTK's downloader, from the system's copy or from Debian's packages (no root needed)."""
    from hierarchy.wordnet import install_wordnet, open_index

    place = install_wordnet(target, progress=typer.echo)
    open_index(place)  # made now, when the folder is writable, and not by the first command that needs it


def main() -> None:
    """Runs the command `hierarchy`."""
    sys.exit(run(app))


if __name__ == "__main__":
    main()
