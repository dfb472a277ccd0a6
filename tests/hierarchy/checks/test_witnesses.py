"""The witnesses: what hypernyms and neighbours say of each class, also of one that is unsettled."""

import numpy as np
import pytest

import hierarchy.checks.witnesses
from hierarchy.checks import Evidence, ask_witnesses, check, gather
from hierarchy.checks.witnesses import NEIGHBOURS, Grouping, find_neighbours
from hierarchy.generate import Settings, generate
from hierarchy.proposal import Proposal
from hierarchy.sources import ClassList, read_classes

PLACES = {
    "hammerhead": "fish/sharks",
    "tiger shark": "fish/sharks",
    "great white shark": "fish/sharks",
    "stingray": "fish/rays",
    "electric ray": "fish/rays",
    "manta": "fish/rays",
    "canoe": "craft/boats",
    "speedboat": "craft/boats",
    "lifeboat": "craft/boats",
}


@pytest.fixture
def stand(named):
    """Makes a proposal of the classes above, with some changes: name -> path, or "" for unsettled."""

    def make(**changed):
        places = PLACES | {name.replace("_", " "): path for name, path in changed.items()}
        return Proposal(named(*places), tuple(tuple(p.split("/")) if p else None for p in places.values()))

    return make


@pytest.fixture(scope="module")
def heard(wordnet, named):
    return gather(named(*PLACES))


def said(proposal, evidence, name):
    votes = ask_witnesses(proposal, evidence).votes()
    return {vote.witness: vote for vote in votes[proposal.classes.ids.index(name)]}


def test_both_witnesses_agree_with_a_good_place(stand, heard):
    found = said(stand(), heard, "hammerhead")
    assert {vote.node for vote in found.values()} == {"fish/sharks"} and set(found) == {"wordnet", "embedding"}
    assert found["wordnet"].why == "all are a kind of shark"
    assert found["embedding"].why.startswith("2 of 2 nearest: ")
    assert all(0 < vote.strength <= 1 for vote in found.values())


def test_both_witnesses_speak_against_a_bad_place(stand, heard):
    found = said(stand(hammerhead="craft/boats"), heard, "hammerhead")
    assert {vote.node for vote in found.values()} == {"fish/sharks"}


def test_both_witnesses_speak_of_an_unsettled_class_and_do_not_count_it(stand, heard):
    proposal = stand(hammerhead="", canoe="")
    assert {vote.node for vote in said(proposal, heard, "hammerhead").values()} == {"fish/sharks"}
    assert said(proposal, heard, "canoe")["embedding"].node == "craft/boats"
    assert "hammerhead" not in said(proposal, heard, "tiger shark")["embedding"].why


def test_a_class_alone_in_its_group_is_seen_elsewhere(stand, heard):
    found = said(stand(canoe="craft/canoes"), heard, "canoe")
    assert found["wordnet"].node == found["embedding"].node == "craft/boats"


def test_without_any_place_all_abstain(named, heard):
    proposal = Proposal(named(*PLACES), (None,) * len(PLACES))
    assert ask_witnesses(proposal, heard).votes() == ((),) * len(PLACES)


def test_without_wordnet_and_vectors_all_abstain(stand):
    assert ask_witnesses(stand(), Evidence(stand().classes)).votes() == ((),) * len(PLACES)


def test_what_wordnet_does_not_know_has_one_witness(named, wordnet):
    classes = named("tiger shark", "great white shark", "zzyzx qua")
    evidence = gather(classes)
    proposal = Proposal(classes, (("fish", "sharks"),) * 3)
    assert {vote.witness for vote in ask_witnesses(proposal, evidence).votes()[2]} <= {"embedding"}


def test_no_classes_call_no_witnesses(named):
    assert gather(named()) == Evidence(named())


def test_neighbours_are_those_of_brute_force():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = [("s", f"g{i % 4}") if i % 7 else None for i in range(40)]
    names = tuple(map(str, range(40)))
    grouping = Grouping(Proposal(ClassList(names, names, ("",) * 40, ""), tuple(places)))
    for label, near in enumerate(find_neighbours(grouping, vectors)):
        others = [i for i in range(40) if i != label and places[i]]
        nearest = sorted(others, key=lambda i: -float(vectors[i] @ vectors[label]))
        home = places[label] or places[nearest[0]]
        most = min(NEIGHBOURS, sum(p == home for p in places) - bool(places[label]))
        assert near.nearest == tuple(nearest[:most])
        votes = [places[i] for i in near.nearest]
        assert near.count == max(votes.count(place) for place in votes)
        assert grouping.paths[near.group] == "/".join(max(votes, key=votes.count))


def test_witnesses_are_asked_once_about_the_proposal_that_is_checked(monkeypatch, tmp_path):
    source = tmp_path / "sea.txt"
    source.write_text("\n".join(PLACES))
    heard = []
    for name in ("find_kin", "find_neighbours"):
        of = getattr(hierarchy.checks.witnesses, name)
        hearer = lambda *given, name=name, of=of: heard.append(name) or of(*given)  # noqa: E731
        monkeypatch.setattr(hierarchy.checks.witnesses, name, hearer)
    made = generate(Settings(str(source)))
    assert heard == ["find_kin", "find_neighbours"]
    assert {vote.witness for said in made.proposal.votes.values() for vote in said} == {"wordnet", "embedding"}
    apart = check(made.proposal, gather(read_classes(str(source))))
    assert made.findings == apart
