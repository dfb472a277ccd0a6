"""The file of a proposal: what is saved is read back, and what is none is refused with all that is wrong."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editing import PETS, drafts_and_edits

from hierarchy.errors import FormatError, InvalidHierarchy
from hierarchy.proposal.draft import Draft
from hierarchy.proposal.file import ProposalFile, dumps, read_proposal, save_proposal
from hierarchy.proposal.proposal import Opinion

SHARK = Opinion("llm", "mammals/cats", 1.0, "3 of 3 votes")
PROPOSAL = ProposalFile(Draft.of(PETS, source="pets.txt"), {"n1": (SHARK,)}, {"n1": ("5d1f",)}, {"seed": 0})


@given(drafts_and_edits(), st.data())
def test_what_is_saved_is_read_back(tmp_path_factory, case, data):
    draft = case[0]
    text = st.text(st.characters(codec="utf-8"), max_size=5)
    opinion = st.builds(Opinion, st.sampled_from(["llm", "wordnet", "embedding"]), text, st.floats(0, 1), text)
    ids = st.sampled_from(draft.classes.ids)
    opinions = data.draw(st.dictionaries(ids, st.lists(opinion, max_size=3).map(tuple)))
    replies = data.draw(st.dictionaries(ids, st.lists(text, max_size=2).map(tuple)))
    path = tmp_path_factory.mktemp("p") / "x.proposal.json"
    proposal = ProposalFile(draft, opinions, replies, {"seed": 0})
    save_proposal(proposal, path)
    assert read_proposal(path) == proposal


def test_one_class_is_one_line():
    lines = dumps(PROPOSAL).splitlines()
    assert sum(line.startswith('  {"id": ') for line in lines) == len(PETS)
    assert json.loads(dumps(PROPOSAL))["classes"][0] == {
        "id": "n1",
        "name": "tabby",
        "definition": "",
        "superclass": "mammals",
        "group": "cats",
        "opinions": [{"witness": "llm", "node": "mammals/cats", "strength": 1.0, "why": "3 of 3 votes"}],
        "replies": ["5d1f"],
    }


def test_an_unsettled_class_has_no_place():
    draft = Draft(PROPOSAL.draft.classes, (None, *PETS.groups[1:]))
    first = json.loads(dumps(ProposalFile(draft)))["classes"][0]
    assert first["superclass"] is None and first["group"] is None


def test_half_a_surrogate_pair_in_a_reason_is_written_escaped(tmp_path):
    odd = ProposalFile(PROPOSAL.draft, {"n1": (Opinion("llm", "x/y", 0.5, "\ud800"),)})
    save_proposal(odd, tmp_path / "x.proposal.json")
    assert read_proposal(tmp_path / "x.proposal.json") == odd


def test_opinions_about_strangers_are_refused():
    with pytest.raises(InvalidHierarchy, match="opinions about 'n9', which is no class here"):
        ProposalFile(PROPOSAL.draft, {"n9": (SHARK,)})


def changed(**fields):
    return {**json.loads(dumps(PROPOSAL)), **fields}


def with_class(**fields):
    content = changed()
    content["classes"][1] |= fields
    return content


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
        (changed(source=7), "'source' is a int, not a string; mend it"),
        (changed(provenance=None), "'provenance' is a NoneType, not an object; mend it"),
        (changed(classes={}), "'classes' is a dict, not a list; mend it"),
        (changed(classes=[]), "no classes; give at least one"),
        (changed(digest="00"), "says digest '00', its classes have '9ffb90c54d04': a proposal stays as it was made"),
        (changed(classes=[{"id": "n1"}, 7]), "class 0 has the fields id; give it id, name, definition, superclass, gr"),
        (changed(classes=changed()["classes"] * 2), "class 'n1' stands twice; class 'n2' stands twice"),
        (with_class(name=7), "the name of class 1 is '7', not a string"),
        (with_class(group=None), "class 1 has superclass and group ('fish', None); give two strings, or null twice"),
        (with_class(superclass="a/b"), "not a hierarchy: superclass 'a/b' contains '/'"),
        (with_class(opinions=[{"witness": "llm"}]), "the opinions of class 1 are no list of witness, node, strength"),
        (with_class(opinions=[{"witness": "me", "node": "", "strength": 1, "why": ""}]), "the opinions of class 1"),
        (
            with_class(opinions=[{"witness": "llm", "node": "", "strength": 2, "why": ""}]),
            "the opinions of class 1 are",
        ),
        (with_class(replies="abc"), "the replies of class 1 are no list of strings"),
    ],
)
def test_what_is_no_proposal_is_refused(content, message, tmp_path):
    path = tmp_path / "x.proposal.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(FormatError) as caught:
        read_proposal(path)
    assert str(caught.value).removeprefix(str(path)).lstrip(": ").startswith(message)


@pytest.mark.parametrize("content", [b"", b"\xff", b"{", b"[" * 100_000, b"1" * 10_000])
def test_what_is_no_json_is_refused(content, tmp_path):
    (tmp_path / "x.proposal.json").write_bytes(content)
    with pytest.raises(FormatError):
        read_proposal(tmp_path / "x.proposal.json")
