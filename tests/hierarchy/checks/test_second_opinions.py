"""The witnesses: what hypernyms and neighbours say of each class, also of one that is unsettled."""

import numpy as np
import pytest

import hierarchy.checks.second_opinions
from hierarchy.build import generate
from hierarchy.checks.checks import check
from hierarchy.checks.second_opinions import (
    NEIGHBOURS,
    Seating,
    Witnesses,
    call_witnesses,
    hear,
    neighbourhoods,
    votes,
)
from hierarchy.cluster.constrained import Shape
from hierarchy.proposal import Proposal, Vote
from hierarchy.settings import Settings
from hierarchy.sources import read_classes
from hierarchy.wordnet.disambiguate import choose_senses, described

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
    return call_witnesses(named(*PLACES))


def said(proposal, witnesses, name):
    return {vote.witness: vote for vote in votes(hear(proposal, witnesses))[proposal.classes.ids.index(name)]}


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


def test_without_any_place_nobody_has_a_vote(named, heard):
    proposal = Proposal(named(*PLACES), (None,) * len(PLACES))
    assert votes(hear(proposal, heard)) == ((),) * len(PLACES)


def test_without_wordnet_and_vectors_nobody_has_a_vote(stand):
    assert votes(hear(stand(), Witnesses(None, (), None))) == ((),) * len(PLACES)


def test_what_wordnet_does_not_know_has_one_witness(named, wordnet):
    classes = named("tiger shark", "great white shark", "zzyzx qua")
    witnesses = call_witnesses(classes)
    proposal = Proposal(classes, (("fish", "sharks"),) * 3)
    assert {vote.witness for vote in votes(hear(proposal, witnesses))[2]} <= {"embedding"}


def test_no_classes_call_no_witnesses(named):
    assert call_witnesses(named()) == Witnesses(None, (), None)


def test_neighbours_are_those_of_brute_force():
    rng = np.random.default_rng(3)
    vectors = rng.normal(size=(40, 5))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = [("s", f"g{i % 4}") if i % 7 else None for i in range(40)]
    names = tuple(map(str, range(40)))
    from hierarchy.sources import ClassList

    seating = Seating(Proposal(ClassList(names, names, ("",) * 40, ""), tuple(places)))
    for label, near in enumerate(neighbourhoods(seating, vectors)):
        others = [i for i in range(40) if i != label and places[i]]
        nearest = sorted(others, key=lambda i: -float(vectors[i] @ vectors[label]))
        home = places[label] or places[nearest[0]]
        most = min(NEIGHBOURS, sum(p == home for p in places) - bool(places[label]))
        assert near.nearest == tuple(nearest[:most])
        votes = [places[i] for i in near.nearest]
        assert near.votes == max(votes.count(place) for place in votes)
        assert seating.paths[near.group] == "/".join(max(votes, key=votes.count))


def test_definitions_are_filled_in_where_there_are_none(named, wordnet):
    classes = named("tiger shark", "zzyzx")
    known = described(classes, wordnet, choose_senses(classes, wordnet))
    assert known.definitions[0].startswith("large dangerous warm-water shark") and known.definitions[1] == ""
    assert described(classes, None, ()) is classes


def test_a_vote_is_a_plain_value():
    assert Vote("llm", "a/b", 1.0, "") == Vote("llm", "a/b", 1.0, "")


def test_witnesses_are_heard_once_about_the_proposal_that_is_checked(monkeypatch, tmp_path):
    source = tmp_path / "sea.txt"
    source.write_text("\n".join(PLACES))
    heard = []
    for name in ("kinships", "neighbourhoods"):
        of = getattr(hierarchy.checks.second_opinions, name)
        hearer = lambda *given, name=name, of=of: heard.append(name) or of(*given)  # noqa: E731
        monkeypatch.setattr(hierarchy.checks.second_opinions, name, hearer)
    made = generate(Settings(str(source), Shape()))
    assert heard == ["kinships", "neighbourhoods"]
    assert {vote.witness for said in made.proposal.votes.values() for vote in said} == {"wordnet", "embedding"}
    apart = check(made.proposal, **vars(call_witnesses(read_classes(str(source)))))
    assert made.findings == apart
