"""Asking until it is answered: whatever a model answers, each item gets a value or a reason why not, in bounded calls.

A refused or truncated answer is asked for again in halves, an unreadable one once more with the complaint and then in
halves, a missing item with the others that are missing. All of that together costs no more requests than planned ones,
or SPARE. A request that got no answer was not paid for and is sent again, PATIENCE times in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from hierarchy.llm import Chat, Reply, Request
from hierarchy.prompting.answers import UnreadableAnswer
from hierarchy.prompting.prompts import load_prompt

Value = TypeVar("Value")
SPARE = 8  # requests beyond the planned ones that even a small stage may need
PATIENCE = 3  # times that a request may fail, of its own or with its server, before its items are left


@dataclass(frozen=True)
class Read(Generic[Value]):
    """What could be read of an answer: its value, and the items that it leaves open."""

    value: Value
    missing: tuple[int, ...] = ()
    invented: int = 0  # items that were not asked for
    twice: int = 0  # items with two values, which count as missing


@dataclass(frozen=True)
class Question(Generic[Value]):
    """One request about some items, which can be halved.

    Args:
        items: numbers of what it is about.
        build: items -> request.
        read: (answer, items) -> what it says; raises UnreadableAnswer.
        halves: whether two requests about half the items each are as good.
        complaint: what was wrong with the answer before.
        failures: how often the request got no answer at all.
    """

    items: tuple[int, ...]
    build: Callable[[tuple[int, ...]], Request]
    read: Callable[[str, tuple[int, ...]], Read[Value]]
    halves: bool = True
    complaint: str = ""
    failures: int = 0

    def request(self) -> Request:
        """The request, with the complaint about the last answer behind it."""
        request = self.build(self.items)
        if not self.complaint:
            return request
        note = load_prompt("mend").render(complaint=self.complaint)
        return replace(request, messages=(*request.messages, *note))


@dataclass
class Asked(Generic[Value]):
    """What came of some questions.

    Args:
        answers: (value, items, key of the reply) of each answer that could be read.
        left: item -> why nothing could be had for it.
        troubles: how often each kind of trouble was met: "refusal", "length", "unreadable", "invented", ...
        requests: how many requests were answered.
    """

    answers: list[tuple[Value, tuple[int, ...], str]] = field(default_factory=list)
    left: dict[int, str] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)
    requests: int = 0


def ask(chat: Chat, questions: Iterable[Question[Value]]) -> Asked[Value]:
    """Asks all questions at once, then what is still open, until nothing is or the spare requests are used up."""
    result: Asked[Value] = Asked()
    pending = list(questions)
    spare = max(SPARE, len(pending))
    while pending:
        requests = [question.request() for question in pending]
        follow: list[tuple[Question[Value], str]] = []
        failed: list[Question[Value]] = []
        for question, request, reply in zip(pending, requests, chat(requests), strict=True):
            if reply.finish == "failed":
                if question.failures + 1 < PATIENCE:
                    failed.append(replace(question, failures=question.failures + 1))
                else:
                    result.left |= dict.fromkeys(question.items, f"the server failed: {reply.text}")
            else:
                result.requests += 1
                follow += _follow(question, request, reply, result)
        for question, why in follow[spare:]:
            result.left |= dict.fromkeys(question.items, why)
        pending = [*failed, *(question for question, _ in follow[:spare])]
        spare -= len(follow[:spare])
    return result


def _follow(
    question: Question[Value], request: Request, reply: Reply, result: Asked[Value]
) -> list[tuple[Question[Value], str]]:
    """Keeps what a reply gives; returns what has to be asked next, each with what was the matter."""
    if reply.finish != "stop":
        result.troubles[reply.finish] += 1
        why = {"length": "cut off", "refusal": "refused", "filter": "filtered"}[reply.finish]
        return _smaller(question, f"the answer was {why}", result)
    try:
        found = question.read(reply.text, question.items)
    except UnreadableAnswer as error:
        result.troubles["unreadable"] += 1
        return _mended(question, str(error), result)
    result.troubles.update({"invented": found.invented, "twice": found.twice})
    if found.missing and len(found.missing) == len(question.items):
        result.troubles["unreadable"] += 1
        return _mended(question, "it answered nothing that was asked", result)
    result.answers.append((found.value, question.items, request.key))
    if not found.missing:
        return []
    result.troubles["missing"] += len(found.missing) - found.twice
    return [(replace(question, items=found.missing, complaint="", failures=0), "left out of every answer")]


def _mended(question: Question[Value], why: str, result: Asked[Value]) -> list[tuple[Question[Value], str]]:
    """The question with a complaint or, where it had one, in halves."""
    if not question.complaint:
        return [(replace(question, complaint=why), f"no usable answer: {why}")]
    return _smaller(question, f"no usable answer: {why}", result)


def _smaller(question: Question[Value], why: str, result: Asked[Value]) -> list[tuple[Question[Value], str]]:
    """The question in halves; what cannot be halved, once more with the complaint; then it is left, with the reason."""
    if len(question.items) < 2 or not question.halves:
        if not question.complaint:
            return [(replace(question, complaint=why), why)]
        result.left |= dict.fromkeys(question.items, why)
        return []
    middle = len(question.items) // 2
    parts: Sequence[tuple[int, ...]] = (question.items[:middle], question.items[middle:])
    return [(replace(question, items=part, complaint="", failures=0), why) for part in parts]
