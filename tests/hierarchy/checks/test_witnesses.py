"""The witnesses: what hypernyms and neighbours say of each class, also of one that is unsettled."""

from dataclasses import replace

import numpy as np
import pytest

import hierarchy.checks.witnesses
from hierarchy.checks import Evidence, ask_witnesses, check, gather
from hierarchy.checks.witnesses import ALIKE, CLOSE, Grouping, find_neighbours
from hierarchy.generate import Settings, generate
from hierarchy.proposal import Proposal
from hierarchy.sources import ClassList, read_classes

PLACES = {
    "hammerhead": "fish/sharks",
    "tiger shark": "fish/sharks",
    "great white shark": "fish/sharks",
    "mako": "fish/sharks",
    "stingray": "fish/rays",
    "electric ray": "fish/rays",
    "manta": "fish/rays",
    "canoe": "craft/boats",
    "speedboat": "craft/boats",
    "lifeboat": "craft/boats",
    "kayak": "craft/boats",
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
    assert found["wordnet"].why == "3 of 3 others are sharks"
    assert found["embedding"].why.startswith("like ")
    assert all(0 < vote.strength <= 1 for vote in found.values())


def test_both_witnesses_speak_against_a_bad_place(stand, heard):
    found = said(stand(hammerhead="craft/boats"), heard, "hammerhead")
    assert {vote.node for vote in found.values()} == {"fish/sharks"}
    assert found["wordnet"].why == "3 of 3 there are sharks, 0 of 4 here"
    assert ", like its own group -0." in found["embedding"].why


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


def test_the_nearest_group_is_that_of_brute_force():
    rng = np.random.default_rng(3)
    centres = rng.normal(size=(4, 5))
    vectors = np.array([centres[i % 4] + 0.5 * rng.normal(size=5) for i in range(40)])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    places = [("s", f"g{i % 4 if i % 9 else (i + 1) % 4}") if i % 7 else None for i in range(40)]
    names = tuple(map(str, range(40)))
    grouping = Grouping(Proposal(ClassList(names, names, ("",) * 40, ""), tuple(places)))
    similar = vectors @ vectors.T
    others = similar[~np.eye(40, dtype=bool)]
    found = find_neighbours(grouping, vectors)
    assert any(found) and not all(found)
    for label, near in enumerate(found):
        means = {
            group: np.mean([similar[label, i] for i in range(40) if places[i] == ("s", f"g{group}") and i != label])
            for group in range(4)
        }
        best = max(means, key=means.get)
        if means[best] < others.mean() + ALIKE * others.std():
            assert near is None
            continue
        own = grouping.group_of[label]
        there, here = means.pop(best), max(means.values()) if own in (None, best) else means[own]
        if there - here < CLOSE:
            assert near is None
            continue
        assert (near.group, near.there, near.here) == (best, round(there, 3), round(here, 3))
        assert near.strength == pytest.approx(near.there - max(0, near.here))
        assert similar[label, near.nearest[0]] == max(
            similar[label, i] for i in range(40) if places[i] == ("s", f"g{best}") and i != label
        )


def test_nothing_is_said_about_groups_of_two_and_from_what_is_no_closer_than_chance(stand, heard):
    small = stand(manta="", great_white_shark="", mako="", canoe="", kayak="")  # leaves two sharks and two rays
    assert {name: said(small, heard, name) for name in ("hammerhead", "tiger shark", "stingray", "manta")} == {
        name: {} for name in ("hammerhead", "tiger shark", "stingray", "manta")
    }
    strange = replace(heard, senses=None, vectors=np.eye(len(PLACES)))
    assert ask_witnesses(stand(), strange).votes() == ((),) * len(PLACES)


def test_a_guess_at_the_meaning_is_no_evidence(stand, heard):
    label = stand().classes.names.index("canoe")
    unsure = replace(heard.senses.meanings[label], shares=((heard.senses.meanings[label].wnid, 0.4),))
    meanings = (*heard.senses.meanings[:label], unsure, *heard.senses.meanings[label + 1 :])
    evidence = replace(heard, senses=replace(heard.senses, meanings=meanings))
    assert "wordnet" in said(stand(), heard, "canoe")
    assert "wordnet" not in said(stand(), evidence, "canoe")
    assert "wordnet" in said(stand(), evidence, "lifeboat")


def test_what_all_things_have_in_common_is_not_said(wordnet, named):
    names = ("apple", "hammer", "cat", "cloud")  # objects, all of them
    evidence = gather(named(*names))
    proposal = Proposal(evidence.classes, (("things", "objects"),) * 4)
    assert not [vote for votes in ask_witnesses(proposal, evidence).votes() for vote in votes]


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
    assert "wordnet" in {vote.witness for said in made.proposal.votes.values() for vote in said}
    apart = check(made.proposal, gather(read_classes(str(source))))
    assert made.findings == apart
