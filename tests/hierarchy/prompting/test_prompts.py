"""Prompts are strict files: what is declared is used, what is used is declared, and the table in prompts/ is theirs."""

import json
import re

import pytest

from hierarchy.io import folder
from hierarchy.prompting.answers import SCHEMAS, UnreadableAnswer, read_answer
from hierarchy.prompting.prompts import list_prompts, load_prompt, parse_prompt

GOOD = "when: now\nreply: that of the request\nvariables: a, b\n---\nSay {{a}}.\n---\nAbout {{b}}: {{a}}\n"


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


@pytest.mark.parametrize("name", [name for name in list_prompts() if name != "mend"])
def test_every_prompt_shows_the_shape_of_its_answer_as_the_schema_has_it(name):
    """The shape is JSON with words in the place of values; those of the schema, in its order."""
    prompt = load_prompt(name)
    kind = SCHEMAS[prompt.reply]
    values = dict.fromkeys(set(prompt.variables) - {"answer"}, "x")
    ((_, _), (_, user)) = prompt.render(**values)
    shape = user.rpartition("Answer with JSON of this shape, and nothing else:\n")[2]
    filled = re.sub(r", \.\.\.", "", re.sub(r"(?<!\")<[^>]+>", "1", shape))
    content = json.loads(filled)
    assert list(content) == list(kind.model_fields) and kind.model_validate(content, strict=True)
    with pytest.raises(UnreadableAnswer):  # a model that repeats its prompt has not answered
        read_answer(user, kind)


def test_the_table_in_the_readme_is_that_of_the_files():
    lines = ["| file | sent | variables | reply |", "|---|---|---|---|"]
    for prompt in map(load_prompt, list_prompts()):
        variables = ", ".join(f"`{name}`" for name in prompt.variables)
        reply = f"`{prompt.reply}`" if prompt.reply in SCHEMAS else prompt.reply
        lines.append(f"| `{prompt.name}.md` | {prompt.when} | {variables} | {reply} |")
    assert "\n".join(lines) in (folder("prompts") / "README.md").read_text(encoding="utf-8")
