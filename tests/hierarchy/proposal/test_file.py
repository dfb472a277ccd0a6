"""The file of a proposal: what is saved is read back, and what is none is refused with all that is wrong."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits

from hierarchy.errors import FormatError, InvalidHierarchy
from hierarchy.proposal import Doubt, Proposal, Vote, read_proposal, save_proposal
from hierarchy.proposal.file import to_json

SHARK = Vote("llm", "mammals/cats", 1.0, "3 of 3 votes")
PLAIN = Proposal.from_hierarchy(PETS, source="pets.txt", provenance={"seed": 0})
PROPOSAL = replace(PLAIN, votes={"n1": (SHARK,)}, replies={"n1": ("5d1f",)})


@given(proposals_and_edits(), st.data())
def test_a_saved_proposal_is_read_back(tmp_path_factory, case, data):
    text = st.text(st.characters(codec="utf-8"), max_size=5)
    vote = st.builds(Vote, st.sampled_from(["llm", "wordnet", "embedding"]), text, st.floats(0, 1), text)
    ids = st.sampled_from(case[0].classes.ids)
    votes = data.draw(st.dictionaries(ids, st.lists(vote, min_size=1, max_size=3).map(tuple)))
    replies = data.draw(st.dictionaries(ids, st.lists(text, min_size=1, max_size=2).map(tuple)))
    path = tmp_path_factory.mktemp("p") / "x.proposal.json"
    doubt = st.builds(Doubt, st.sampled_from(["split", "none", "misfit"]), st.floats(0, 1), text)
    doubts = data.draw(st.dictionaries(ids, st.lists(doubt, min_size=1, max_size=2).map(tuple)))
    proposal = replace(case[0], votes=votes, replies=replies, provenance={"seed": 0}, doubts=doubts)
    save_proposal(proposal, path)
    assert read_proposal(path) == proposal


def test_one_class_is_one_line():
    lines = to_json(PROPOSAL).splitlines()
    assert sum(line.startswith('  {"id": ') for line in lines) == len(PETS)
    assert json.loads(to_json(PROPOSAL))["classes"][0] == {
        "id": "n1",
        "name": "tabby",
        "definition": "",
        "superclass": "mammals",
        "group": "cats",
        "votes": [{"witness": "llm", "node": "mammals/cats", "strength": 1.0, "why": "3 of 3 votes"}],
        "replies": ["5d1f"],
    }


def test_a_class_without_doubts_has_no_field_for_them():
    doubtful = replace(PROPOSAL, doubts={"n1": (Doubt("split", 0.33, "2 of 3 votes for mammals, 1 for fish"),)})
    first, second = json.loads(to_json(doubtful))["classes"][:2]
    assert first["doubts"] == [{"kind": "split", "weight": 0.33, "why": "2 of 3 votes for mammals, 1 for fish"}]
    assert "doubts" not in second


def test_an_unsettled_class_has_no_place():
    proposal = replace(PROPOSAL, places=(None, *PETS.groups[1:]))
    first = json.loads(to_json(proposal))["classes"][0]
    assert first["superclass"] is None and first["group"] is None


def test_half_a_surrogate_pair_in_a_reason_is_written_escaped(tmp_path):
    odd = replace(PROPOSAL, votes={"n1": (Vote("llm", "x/y", 0.5, "\ud800"),)})
    save_proposal(odd, tmp_path / "x.proposal.json")
    assert read_proposal(tmp_path / "x.proposal.json") == odd


def test_votes_about_strangers_are_refused():
    with pytest.raises(InvalidHierarchy, match="votes about the unknown class 'n9'"):
        replace(PROPOSAL, votes={"n9": (SHARK,)})


def changed(**fields):
    return {**json.loads(to_json(PROPOSAL)), **fields}


def with_class(**fields):
    content = changed()
    content["classes"][1] |= fields
    return content


VOTE = {"witness": "llm", "node": "", "strength": 1, "why": ""}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], 'is not a proposal file: "format": "proposal" is missing; give a file written by `generate`'),
        (
            changed(format="hierarchy"),
            'is not a proposal file: "format": "proposal" is missing; give a file written by',
        ),
        (changed(version=2), "has format version 2, but this release reads up to 1; upgrade timm-nhl"),
        (changed(version="1"), "\"version\" is '1', not a positive integer; give a file written by `generate`"),
        (changed(source=7), "source: input should be a valid string, got 7"),
        (changed(provenance=None), "provenance: input should be a valid dictionary, got None"),
        (changed(classes={}), "classes: input should be a valid list, got {}"),
        (changed(classes=[]), "classes: list should have at least 1 item after validation, not 0, got []"),
        (changed(digest="00"), "says digest '00', but its classes have '9ffb90c54d04'; a proposal must not be edited"),
        (changed(classes=[{"id": "n1"}, 7]), "classes.0.name: field required; classes.0.definition: field required"),
        (changed(classes=changed()["classes"] * 2), "class 'n1' is repeated; class 'n2' is repeated"),
        (with_class(name=7), "classes.1.name: input should be a valid string, got 7"),
        (with_class(colour="red"), "classes.1.colour: extra inputs are not permitted, got 'red'"),
        (with_class(group=None), "classes.1: superclass and group must both be strings or both be null"),
        (with_class(superclass="a "), "not a hierarchy: superclass 'a ' starts or ends with a space"),
        (with_class(superclass="", group=""), "not a hierarchy: superclass '' is empty"),
        (with_class(votes=[VOTE | {"witness": "me"}]), "classes.1.votes.0.witness: input should be 'llm', 'wordnet'"),
        (with_class(votes=[VOTE | {"strength": 2}]), "classes.1.votes.0.strength: input should be less than or equal"),
        (with_class(votes=[VOTE | {"strength": True}]), "classes.1.votes.0.strength: input should be a valid number"),
        (with_class(replies="abc"), "classes.1.replies: input should be a valid list, got 'abc'"),
    ],
)
def test_invalid_proposals_are_refused(content, message, tmp_path):
    path = tmp_path / "x.proposal.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_proposal(path)
    assert str(caught.value).removeprefix(str(path)).lstrip(": ").startswith(message)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000, b"1" * 10_000])
def test_invalid_json_is_refused(content, tmp_path):
    (tmp_path / "x.proposal.json").write_bytes(content)
    with pytest.raises(FormatError):
        read_proposal(tmp_path / "x.proposal.json")
