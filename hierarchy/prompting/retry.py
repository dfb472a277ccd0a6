"""Asks until every item has a value or a reason why not, in a bounded number of calls, whatever a model answers.

A refused or truncated answer is asked for again in halves; an unreadable one once more with the complaint, then in
halves; a missing item together with the others that are missing. An answer that breaks a rule and can be used all the
same is complained about once, and then used. All of that costs no more requests than planned
ones, or SPARE. A request without an answer was not paid for and is sent again, PATIENCE times in all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from hierarchy.llm import Chat, Reply, Request, reject
from hierarchy.prompting.answers import UnreadableAnswer
from hierarchy.prompting.prompts import load_prompt

Value = TypeVar("Value")
SPARE = 8  # requests beyond the planned ones that even a small stage may need
PATIENCE = 3  # times that a request may fail, for whatever reason, before its items are given up


@dataclass(frozen=True)
class Reading(Generic[Value]):
    """What an answer says: its value, and the items that it leaves open."""

    value: Value
    missing: tuple[int, ...] = ()
    invented: int = 0  # items that were not asked for
    twice: int = 0  # items with two values, which count as missing
    fault: str = ""  # a rule that it breaks, although it can be used


@dataclass(frozen=True)
class Question(Generic[Value]):
    """One request about some items, which can be halved.

    Args:
        items: numbers of what it is about.
        build: items -> request.
        read: (answer, items) -> what it says; raises UnreadableAnswer.
        least: the fewest items that a request can be about; two requests about half the items each serve as well.
        complaint: what was wrong with the previous answer.
        failures: how often the request got no answer at all.
    """

    items: tuple[int, ...]
    build: Callable[[tuple[int, ...]], Request]
    read: Callable[[str, tuple[int, ...]], Reading[Value]]
    least: int = 1
    complaint: str = ""
    failures: int = 0

    def request(self) -> Request:
        """The request, which ends with the complaint about the previous answer: two user turns are refused by some."""
        request = self.build(self.items)
        if not self.complaint:
            return request
        ((_, note),) = load_prompt("mend").render(complaint=self.complaint)
        *before, (role, text) = request.messages
        return replace(request, messages=(*before, (role, f"{text}\n\n{note}")))


@dataclass(frozen=True)
class Answer(Generic[Value]):
    """The value of one answer, and the key of its reply."""

    value: Value
    key: str


@dataclass(frozen=True)
class Answers(Generic[Value]):
    """What came of some questions.

    Args:
        found: each answer that could be read.
        left: item -> why no answer about it was of use.
        troubles: how often each kind of trouble occurred: "refusal", "length", "unreadable", "invented", ...
        requests: how many requests were answered.
    """

    found: tuple[Answer[Value], ...] = ()
    left: Mapping[int, str] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)
    requests: int = 0


@dataclass(frozen=True)
class _Outcome(Generic[Value]):
    """What one reply gives: an answer, the next questions with what was the matter, or items that are given up.

    `usable` says whether the reply is worth keeping for another run.
    """

    found: tuple[Answer[Value], ...] = ()
    next: tuple[tuple[Question[Value], str], ...] = ()
    left: Mapping[int, str] = field(default_factory=dict)
    troubles: Counter[str] = field(default_factory=Counter)
    usable: bool = True


def ask(chat: Chat, questions: Iterable[Question[Value]]) -> Answers[Value]:
    """Asks all questions at once, then what is still open, until nothing is or the spare requests are used up."""
    found: list[Answer[Value]] = []
    left: dict[int, str] = {}
    troubles: Counter[str] = Counter()
    pending, answered = list(questions), 0
    spare = max(SPARE, len(pending))
    while pending:
        requests = [question.request() for question in pending]
        next: list[tuple[Question[Value], str]] = []
        failed: list[Question[Value]] = []
        for question, request, reply in zip(pending, requests, chat(requests), strict=True):
            if reply.finish != "failed":
                answered += 1
                outcome = _read(question, request, reply)
                if not outcome.usable:
                    reject(chat, request)
                found += outcome.found
                next += outcome.next
                left |= outcome.left
                troubles += outcome.troubles
            elif question.failures + 1 < PATIENCE:
                failed.append(replace(question, failures=question.failures + 1))
            else:
                left |= dict.fromkeys(question.items, f"the server failed: {reply.text}")
        for question, why in next[spare:]:
            left |= dict.fromkeys(question.items, why)
        pending = [*failed, *(question for question, _ in next[:spare])]
        spare -= len(next[:spare])
    return Answers(tuple(found), left, troubles, answered)


def _read(question: Question[Value], request: Request, reply: Reply) -> _Outcome[Value]:
    """What a reply gives."""
    if reply.finish != "stop":
        why = {"length": "cut off", "refusal": "refused", "filter": "filtered"}[reply.finish]
        return _halve(question, f"the answer was {why}", Counter([reply.finish]))
    try:
        read = question.read(reply.text, question.items)
    except UnreadableAnswer as error:
        return _complain(question, str(error), Counter(["unreadable"]))
    troubles = Counter({"invented": read.invented, "twice": read.twice})
    if read.missing and len(read.missing) == len(question.items):
        return _complain(question, "it answered nothing that was asked", troubles + Counter(["unreadable"]))
    if read.fault and not question.complaint:
        again = replace(question, complaint=read.fault)
        return _Outcome(next=((again, f"no usable answer: {read.fault}"),), troubles=Counter(["faulty"]))
    troubles["missing"] = len(read.missing) - read.twice if read.missing else 0
    rest = replace(question, items=read.missing, complaint="", failures=0)
    return _Outcome(
        found=(Answer(read.value, request.key),),
        next=((rest, "left out of every answer"),) if read.missing else (),
        troubles=+troubles,
    )


def _complain(question: Question[Value], why: str, troubles: Counter[str]) -> _Outcome[Value]:
    """The question with a complaint or, if it had one, in halves."""
    reason = f"no usable answer: {why}"
    if not question.complaint:
        return _Outcome(next=((replace(question, complaint=why), reason),), troubles=troubles, usable=False)
    return replace(_halve(question, reason, troubles), usable=False)


def _halve(question: Question[Value], why: str, troubles: Counter[str]) -> _Outcome[Value]:
    """The question in halves; what cannot be halved, once more with the complaint; then its items are given up."""
    if len(question.items) < 2 * question.least:
        if not question.complaint:
            return _Outcome(next=((replace(question, complaint=why), why),), troubles=troubles)
        return _Outcome(left=dict.fromkeys(question.items, why), troubles=troubles)
    middle = len(question.items) // 2
    parts: Sequence[tuple[int, ...]] = (question.items[:middle], question.items[middle:])
    halves = tuple((replace(question, items=part, complaint="", failures=0), why) for part in parts)
    return _Outcome(next=halves, troubles=troubles)
