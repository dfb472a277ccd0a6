"""Prompts are strict files: what is declared is used, what is used is declared, and the table in prompts/ is theirs."""

import re

import pytest

from hierarchy.io import folder
from hierarchy.prompting.answers import SCHEMAS
from hierarchy.prompting.prompts import list_prompts, load_prompt, parse_prompt

GOOD = "when: now\nreply: Names\nvariables: a, b\n---\nSay {{a}}.\n---\nAbout {{b}}: {{a}}\n"


def test_a_prompt_renders_both_texts_and_never_reads_a_value_as_a_variable():
    prompt = parse_prompt("p", GOOD)
    assert prompt.render(a="yes", b="no") == (("system", "Say yes."), ("user", "About no: yes"))
    assert prompt.render(a="{{b}}", b="{{a}}")[1] == ("user", "About {{a}}: {{b}}")
    for values in ({"a": "x"}, {"a": "x", "b": "y", "c": "z"}):
        with pytest.raises(AssertionError):
            prompt.render(**values)


def test_the_digest_changes_with_the_text():
    digests = {parse_prompt("p", text).digest for text in (GOOD, GOOD.replace("Say", "Tell"), GOOD.replace("now", "x"))}
    assert len(digests) == 3


@pytest.mark.parametrize("name", list_prompts())
def test_every_prompt_declares_its_variables_and_names_a_schema_that_exists(name):
    prompt = load_prompt(name)
    assert prompt.reply in {*SCHEMAS, "that of the request"}
    assert set(re.findall(r"{{(\w+)}}", prompt.system + prompt.user)) == set(prompt.variables)


def test_the_table_in_the_readme_is_that_of_the_files():
    lines = ["| file | sent | variables | reply |", "|---|---|---|---|"]
    for prompt in map(load_prompt, list_prompts()):
        variables = ", ".join(f"`{name}`" for name in prompt.variables)
        reply = f"`{prompt.reply}`" if prompt.reply in SCHEMAS else prompt.reply
        lines.append(f"| `{prompt.name}.md` | {prompt.when} | {variables} | {reply} |")
    assert "\n".join(lines) in (folder("prompts") / "README.md").read_text(encoding="utf-8")
