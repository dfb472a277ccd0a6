"""Prompts are strict files: what is declared is used, what is missing is named, and the table in prompts/ is theirs."""

import pytest

from hierarchy.errors import PromptError
from hierarchy.io import folder
from hierarchy.prompting.answers import SCHEMAS
from hierarchy.prompting.prompts import list_prompts, load_prompt, parse_prompt

GOOD = "when: now\nreply: Names\nvariables: a, b\n---\nSay {{a}}.\n---\nAbout {{b}}: {{a}}\n"


def test_a_prompt_renders_both_texts():
    assert parse_prompt("p", GOOD).render(a="yes", b="no") == (("system", "Say yes."), ("user", "About no: yes"))


def test_values_are_never_read_as_variables():
    assert parse_prompt("p", GOOD).render(a="{{b}}", b="{{a}}")[1] == ("user", "About {{a}}: {{b}}")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"a": "x"}, "prompt 'p': variable 'b' is missing; give it a value"),
        ({}, "prompt 'p': variable 'a' is missing; give it a value; variable 'b' is missing; give it a value"),
        ({"a": "x", "b": "y", "aa": "z"}, "prompt 'p': unknown variable 'aa'; nearest: 'a'"),
    ],
)
def test_a_missing_or_unknown_variable_is_named(values, message):
    with pytest.raises(PromptError) as caught:
        parse_prompt("p", GOOD).render(**values)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (GOOD.replace("---\n", "", 1), "prompt 'p': expected 3 parts (head, system, user) between lines of ---, got 2"),
        (
            GOOD.replace("when: now\n", ""),
            "prompt 'p': expected the fields when, reply, variables, got reply, variables",
        ),
        (GOOD.replace("a, b", "a, b, c"), "prompt 'p': variable 'c' is declared but not used"),
        (GOOD.replace("a, b", "a"), "prompt 'p': variable 'b' is used but not declared"),
    ],
)
def test_a_malformed_file_is_refused(text, message):
    with pytest.raises(PromptError) as caught:
        parse_prompt("p", text)
    assert str(caught.value) == message


def test_an_unknown_prompt_is_refused_with_the_nearest():
    with pytest.raises(
        PromptError, match=r"unknown prompt 'asign'; nearest: 'assign'.*; choose from again, assign, groups"
    ):
        load_prompt("asign")


def test_the_digest_changes_with_the_text():
    digests = {parse_prompt("p", text).digest for text in (GOOD, GOOD.replace("Say", "Tell"), GOOD.replace("now", "x"))}
    assert len(digests) == 3


@pytest.mark.parametrize("name", list_prompts())
def test_every_prompt_names_a_schema_that_exists(name):
    assert load_prompt(name).reply in {*SCHEMAS, "that of the request"}


def test_the_table_in_the_readme_is_that_of_the_files():
    lines = ["| file | sent | variables | reply |", "|---|---|---|---|"]
    for prompt in map(load_prompt, list_prompts()):
        variables = ", ".join(f"`{name}`" for name in prompt.variables)
        reply = f"`{prompt.reply}`" if prompt.reply in SCHEMAS else prompt.reply
        lines.append(f"| `{prompt.name}.md` | {prompt.when} | {variables} | {reply} |")
    assert "\n".join(lines) in (folder("prompts") / "README.md").read_text(encoding="utf-8")
