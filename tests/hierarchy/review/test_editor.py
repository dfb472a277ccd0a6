"""A superclass as a text: what is written in an editor is what it becomes, and what cannot be read is asked again."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import made
from support.strategies import names

from hierarchy.errors import ReviewError
from hierarchy.proposal import Merge, Move, Proposal, Rename
from hierarchy.review.editor import HEAD, from_text, in_editor, revise, to_text

PROPOSAL = Proposal.from_hierarchy(PETS)
MAMMALS = "mammals\n    cats\n        n3  siamese\n        n1  tabby\n    dogs\n        n4  beagle\n"


def test_a_superclass_is_an_indented_text():
    assert to_text(PROPOSAL, "mammals") == HEAD + MAMMALS


@pytest.mark.parametrize(
    ("old", "new", "edits"),
    [
        ("cats", "felines", [Rename("mammals/cats", "felines")]),
        ("mammals\n", "beasts\n", [Rename("mammals", "beasts")]),
        ("        n1  tabby\n    dogs\n", "    dogs\n        n1\n", [Move("n1", "mammals/dogs")]),
        ("    dogs\n", "", [Merge("mammals/dogs", "mammals/cats")]),
        ("    dogs\n        n4  beagle\n", "fish\n    carps\n        n4\n", [Move("n4", "fish/carps")]),
        ("    dogs\n", "\tdogs\r\n\n", []),
        ("n1  tabby", "n1  anything else", []),
    ],
)
def test_what_is_written_becomes_edits(old, new, edits):
    expected = [Move("n4", "mammals/cats")] if edits and isinstance(edits[0], Merge) else edits  # of one class
    assert list(from_text(MAMMALS.replace(old, new), PROPOSAL, "mammals")) == expected


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("        n1  tabby\n", "", "class 'n1' (tabby) is gone, every class stays somewhere"),
        ("n1", "n9", "line 4: no class 'n9'"),
        ("n1  tabby", "n2  carp", "line 4: no class 'n2' of 'mammals'"),
        ("n1", "n3", "line 4: class 'n3' stands twice"),
        ("mammals\n", "", "line 1: group 'cats' stands below no superclass; line 4: group 'dogs' stands"),
        ("    cats\n", "", "line 2: class 'n3' stands below no group; line 3: class 'n1' stands below no group"),
        ("cats", "ca/ts", "line 2: heading 'ca/ts' contains '/', which separates the parts of a path, replace it"),
        ("mammals", "n2", "superclass 'n2' is also the id of a class, so it would be ambiguous, rename it"),
        ("    cats", '    "cats', "line 2: '\"cats' has an open quote"),
    ],
)
def test_what_cannot_be_read_is_complained_about(old, new, complaint):
    with pytest.raises(ReviewError) as caught:
        from_text(MAMMALS.replace(old, new), PROPOSAL, "mammals")
    assert str(caught.value).startswith(complaint)


def test_a_text_with_complaints_comes_back_until_it_can_be_read():
    shown = []

    def edit_text(text):
        shown.append(text)
        return text.replace("n1", "n9") if len(shown) == 1 else text.replace("n9", "n1").replace("dogs", "hounds")

    assert revise(PROPOSAL, "mammals", edit_text) == (Rename("mammals/dogs", "hounds"),)
    assert shown[1] == HEAD + "# ! line 7: no class 'n9'\n" + MAMMALS.replace("n1", "n9")


@pytest.mark.parametrize("left", [lambda text: text, lambda text: "", lambda text: "# nothing\n\n"])
def test_a_text_left_as_it_was_or_emptied_changes_nothing(left):
    assert revise(PROPOSAL, "mammals", left) == ()


def test_a_text_that_is_given_up_changes_nothing():
    for end in (lambda text: text, lambda text: "junk\n"):
        answers = iter([lambda text: "junk\n", end])
        with pytest.raises(ReviewError, match=r"the text cannot be read still \(.* is gone, .*\); nothing was changed"):
            revise(PROPOSAL, "mammals", lambda text, answers=answers: next(answers)(text))
    answers = iter([lambda text: "junk\n", lambda text: ""])
    assert revise(PROPOSAL, "mammals", lambda text: next(answers)(text)) == ()


def test_an_editor_that_no_person_holds_is_asked_no_more_than_it_takes():
    shown = []

    def script(text):  # as EDITOR="sed -i s/n1/n9/"
        shown.append(text)
        assert len(shown) < 99
        return text.replace("n1 ", "n9 ")

    with pytest.raises(
        ReviewError, match=r"the text cannot be read still \(line 8: no class 'n9'\); nothing was changed"
    ):
        revise(PROPOSAL, "mammals", script)
    assert len(shown) == 2

    def growing(text):
        shown.append(text)
        assert len(shown) < 99
        return text + "        junk\n"

    with pytest.raises(ReviewError, match="nothing was changed"):
        revise(PROPOSAL, "mammals", growing)


@given(proposals_and_edits(), st.data())
def test_whatever_the_names_the_text_says_what_stands(case, data):
    proposal = case[0]
    superclass = data.draw(st.sampled_from(proposal.settled.nodes(1)))
    assert from_text(to_text(proposal, superclass), proposal, superclass) == ()
    own = [
        id for id, place in zip(proposal.classes.ids, proposal.places, strict=True) if place and place[0] == superclass
    ]
    free = names.filter(lambda name: name not in proposal.classes.ids)
    moved = {id: (superclass, data.draw(free)) for id in data.draw(st.sets(st.sampled_from(own), max_size=3))}
    after = Proposal(
        proposal.classes,
        tuple(moved.get(id, old) for id, old in zip(proposal.classes.ids, proposal.places, strict=True)),
    )
    assume(after != proposal)
    assert made(from_text(to_text(after, superclass), proposal, superclass), proposal) == after


def test_the_editor_is_the_persons_own(monkeypatch, tmp_path):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/cats/felines/")
    assert in_editor(MAMMALS) == MAMMALS.replace("cats", "felines")
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(ReviewError, match="the editor 'false' ended with 1; nothing was changed"):
        in_editor(MAMMALS)
    monkeypatch.setenv("VISUAL", str(tmp_path / "no such editor").replace(" ", "-"))
    with pytest.raises(ReviewError, match="cannot be started; set EDITOR to one that can"):
        in_editor(MAMMALS)
    monkeypatch.setenv("VISUAL", r"sed -i s/cats/\\xff/")
    with pytest.raises(ReviewError, match="the editor left no UTF-8 text; nothing was changed"):
        in_editor(MAMMALS)
