"""What a model doubts: split votes, misfits and "none" are asked about again, and kept; names are mended."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from support.brain import Brain

import hierarchy
from hierarchy.llm import Reply
from hierarchy.prompting import Plan, propose
from hierarchy.prompting.readings import find_fault, is_grab_bag, read_groups, read_names, read_top_level
from hierarchy.proposal import Doubt
from hierarchy.sources import ClassList

TREE = hierarchy.load("cifar100").subset("fish", "reptiles", "flowers", "furniture")
CLASSES = ClassList(TREE.classes, TREE.names, ("",) * len(TREE), "a zoo")
PLAN = Plan("m", 4, 8, 3)
NUMBER = {id: number for number, id in enumerate(TREE.classes, 1)}


def run(brain, classes=CLASSES, **options):
    """What a model makes of the classes, and the requests it got."""
    requests = []

    def chat(asked):
        requests.extend(asked)
        texts = [[{"role": role, "content": text} for role, text in request.messages] for request in asked]
        return [Reply(brain(messages, None)) for messages in texts]

    return propose(classes, chat, PLAN, **options), requests


class Torn(Brain):
    """Puts the shark among the reptiles in one vote of three."""

    def __init__(self):
        super().__init__(TREE)
        self.votes = 0

    def assign(self, text):
        self.votes += 1
        content = super().assign(text)
        node = int(re.search(r"^(\d+)\. reptiles:", text, re.MULTILINE)[1])
        if self.votes == 2:
            content["placements"] = [
                {**p, "node": node if p["id"] == NUMBER["shark"] else p["node"]} for p in content["placements"]
            ]
        return content


def test_a_split_vote_is_asked_about_again_with_the_groups_of_the_minority():
    made, requests = run(Torn())
    (again,) = [request for request in requests if request.prompt == "again"]
    assert again.about["classes"] == [NUMBER["shark"]]
    offered = set(again.about["nodes"].values())
    assert {path for path in TREE.nodes(2) if path.startswith(("fish/", "reptiles/"))} == offered
    own = made.proposal.place("shark")
    (line,) = [line for line in again.messages[1][1].splitlines() if f". {own} (" in line]
    assert "shark" not in line.partition("(")[2]  # no evidence of where it belongs
    assert made.proposal.doubts == {
        "shark": (Doubt("split", 0.333, f"2 of 3 votes for fish, 1 for reptiles; asked again, it chose {own}"),)
    }


def test_the_order_of_the_groups_is_shuffled_by_the_seed():
    orders = set()
    for seed in range(6):
        _, requests = run_with(replace(PLAN, seed=seed))
        (again,) = [request for request in requests if request.prompt == "again"]
        paths = [again.about["nodes"][str(node)] for node in again.about["choices"][0]]
        orders.add(paths.index("/".join(TREE.groups[NUMBER["shark"] - 1])))
    assert len(orders) > 1


def run_with(plan):
    requests = []

    def chat(asked):
        requests.extend(asked)
        texts = [[{"role": role, "content": text} for role, text in request.messages] for request in asked]
        return [Reply(brain(messages, None)) for messages in texts]

    brain = Torn()
    return propose(CLASSES, chat, plan), requests


def test_a_misfit_is_offered_the_groups_of_the_sibling_where_it_belongs():
    class Mistaken(Brain):
        def assign(self, text):
            content = super().assign(text)
            node = int(re.search(r"^(\d+)\. fish:", text, re.MULTILINE)[1])
            return {
                "placements": [{**p, "node": node} if p["id"] == NUMBER["rose"] else p for p in content["placements"]]
            }

        def divide(self, text):
            content = super().divide(text)
            if "rose" in text.split(" of them:")[1]:
                sibling = int(re.search(r"^(\d+)\. flowers$", text, re.MULTILINE)[1])
                groups = [{**g, "ids": [n for n in g["ids"] if n != NUMBER["rose"]]} for g in content["groups"]]
                groups = [group for group in groups if group["ids"]]
                return {"groups": groups, "misfits": [{"id": NUMBER["rose"], "sibling": sibling}]}
            return content

    made, _ = run(Mistaken(TREE))
    assert made.proposal.hierarchy() == TREE and not made.left
    home = "/".join(TREE.groups[NUMBER["rose"] - 1])
    why = f"first put into fish, then said to belong to flowers; asked again, it chose {home}"
    assert made.proposal.doubts["rose"] == (Doubt("misfit", 0.5, why),)


def test_a_class_that_fits_nowhere_is_a_doubt_even_if_it_has_a_place():
    class Doubtful(Brain):
        votes = 0

        def assign(self, text):
            self.votes += 1
            content = super().assign(text)
            none = self.votes == 1
            return {"placements": [{**p, "node": 0} if none and p["id"] == 1 else p for p in content["placements"]]}

    made, _ = run(Doubtful(TREE))
    assert not made.left
    (doubt,) = made.proposal.doubts[TREE.classes[0]]
    assert (doubt.kind, doubt.weight, doubt.why) == ("none", 0.333, "1 of 3 votes for no superclass at all")


def test_a_guessed_definition_is_marked_and_what_the_model_says_instead_is_sent_from_then_on():
    class Knowing(Brain):
        def propose(self, text):
            return super().propose(text) | {
                "meanings": [{"id": NUMBER["ray"], "meaning": "a flat  fish"}, {"id": 99, "meaning": "x"}]
            }

    given = {"ray": "a column of light", "shark": "a large fish; it bites", "trout": "any of various fishes"}
    classes = replace(CLASSES, definitions=tuple(given.get(id, "") for id in CLASSES.ids))
    made, requests = run(Knowing(TREE), classes, guessed={"ray", "trout"})
    first, *later = [request.messages[1][1] for request in requests if request.prompt in ("superclasses", "assign")]
    assert (
        f"\n{NUMBER['ray']}. ray (a column of light?)\n" in first
        and f"\n{NUMBER['shark']}. shark: a large fish\n" in first
    )
    assert all(f"\n{NUMBER['ray']}. ray: a flat fish\n" in text + "\n" for text in later)
    assert all(f"\n{NUMBER['trout']}. trout (any of various fishes?)" in text for text in later)
    assert made.proposal.classes.definitions[NUMBER["ray"] - 1] == "a flat fish" and made.troubles == {"invented": 1}
    assert all("The data set is a zoo" in request.messages[1][1] for request in requests)


@pytest.mark.parametrize(
    ("name", "grab"),
    [("Others", True), ("other animals", True), ("things", True), ("Miscellaneous", True), ("things of wood", False)]
    + [(name, False) for name in ("electrical devices", "dogs", "motherboards", "mixed breeds")],
)
def test_grab_bags_are_known(name, grab):
    assert is_grab_bag(name) is grab


def test_a_name_of_many_words_is_a_fault():
    assert "has 7 words, where one to three" in find_fault(["dogs", "all of the animals that have fur"])
    assert not find_fault(["beds, tables and large wardrobes"])


def test_others_is_complained_about_once_and_then_its_classes_are_asked_about_again():
    class Lazy(Brain):
        def divide(self, text):
            content = super().divide(text)
            return {**content, "groups": [{**content["groups"][0], "name": "Others"}, *content["groups"][1:]]}

    made, requests = run(Lazy(TREE))
    assert not any(is_grab_bag(path.split("/")[1]) for path in made.proposal.settled.nodes(2))
    assert made.troubles["faulty"] == 4 and any(request.prompt == "again" for request in requests)
    complaints = [request.messages[1][1] for request in requests if "An earlier answer" in request.messages[1][1]]
    assert len(complaints) == 4 and all("'Others' is a grab-bag" in text for text in complaints)
    assert all(len(request.messages) == 2 for request in requests)  # no two user turns in a row


def test_swapped_names_are_complained_about_and_then_left():
    old = {1: "fish", 2: "sharks", 3: "rays"}
    read = read_names(json.dumps({"names": [{"node": 2, "name": "Rays"}, {"node": 3, "name": "flat fish"}]}), old)
    assert read.fault == "it gave node 2 the name of node 3, 'Rays'" and read.value == {3: "flat fish"}
    assert read_names('{"names": []}', old).value == {}
    assert read_names('{"names": [{"node": 2, "name": "Sharks"}]}', old).value == {2: "Sharks"}


def test_a_class_in_two_groups_or_in_a_group_and_a_misfit_is_left_for_later():
    text = {
        "groups": [{"name": "sharks", "ids": [1, 2, 2]}, {"name": "rays", "ids": [2, 3, 4]}],
        "misfits": [{"id": 4, "sibling": 1}, {"id": 5, "sibling": 9}],
    }
    read = read_groups(json.dumps(text), (1, 2, 3, 4, 5, 6), "fish", {1: 7})
    assert read.value == {1: "sharks", 3: "rays", 5: -1} and read.twice == 2
    assert read_groups('{"groups": [{"name": "Fish", "ids": [1]}]}', (1,), "fish", {}).fault.startswith("group 'Fish'")


def test_meanings_are_one_printable_line():
    text = {"superclasses": [{"name": "fish", "about": ""}], "meanings": [{"id": 1, "meaning": "a\n\nfish"}]}
    text["meanings"] += [{"id": 2, "meaning": "\x07"}, {"id": 3, "meaning": "so " * 99}]
    meanings = read_top_level(json.dumps(text), (1, 2, 3), 1).value.meanings
    assert meanings[1] == "a fish" and 2 not in meanings and len(meanings[3]) <= 120
