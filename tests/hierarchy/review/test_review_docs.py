"""docs/how-to/review.md is up to date: its tables come from the code, its transcript is golden, its commands parse.

`WRITE_GOLDEN=1 pytest tests/hierarchy/review/test_review_docs.py` writes the tables.
"""

import json
import os
import re
import shlex

import pytest
from support import ROOT, TESTS
from support.editing import PETS
from support.reviewing import NOON
from typer.main import get_command

from hierarchy.cli.edit import USAGE
from hierarchy.cli.main import app
from hierarchy.proposal import Move, Proposal
from hierarchy.proposal.file import to_json
from hierarchy.review.log import Decision, log_to_text, parse_log
from hierarchy.review.questions import KINDS
from hierarchy.review.ui.actions import DIGITS, DIGITS_HELP, KEYS

DOCS = ROOT / "docs"
PAGE = DOCS / "how-to" / "review.md"


def keys_table():
    rows = [(DIGITS, "take", DIGITS_HELP), *((key.key, key.label, key.help) for key in KEYS)]
    return "\n".join(
        ["| key | | |", "|---|---|---|", *(f"| `{key}` | {label} | {help} |" for key, label, help in rows)]
    )


def kinds_table():
    return "\n".join(["| kind | |", "|---|---|", *(f"| {kind} | {what} |" for kind, what in KINDS.items())])


@pytest.mark.parametrize(("heading", "table"), [("Keys", keys_table()), ("What is asked", kinds_table())])
def test_the_tables_come_from_the_code(heading, table):
    text = PAGE.read_text(encoding="utf-8")
    block = re.compile(rf"(## {heading}\n\n)(.*?)(\n\n)", re.DOTALL)
    if os.environ.get("WRITE_GOLDEN"):
        text = block.sub(lambda found: found[1] + table + found[3], text)
        PAGE.write_text(text, encoding="utf-8")
    assert block.search(text)[2] == table


def test_the_transcript_is_a_golden_one():
    (shown,) = re.findall(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert shown in (TESTS / "golden" / "dialogue.txt").read_text(encoding="utf-8")


def test_every_flag_and_verb_is_documented():
    text = PAGE.read_text(encoding="utf-8")
    commands = get_command(app).commands
    flags = {flag for name in ("review", "edit") for option in commands[name].params for flag in option.opts}
    assert {flag for flag in flags if flag.startswith("--")} == set(re.findall(r"--[a-z]+", text))
    shown = [line.partition("#")[0].split("X.json ")[1].strip() for line in re.findall(r"hierarchy edit .*", text)]
    assert shown == list(USAGE.values())
    assert commands["edit"].help.count("|") == len(USAGE) - 1 and all(
        use in commands["edit"].help for use in USAGE.values()
    )
    assert shlex.split(text.splitlines()[2]) == ["hierarchy", "review", "X.json"]


def test_the_documented_formats_are_the_written_ones():
    blocks = re.findall(
        r"```json\n(.*?)```", (DOCS / "reference" / "formats.md").read_text(encoding="utf-8"), re.DOTALL
    )
    proposal, log = json.loads(blocks[1]), blocks[2]
    written = json.loads(to_json(Proposal.from_hierarchy(PETS)))["classes"][0]
    assert all([key for key in entry if key != "doubts"] == list(written) for entry in proposal["classes"])
    found = parse_log(log)
    assert log_to_text(found) == log
    move = found.decisions[1]
    assert move == Decision(2, move.time, "Ada", Move("n01751748", "reptiles/snakes"), "n01751748", "fish/eels")
    assert len(move.time) == len(NOON)
