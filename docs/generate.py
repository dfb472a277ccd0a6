"""A hook of mkdocs: pages made from the project itself, so that they cannot go stale.

- reference/cli.md: the `--help` of every command;
- decisions/index.md: the decision records by title;
- explanation/results.md: benchmarks/RESULTS.md. Pages link to that file, so their links work in the repository too.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
LIST = re.compile(r"^ *│ (\w[\w-]*) ", re.MULTILINE)  # a row of a help's table of commands


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the generated pages."""
    pages = {
        "reference/cli.md": commands(),
        "decisions/index.md": decisions(),
        "explanation/results.md": (ROOT / "benchmarks" / "RESULTS.md")
        .read_text(encoding="utf-8")
        .replace("](../docs/", "](../"),
    }
    for path, text in pages.items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links to the file of results and to the folder of decisions, which work in the repository, to pages."""
    up = "../" * page.file.src_uri.count("/")
    markdown = markdown.replace("](decisions)", "](decisions/index.md)")
    return markdown.replace(f"](../{up}benchmarks/RESULTS.md", f"]({up}explanation/results.md")


def commands() -> str:
    """The help of both commands and of everything below them."""
    parts = ["# Commands\n"]
    for package in ("hierarchy", "timm_nhl"):
        for words, text in helps(package):
            parts.append(f"{'#' * min(len(words) + 1, 3)} {' '.join(words)}\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(parts)


def helps(package: str, *below: str) -> Iterator[tuple[list[str], str]]:
    """Words of a command and its help, the commands below it after it."""
    shown = [package.replace("_", "-"), *below]
    text = subprocess.run(
        [sys.executable, "-m", package, *below, "--help"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={"COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1", "PATH": ""},
    ).stdout
    yield shown, text.replace(f"python -m {package}", shown[0])
    _, _, table = text.partition("─ Commands ─")
    for name in LIST.findall(table):
        yield from helps(package, *below, name)


def decisions() -> str:
    """The decision records, a line each."""
    lines = ["# Decisions\n", "What was argued about, with the alternative that lost.\n"]
    for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{title}]({path.name})")
    return "\n".join(lines) + "\n"
