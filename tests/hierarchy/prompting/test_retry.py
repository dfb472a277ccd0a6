"""Asking: every item gets a value or a reason, in bounded calls, whatever is answered; answers are read strictly."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hierarchy.llm import Reply, Request
from hierarchy.prompting.answers import Groups, Placements, Superclasses, UnreadableAnswer, read_answer
from hierarchy.prompting.retry import PATIENCE, SPARE, Question, Reading, ask

GOOD = '{"placements": [{"id": 3, "node": 1}]}'


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"Sure! Here it is:\n```json\n{GOOD}\n```\nAnything else?",
        f"  {GOOD}  ",
        GOOD.replace(" ", "\n"),
        f"<think>Is it {GOOD.replace('1', '2')}? No.</think>\n{GOOD}",
        f"Is it {GOOD.replace('1', '2')}? No.</think>{GOOD}",  # the template had begun to think
        f"At first I thought {GOOD.replace('1', '2')}, {{but}} it is {GOOD}",
        '[{"id": 3, "node": 1}]',
        '{"Placements": {"placements": [{"id": 3, "node": 1}]}}',
        '{"thoughts": "easy", "answer": [{"id": 3, "node": 1}]}',
        '{"placements": [{"id": "3", "node": 1.0, "why": "it swims"}], "notes": null}',
        '{"placements": [{"id": "3. carp", "node": "#1"}]}',
        '{"placements": {"3": 1}}',
        '{"placements": {"id": 3, "node": 1}}',
        '{"placements": [{"id": 3, "node": 1}, {"id": 4}, {"id": "carp", "node": 1}, null, {"id": true, "node": 1}]}',
    ],
)
def test_an_answer_is_read_whatever_is_around_it(text):
    assert [(entry.id, entry.node) for entry in read_answer(text, Placements).placements] == [(3, 1)]


def test_a_list_alone_is_the_first_list_and_a_missing_one_is_empty():
    read = read_answer('[{"name": "carps", "ids": [3, "4", 5.0, "6. cod", "trout", null]}]', Groups)
    assert read.groups[0].ids == [3, 4, 5, 6] and read.misfits == []


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("", Placements, "it held no JSON"),
        ("I put 3 into 1.", Placements, "it held no JSON"),
        (f"<think>{GOOD}", Placements, "it held no JSON"),
        ("[1, 2]", Placements, "at placements.0: input should be a valid dictionary"),
        (GOOD[:-3], Placements, "it was not valid JSON (expecting ',' delimiter)"),
        ('{"a": ' * 100_000, Placements, "it was not valid JSON (a number too long, or nested"),
        ("{[" * 500_000, Placements, "it was not valid JSON ("),
        ('{"a": ' + "1" * 10_000 + "}", Placements, "it was not valid JSON (a number too long, or nested"),
        ('{"placements": [{"id": "x", "node": 1}]}', Placements, "at placements.0.id: input should be a valid integer"),
        ('{"placements": [{"id": 3.5, "node": 1}]}', Placements, "at placements.0.id: input should be a valid integer"),
        ('{"placements": [{"id": 1e999, "node": 1}]}', Placements, "at placements.0.id: input should be a finite"),
        ('{"placements": [{"id": 3}]}', Placements, "at placements.0.node: field required"),
        ("{}", Groups, "it had no list 'groups'"),
        ('{"superclasses": 3}', Superclasses, "at superclasses: a list is wanted"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_reason(text, kind, message):
    with pytest.raises(UnreadableAnswer) as caught:
        read_answer(text, kind)
    assert str(caught.value).startswith(message)


def test_a_megabyte_and_ten_thousand_ids_are_read_in_a_moment():
    placements = [{"id": number, "node": 1} for number in range(10_000)]
    text = "{" * 900 + "so " * 300_000 + json.dumps({"placements": placements}, indent=4)
    started = time.monotonic()
    assert len(read_answer(text, Placements).placements) == 10_000
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("kind", [Groups, Placements, Superclasses])
def test_schemas_are_as_strict_outputs_want_them(kind):
    """All fields required, no further ones, the root an object (OpenAI's subset of JSON Schema)."""

    def objects(node):
        if isinstance(node, dict):
            yield from [node] if node.get("type") == "object" else []
            yield from (found for value in node.values() for found in objects(value))

    content = kind.model_json_schema()
    found = list(objects(content))
    assert content["type"] == "object" and found
    for each in found:
        assert each["additionalProperties"] is False and each["required"] == list(each["properties"])


def question(items, least=1):
    """Asks for the double of each number."""

    def build(numbers):
        return Request("double", (("user", json.dumps(numbers)),), {"title": "Doubles"}, "m", about=numbers)

    def read(text, numbers):
        try:
            said = {int(number): value for number, value in json.loads(text).items()}
        except ValueError:
            raise UnreadableAnswer("it was not valid JSON") from None
        kept = {number: said[number] for number in numbers if number in said}
        return Reading(kept, tuple(number for number in numbers if number not in kept), len(set(said) - set(numbers)))

    return Question(tuple(items), build, read, least)


def doubled(numbers):
    return json.dumps({number: 2 * number for number in numbers})


class Scripted:
    """A chat that answers as a function says, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer, self.requests = answer, []

    def __call__(self, requests):
        self.requests += requests
        return [self.answer(request) for request in requests]


def values(asked):
    return {number: value for answer in asked.found for number, value in answer.value.items()}


def test_answers_are_kept_with_the_key_of_their_reply():
    chat = Scripted(lambda request: Reply(doubled(request.about)))
    asked = ask(chat, [question((1, 2)), question((3,))])
    assert values(asked) == {1: 2, 2: 4, 3: 6} and not asked.left and asked.requests == 2
    assert [answer.key for answer in asked.found] == [request.key for request in chat.requests]


@pytest.mark.parametrize(("finish", "why"), [("length", "cut off"), ("refusal", "refused"), ("filter", "filtered")])
def test_one_bad_item_is_found_by_halves_and_left_with_its_reason(finish, why):
    chat = Scripted(lambda r: Reply("", finish) if 7 in r.about else Reply(doubled(r.about)))
    asked = ask(chat, [question(range(1, 9))])
    assert values(asked) == {number: 2 * number for number in range(1, 9) if number != 7}
    assert asked.left == {7: f"the answer was {why}"}
    assert asked.requests == 8 and asked.troubles[finish] == 5  # 8, 4 4, 2 2, 1 1, 1 with a complaint


def test_an_unreadable_answer_is_asked_again_with_the_complaint_and_then_in_halves():
    chat = Scripted(lambda r: Reply("prose") if len(r.about) > 1 else Reply(doubled(r.about)))
    asked = ask(chat, [question((1, 2))])
    assert values(asked) == {1: 2, 2: 4}
    assert [len(request.about) for request in chat.requests] == [2, 2, 1, 1]
    assert "it was not valid JSON. Answer again" in chat.requests[1].messages[-1][1]
    assert len({request.key for request in chat.requests}) == 4


def test_only_missing_items_are_asked_again():
    chat = Scripted(lambda r: Reply(doubled(r.about[:-1] or r.about)))
    asked = ask(chat, [question((1, 2, 3))])
    assert [request.about for request in chat.requests] == [(1, 2, 3), (3,)]
    assert values(asked) == {1: 2, 2: 4, 3: 6} and asked.troubles["missing"] == 1


def test_an_item_that_cannot_be_halved_is_left_after_one_complaint():
    asked = ask(Scripted(lambda r: Reply("prose")), [question((1, 2), least=2)])
    assert asked.left == dict.fromkeys((1, 2), "no usable answer: it was not valid JSON") and asked.requests == 2


def test_a_failed_request_is_sent_again():
    replies = iter([Reply("timed out", "failed"), Reply(doubled((1,)))])
    chat = Scripted(lambda r: next(replies))
    asked = ask(chat, [question((1,))])
    assert values(asked) == {1: 2} and chat.requests[0].key == chat.requests[1].key


@pytest.mark.parametrize("reply", [Reply("{}"), Reply('{"-5": 1}'), Reply("", "refusal")])
def test_a_server_that_never_answers_costs_a_bounded_number_of_calls(reply):
    questions = [question(range(start, start + 100)) for start in range(0, 2000, 100)]
    chat = Scripted(lambda r: reply)
    asked = ask(chat, questions)
    assert asked.requests == len(chat.requests) == 20 + max(SPARE, 20)
    assert sorted(asked.left) == list(range(2000)) and all(asked.left.values())


def test_a_request_that_always_fails_is_sent_three_times_and_uses_up_no_spare_one():
    chat = Scripted(lambda r: Reply("off", "failed") if 7 in r.about else Reply(doubled(r.about[1:] or r.about)))
    asked = ask(chat, [question((7, 8)), *(question((n, n + 1)) for n in range(10, 30, 2))])
    assert asked.left == dict.fromkeys((7, 8), "the server failed: off")
    assert sum(7 in request.about for request in chat.requests) == PATIENCE
    assert set(values(asked)) == set(range(10, 30)) and not asked.troubles["failed"]


@given(st.data())
def test_every_item_has_a_value_or_a_reason_for_any_answer(data):
    sizes = data.draw(st.lists(st.integers(1, 9), min_size=1, max_size=5))
    starts = [100 * place for place in range(len(sizes))]
    items = [tuple(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]

    def answer(request):
        kind = data.draw(st.sampled_from(["good", "part", "wrong", "length", "refusal", "filter", "failed", "prose"]))
        if kind == "part":
            return Reply(doubled(data.draw(st.lists(st.sampled_from(request.about), unique=True))))
        texts = {"good": doubled(request.about), "wrong": '{"-1": 0}', "prose": "well"}
        return Reply(texts.get(kind, ""), kind if kind in ("length", "refusal", "filter", "failed") else "stop")

    chat = Scripted(answer)
    asked = ask(chat, [question(part) for part in items])
    everything = {number for part in items for number in part}
    assert set(values(asked)) | set(asked.left) == everything
    assert all(value == 2 * number for number, value in values(asked).items())
    assert asked.requests <= len(items) + max(SPARE, len(items))
    assert len(chat.requests) <= PATIENCE * (len(items) + max(SPARE, len(items)))
