"""A superclass as text in an editor: changes become edits, and a text with problems comes back."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import apply_all
from support.strategies import names

from hierarchy.errors import ReviewError
from hierarchy.proposal import Merge, Move, Proposal, Rename
from hierarchy.review.ui.editor import HEAD, edit_in_editor, from_text, revise, to_text

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
def test_changes_of_the_text_become_edits(old, new, edits):
    expected = [Move("n4", "mammals/cats")] if edits and isinstance(edits[0], Merge) else edits  # of one class
    assert list(from_text(MAMMALS.replace(old, new), PROPOSAL, "mammals")) == expected


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("        n1  tabby\n", "", "class 'n1' (tabby) is missing, keep every class"),
        ("n1", "n9", "line 4: no class 'n9' in 'mammals'"),
        ("n1  tabby", "n2  carp", "line 4: no class 'n2' in 'mammals'"),
        ("n1", "n3", "line 4: class 'n3' appears twice"),
        ("mammals\n", "", "line 1: group 'cats' has no superclass above it; line 4: group 'dogs' has no"),
        ("    cats\n", "", "line 2: class 'n3' has no group above it; line 3: class 'n1' has no group above it"),
        (
            "cats",
            "ca\x07ts",
            "line 2: heading 'ca\\x07ts' contains a control character such as a line ",
        ),
        ("mammals", "n2", "superclass 'n2' is also the id of a class, so it would be ambiguous, rename it"),
        ("    cats", '    "cats', "line 2: '\"cats' has an unclosed quote"),
    ],
)
def test_problems_of_a_text_are_named(old, new, complaint):
    with pytest.raises(ReviewError) as caught:
        from_text(MAMMALS.replace(old, new), PROPOSAL, "mammals")
    assert str(caught.value).startswith(complaint)


def test_a_text_with_problems_comes_back_until_it_is_valid():
    shown = []

    def edit_text(text):
        shown.append(text)
        return text.replace("n1", "n9") if len(shown) == 1 else text.replace("n9", "n1").replace("dogs", "hounds")

    assert revise(PROPOSAL, "mammals", edit_text) == (Rename("mammals/dogs", "hounds"),)
    assert shown[1] == HEAD + "# ! line 7: no class 'n9' in 'mammals'\n" + MAMMALS.replace("n1", "n9")


@pytest.mark.parametrize("left", [lambda text: text, lambda text: "", lambda text: "# nothing\n\n"])
def test_an_unchanged_or_empty_text_changes_nothing(left):
    assert revise(PROPOSAL, "mammals", left) == ()


def test_giving_up_changes_nothing():
    for end in (lambda text: text, lambda text: "junk\n"):
        answers = iter([lambda text: "junk\n", end])
        with pytest.raises(
            ReviewError, match=r"the text still has problems \(class 'n1' \(tabby\) is missing, .*\); nothing changed"
        ):
            revise(PROPOSAL, "mammals", lambda text, answers=answers: next(answers)(text))
    answers = iter([lambda text: "junk\n", lambda text: ""])
    assert revise(PROPOSAL, "mammals", lambda text: next(answers)(text)) == ()


@given(proposals_and_edits(), st.data())
def test_a_text_survives_any_names(case, data):
    proposal = case[0]
    superclass = data.draw(st.sampled_from(sorted({place[0] for place in proposal.places if place})))
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
    assert apply_all(from_text(to_text(after, superclass), proposal, superclass), proposal) == after


def test_the_editor_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", "sed -i s/cats/felines/")
    assert edit_in_editor(MAMMALS) == MAMMALS.replace("cats", "felines")
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(ReviewError, match="the editor 'false' exited with 1; nothing changed"):
        edit_in_editor(MAMMALS)
    monkeypatch.setenv("VISUAL", str(tmp_path / "no such editor").replace(" ", "-"))
    with pytest.raises(ReviewError, match="; set EDITOR to another one"):
        edit_in_editor(MAMMALS)
    monkeypatch.setenv("VISUAL", r"sed -i s/cats/\\xff/")
    with pytest.raises(ReviewError, match="the edited text is not UTF-8; nothing changed"):
        edit_in_editor(MAMMALS)
