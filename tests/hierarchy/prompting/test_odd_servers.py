"""Servers that do not do as they are asked, over real HTTP: each ends with the whole tree."""

from __future__ import annotations

import json
import re

import pytest
from support.asking import chat_with
from support.brain import Brain
from support.openai_server import Server, script

import hierarchy
from hierarchy.errors import ChatError
from hierarchy.llm import ReplyCache, count_tokens
from hierarchy.prompting import Plan, propose
from hierarchy.sources import ClassList

CIFAR = hierarchy.load("cifar100")
TREE = CIFAR.subset(*CIFAR.nodes(1)[:4])
CLASSES = ClassList(TREE.classes, TREE.names, ("",) * len(TREE), "twenty classes and one")
PLAN = Plan("m", *TREE.sizes[:2], 1, part=7)


@pytest.fixture
def cache(tmp_path):
    with ReplyCache(tmp_path / "x.sqlite") as cache:
        yield cache


class Odd(Brain):
    """Answers rightly, in a form of its own."""

    def __init__(self, form):
        super().__init__(TREE)
        self.form = form

    def __call__(self, messages, schema):
        if len(messages) == 1:  # without a system text, the rules come first
            messages = [
                dict(zip(("role", "content"), ("user", part), strict=True)) for part in self.halves(messages[0])
            ]
        return self.form(json.loads(super().__call__(messages, schema)))

    def halves(self, message):
        start = re.search(r"^The data set is ", message["content"], re.MULTILINE).start()
        return message["content"][:start], message["content"][start:]


def strings(value):
    """All numbers as strings."""
    if isinstance(value, dict):
        return {key: strings(part) for key, part in value.items()}
    if isinstance(value, list):
        return [strings(part) for part in value]
    return str(value)


def first_list(content):
    return next(iter(content.values()))


def each_item(content, change):
    return {key: [change(item) for item in items] for key, items in content.items()}


def with_strangers(content):
    """Where the first class is placed, ten thousand others are, too."""
    placements = content.get("placements", [])
    if not any(placement["id"] == 1 for placement in placements):
        return content
    return {"placements": placements + [{"id": number, "node": 1} for number in range(1000, 11_000)]}


def cut_names(value):
    """Control characters in names, written as they are."""
    return json.dumps(value, indent=4).replace('"name": "', '"name": "\n\t ')


THOUGHTS = "Hmm, is it {3, 4} or [5]? A dog looks like a wolf. " * 100
FORMS = {
    "prose and a fence": lambda content: f"Sure! {{}}\n```json\n{json.dumps(content, indent=4)}\n```\nAnything else?",
    "thoughts": lambda content: f"<think>{THOUGHTS}{json.dumps(content)[:-9]}</think>\n{json.dumps(content)}",
    "thoughts without a mark": lambda content: f"{THOUGHTS}So:\n{json.dumps(content)}",
    "strings": lambda content: json.dumps(strings(content)),
    "numbers with a point": lambda content: re.sub(r"(\d+)([,}\]])", r"\1.0\2", json.dumps(content)),
    "a list alone": lambda content: json.dumps(first_list(content)),
    "wrapped in an object": lambda content: json.dumps({"why": "looks", "answer": content}),
    "further keys": lambda content: json.dumps({"note": None} | each_item(content, lambda item: {**item, "why": ""})),
    "control characters": cut_names,
    "a megabyte of text": lambda content: "x" * 1_000_000 * ("meanings" in content) + json.dumps(content),
    "ten thousand more ids": lambda content: json.dumps(with_strangers(content)),
}


@pytest.mark.parametrize("form", FORMS)
def test_an_answer_in_another_form_is_read_without_asking_again(cache, form):
    with Server(Odd(FORMS[form]), refuses=("json_schema",) * (form == "thoughts")) as server:
        made = propose(CLASSES, chat_with(server, cache), PLAN)
        bodies = server.bodies
    assert made.proposal.hierarchy() == TREE and set(made.troubles) <= {"invented"}
    assert made.requests == len(bodies) == cache.count()


def test_an_answer_that_thinks_aloud_has_room_in_max_tokens(cache):
    """An indented answer after 1,500 tokens of thoughts is not cut off."""
    longest = 0

    def form(content):
        nonlocal longest
        text = f"<think>{THOUGHTS}</think>\n{json.dumps(content, indent=4)}"
        longest = max(longest, count_tokens(text))
        return text

    with Server(Odd(form)) as server:
        propose(CLASSES, chat_with(server, cache), PLAN)
        assert 1_500 < longest < min(body["max_tokens"] for body in server.bodies)


class Vain(Odd):
    """The first answer to each question is unreadable, so that a complaint follows."""

    def __init__(self):
        super().__init__(json.dumps)
        self.asked = set()

    def __call__(self, messages, schema):
        *before, last = messages
        question = last["content"].split("\n\nAn earlier answer")[0]
        if question not in self.asked:
            self.asked.add(question)
            return "I would rather not say."
        return super().__call__([*before, {**last, "content": question}], schema)


@pytest.mark.parametrize("refused", ["user turns", "system"])
def test_a_template_without_two_user_turns_or_a_system_text_is_served(cache, refused):
    with Server(Vain(), refuses=(refused,)) as server:
        made = propose(CLASSES, chat_with(server, cache), PLAN)
    assert made.proposal.hierarchy() == TREE and made.troubles == {"unreadable": made.requests // 2}


def test_an_unreadable_answer_loosens_the_form_and_is_asked_for_again_by_the_next_run(cache):
    class Deaf(Odd):
        """A server whose grammar spoils what it answers to a schema."""

        def __call__(self, messages, schema):
            return super().__call__(messages, None) if schema is None else '{"placements": "'

    with Server(Deaf(json.dumps)) as server:
        made = propose(CLASSES, chat_with(server, cache, concurrency=1), PLAN)
        forms = [body.get("response_format", {}).get("type") for body in server.bodies]
        assert made.proposal.hierarchy() == TREE
        assert forms[0] == "json_schema" and set(forms[3:]) == {"json_object"}  # what the first round asked, once
        first = len(server.bodies)
        server.brain = Odd(json.dumps)
        again = propose(CLASSES, chat_with(server, cache), PLAN)
        assert again.proposal.hierarchy() == TREE and not again.troubles
        assert len(server.bodies) - first == made.troubles["unreadable"]
    assert cache.count() == len(server.bodies)  # what could not be used is counted, too


def test_an_error_of_an_earlier_run_is_not_replayed(cache):
    with Server(lambda messages, schema: "No.") as server:
        with pytest.raises(ChatError, match="proposed no superclasses"):
            propose(CLASSES, chat_with(server, cache), PLAN)
        server.brain = Brain(TREE)
        assert propose(CLASSES, chat_with(server, cache), PLAN).proposal.hierarchy() == TREE


def test_a_stream_that_stops_is_asked_for_again(cache):
    with Server(Brain(TREE), faults=script("stream")) as server:
        made = propose(CLASSES, chat_with(server, cache), PLAN)
    assert made.proposal.hierarchy() == TREE
