"""The estimate is the pipeline, rehearsed: it agrees with a server's own count, and its bound holds."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from support.asking import chat_with
from support.brain import Brain
from support.openai_server import Server

import hierarchy
from hierarchy.checks import ask_witnesses, gather
from hierarchy.llm import Price, Reply, ReplyCache, count_input_tokens
from hierarchy.prompting import Plan, estimate_usage, propose
from hierarchy.prompting.estimate import rehearse
from hierarchy.proposal import Proposal
from hierarchy.sources import read_classes

CIFAR = hierarchy.load("cifar100")
CLASSES = read_classes("cifar-100")
PLAN = Plan("m", *CIFAR.sizes[:2], 3, part=25)


def test_the_estimate_sends_the_requests_of_a_similar_model():
    def propose_with(answer):
        seen = []
        made = propose(CLASSES, lambda requests: seen.extend(requests) or answer(requests), PLAN)
        return made.proposal.hierarchy(), seen

    brain = Brain(CIFAR)
    asked = propose_with(
        lambda requests: [
            Reply(brain([{"role": role, "content": text} for role, text in request.messages], request.schema))
            for request in requests
        ]
    )
    rehearsed = propose_with(lambda requests: rehearse(CIFAR, requests))
    assert asked[0] == rehearsed[0] == CIFAR
    by_prompt = [Counter(request.prompt for request in seen) for _, seen in (asked, rehearsed)]
    assert by_prompt[0] == by_prompt[1]
    keys = [{request.key for request in seen if request.prompt == "superclasses"} for _, seen in (asked, rehearsed)]
    assert keys[0] == keys[1]


def test_cost_follows_the_price():
    proposal = Proposal(CLASSES, CIFAR.groups)
    free, priced = estimate_usage(proposal, PLAN), estimate_usage(proposal, PLAN, price=Price(2, 8))
    assert (free.cost, free.most_cost) == (None, None) and "pass --price to estimate the cost" in str(free)
    assert priced.cost == pytest.approx((2 * priced.input_tokens + 8 * priced.output_tokens) / 1e6)
    assert priced.calls == free.calls == sum(free.prompts.values())
    assert priced.most_cost > priced.cost and priced.most_tokens > priced.tokens


def test_names_that_a_model_may_not_give_do_not_disturb_the_rehearsal():
    """A clustering calls nodes "devices", or a group as its superclass."""
    bad = {"fish": "devices", "flowers": "others"}
    groups = tuple((bad.get(top, top), top if top == "reptiles" else group) for top, group in CIFAR.groups)
    expected, same = (estimate_usage(Proposal(CLASSES, places), PLAN) for places in (groups, CIFAR.groups))
    assert expected.prompts == same.prompts


@pytest.mark.parametrize(
    ("source", "name"), [("cifar-100", "cifar100"), pytest.param("imagenet-1k", "imagenet1k", marks=pytest.mark.slow)]
)
def test_the_estimate_agrees_with_a_servers_own_count(source, name, tmp_path):
    """Within 10 % of what a server with a tokenizer of its own counts; 80 calls and 200,000 tokens for ImageNet-1k."""
    classes, tree = read_classes(source), hierarchy.load(name)
    plan = Plan("m", *tree.sizes[:2], 3)
    expected = estimate_usage(Proposal(classes, tree.groups), plan)
    assert expected.calls <= 80 and expected.tokens <= 200_000
    evidence = gather(classes)
    with Server(Brain(tree)) as server, ReplyCache(tmp_path / "x.sqlite") as cache:
        made = propose(
            classes, chat_with(server, cache), plan, witnesses=lambda said: ask_witnesses(said, evidence).votes()
        )
        counts = server.counts
    assert made.proposal.hierarchy() == tree
    assert abs(counts["http"]["/chat/completions"] - expected.calls) <= 2
    counted = counts["input_tokens"] + counts["output_tokens"]
    assert abs(counted / expected.tokens - 1) < 0.10, (counted, expected.tokens)


def contrary(request):
    """An answer within the rules that costs as much as it can: votes differ, half of everything is left out."""
    about, kind = request.about, request.prompt
    if kind in ("superclasses", "merge"):
        names = [
            {"name": f"{kind} {n} of many", "about": "anything at all that has no better place"} for n in range(40)
        ]
        return {"superclasses": names}
    if kind == "assign":
        half = about["classes"][: -(-len(about["classes"]) // 2)]
        shift = int(request.key[:8], 16)
        return {"placements": [{"id": n, "node": 1 + (n + shift) % (len(about["nodes"]) - 1)} for n in half]}
    if kind == "groups":
        return {"groups": [{"name": f"a long name of a group {n}", "ids": [n]} for n in about["classes"][::2]]}
    if kind == "again":
        return {"placements": [{"id": n, "node": 0} for n in about["classes"][::2]]}
    return {"names": []}


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: Reply(json.dumps(contrary(request))),
        lambda request: Reply(
            json.dumps(contrary(request)), "stop" if request.prompt in ("superclasses", "merge") else "length"
        ),
        lambda request: Reply("prose" if request.prompt == "again" else json.dumps(contrary(request))),
    ],
    ids=["leaves out", "is cut off", "is prose"],
)
def test_no_model_takes_more_than_the_estimate_says_at_most(answer):
    expected = estimate_usage(Proposal(CLASSES, CIFAR.groups), PLAN)
    asked = []

    def chat(requests):
        asked.extend(requests)
        return [answer(request) for request in requests]

    propose(CLASSES, chat, PLAN)
    assert 20 < len(asked) <= expected.most_calls
    most = sum(count_input_tokens(request) + request.settings["max_tokens"] for request in asked)
    assert most <= expected.most_tokens
