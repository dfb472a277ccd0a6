"""The review without a face: what is asked in which order, what is suggested, and that nothing decided is lost."""

import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editing import PETS, proposals_and_edits
from support.reviewing import NOON, Memory, act, review_of, zoo

from hierarchy import load
from hierarchy.errors import AmbiguousName, ReviewError, UnknownNode
from hierarchy.proposal import Finding, Merge, Move, Proposal, Regroup, Rename, Split, Vote
from hierarchy.review.actions import move
from hierarchy.review.changes import changes
from hierarchy.review.fuzzy import fuzzy
from hierarchy.review.line_ui import show
from hierarchy.review.lookup import class_meant, group_meant, sibling_meant, subjects_meant
from hierarchy.review.queue import KINDS, dispute, parse_kinds
from hierarchy.review.review import Review
from hierarchy.review.state import groups


def asked(review):
    """The subjects in the order they are asked, each skipped."""
    found = []
    while review.question:
        found.append((review.question.subject, *review.question.kinds))
        review.skip()
    return found


def test_the_most_disputed_is_asked_first_and_nodes_before_what_nobody_disputes():
    assert asked(zoo()) == [
        ("n04", "unsettled"),
        ("n09", "disputed"),
        ("n01", "disputed"),
        ("n05", "ambiguous"),
        ("n06", "ambiguous"),
        ("birds", "chain"),
        ("machines", "chain"),
        ("reptiles", "chain"),
        ("birds/wading birds", "chain"),
        ("fish/carps", "chain"),
        ("machines/lifting machines", "chain"),
        ("mammals/big cats", "chain"),
        ("n12", "undisputed"),
        ("n07", "undisputed"),
        ("n08", "undisputed"),
        ("n03", "undisputed"),
        ("n02", "undisputed"),
        ("n10", "undisputed"),
        ("n11", "undisputed"),
    ]


def test_a_filter_asks_its_kinds_only():
    assert [subject for subject, *_ in asked(zoo(only=["disputed", "ambiguous"]))] == ["n09", "n01", "n05", "n06"]
    assert [subject for subject, *_ in asked(zoo(only=["unsettled"]))] == ["n04"]
    assert asked(zoo(only=["oversized"])) == []


def test_kinds_are_read_with_care():
    assert parse_kinds("disputed, chain") == ("disputed", "chain")
    assert parse_kinds("") == ()
    with pytest.raises(ReviewError, match="no kind of question 'disputd'; nearest: 'disputed', 'undisputed'"):
        parse_kinds("disputd")


def test_another_superclass_weighs_more_than_another_group():
    far, near = Vote("llm", "birds/owls", 0.6, ""), Vote("llm", "fish/rays", 0.6, "")
    assert dispute("fish/eels", [far]) == 2 * dispute("fish/eels", [near]) == 1.2
    assert dispute("fish/eels", [Vote("llm", "fish", 1.0, ""), Vote("llm", "fish/eels", 1.0, "")]) == 0


def test_the_position_counts_questions_and_disputed_ones_left():
    review = zoo()
    assert review.position == (1, 19, 2)
    review.do(Move("n04", "mammals/big cats"))  # which settles it, and mends the chain of big cats
    assert (review.question.subject, review.position) == ("n09", (2, 18, 2))
    review.accept()
    assert (review.question.subject, review.position) == ("n01", (3, 18, 1))
    review.undo()
    assert (review.question.subject, review.position) == ("n09", (2, 18, 2))
    review.skip()
    assert (review.question.subject, review.position) == ("n01", (3, 18, 2))


def test_the_first_suggestion_is_what_the_witnesses_want():
    review = zoo()
    review.jump("n09")
    assert review.suggestions[:2] == (Move("n09", "reptiles/snakes"), Move("n09", "fish/carps"))
    review.jump("n01")
    assert review.suggestions[0] == Move("n01", "mammals/big cats")
    review.jump("fish/carps")
    assert review.suggestions[0] == Move("n12", "fish/eels")
    review.jump("reptiles")
    assert Merge("reptiles", "fish") in review.suggestions
    review.jump("mammals")
    assert review.suggestions == ()


def test_an_unsettled_class_without_witnesses_is_suggested_what_shares_words_with_it():
    review = zoo(unsettled=("n09", "n10"))
    review.jump("n10")
    assert all(isinstance(edit, Move) for edit in review.suggestions)
    with pytest.raises(ReviewError, match="'boa' is unsettled; move it into a group"):
        review.accept()


def test_votes_follow_what_is_renamed_and_merged():
    review = zoo()
    review.do(Rename("reptiles/snakes", "serpents"))
    review.do(Merge("reptiles", "fish"))
    assert [vote.node for vote in review.said("n09")] == ["fish/serpents", "fish", "fish/eels"]
    review.undo()
    assert [vote.node for vote in review.said("n09")] == ["reptiles/serpents", "reptiles", "fish/eels"]


def test_votes_follow_groups_that_were_moved_as_a_whole_and_stay_with_those_that_were_not():
    review = zoo()
    snakes = tuple(review.members("reptiles/snakes"))
    review.do(Split("reptiles", "legless animals", snakes))
    assert next(vote.node for vote in review.said("n09")) == "legless animals/snakes"
    review.undo()
    review.do(Regroup(tuple((id, "serpents/all") for id in snakes)))
    assert next(vote.node for vote in review.said("n09")) == "serpents/all"
    review.undo()
    review.do(Split("reptiles", "legless animals", snakes[:1]))
    assert next(vote.node for vote in review.said("n09")) == "reptiles/snakes"


def test_a_group_that_was_dissolved_is_suggested_no_more():
    review = zoo(unsettled=())
    review.do(Move("n10", "fish/eels"), Move("n11", "mammals/cats"))  # which leaves no snakes
    review.jump("n09")
    assert next(vote.node for vote in review.said("n09")) == "reptiles/snakes"
    assert all(edit.to in groups(review.proposal) for edit in review.suggestions)
    move(review, "")
    assert "reptiles" not in review.proposal.settled.nodes(1)


def test_a_node_that_was_accepted_is_asked_again_when_it_holds_other_classes():
    review = zoo(findings=(), only=["chain"])
    review.jump("fish/carps")
    review.accept()
    review.do(Rename("fish", "fishes"), Rename("fishes/carps", "koi"))
    assert review.standing.nodes == {"fishes/koi"}
    review.do(Move("n09", "fishes/koi"))
    assert review.standing.nodes == frozenset()
    review.do(Move("n09", "fishes/eels"))
    assert "fishes/koi" in [subject for subject, *_ in asked(review)]


def test_an_accepted_node_that_is_merged_is_accepted_no_more():
    review = zoo(unsettled=())
    for node in ("fish/carps", "fish/eels", "fish"):
        review.jump(node)
        review.accept()
    review.do(Merge("fish/carps", "fish/eels"))
    assert review.standing.nodes == {"fish"}
    review.undo()
    assert review.standing.nodes == {"fish", "fish/carps", "fish/eels"}


def test_what_the_checks_said_of_a_name_when_the_proposal_was_made_is_not_said_twice():
    said = "2 classes are called 'crane': n05, n06"
    review = zoo(findings=(Finding("ambiguous", "n05", said, "note", 0.5, {"ids": ["n05", "n06"]}),))
    for id in ("n05", "n06"):
        review.jump(id)
        assert review.question.reasons == (said,)


def test_findings_of_slow_checks_speak_as_witnesses_where_none_was_asked():
    move = Move("n02", "reptiles/snakes")
    findings = (
        Finding("embedding", "n02", "its nearest 5 classes are in 'reptiles/snakes'", "warning", 0.5, {}, move),
        Finding("wordnet", "n09", "is a fish", "warning", 0.5, {}, Move("n09", "fish/carps")),  # WordNet was asked
        Finding("ambiguous", "n03", "'lion' may mean two things", "note", 0.5),
        Finding("embedding", "n99", "about a class that is gone", "warning", 0.5, {}, move),
    )
    review = zoo(findings=findings)
    assert [vote.witness for vote in review.said("n02")] == ["embedding"]
    assert len(review.said("n09")) == 3
    order = [subject for subject, *_ in asked(review)]
    assert order.index("n02") < order.index("n05") < order.index("birds") and order.index("n03") < order.index("birds")


def test_accepting_the_rest_takes_the_whole_superclass_and_says_how_many_were_disputed():
    review = zoo()
    review.jump("n07")
    assert review.accept_rest() == "accepted all 5 left in 'fish', 1 of them disputed"
    assert {"n07", "n08", "n09", "n12"} <= review.standing.classes and "fish/carps" in review.standing.nodes
    review.jump("n07")
    with pytest.raises(ReviewError, match="nothing is left to accept in 'fish'"):
        review.accept_rest()
    review.undo()
    assert not review.standing.classes
    review.jump("n04")
    with pytest.raises(ReviewError, match="nothing is left to accept in ''"):
        review.accept_rest()


def test_an_undoing_asks_again_what_was_asked():
    review = zoo()
    review.skip()
    assert review.question.subject == "n09"
    review.do(Rename("fish", "fishes"))
    review.do(Move("n09", "reptiles/snakes"))
    assert review.question.subject == "n01"
    review.undo()
    assert review.question.subject == "n09"
    review.undo()
    assert review.question.subject == "n09" and "fish" in review.proposal.settled.nodes(1)


def test_what_changes_nothing_is_no_decision():
    review = zoo()
    with pytest.raises(ReviewError, match="nothing changes"):
        review.do()
    with pytest.raises(ValueError, match="that changes nothing"):
        review.do(Move("n01", "mammals/cats"))
    assert review.journal.log.decisions == ()


def test_search_finds_classes_nodes_and_the_unsettled():
    review = zoo()
    assert subjects_meant("snake", review.proposal) == ("reptiles/snakes", "n09")
    assert subjects_meant("TIGER", review.proposal) == ("n04",) and subjects_meant("n12", review.proposal) == ("n12",)
    assert subjects_meant("crane", review.proposal) == ("n05", "n06")
    assert subjects_meant("zzzz", review.proposal) == ()
    review.jump("reptiles/snakes")
    assert review.question.subject == "reptiles/snakes"
    with pytest.raises(UnknownNode, match="no class or node 'reptile/snakes'; nearest: 'reptiles/snakes'"):
        review.jump("reptile/snakes")


def test_a_group_may_be_meant_by_a_part_of_its_name():
    proposal = zoo().proposal
    for text in ("reptiles/snakes", "SNAKES", "snak", "reptiles/snakes/"):
        assert group_meant(text, proposal) == "reptiles/snakes"
    assert group_meant("big cats", proposal) == "mammals/big cats" and group_meant("cats", proposal) == "mammals/cats"
    with pytest.raises(ReviewError, match="'ca' could be 'fish/carps', 'mammals/big cats', 'mammals/cats'; say which"):
        group_meant("ca", proposal)
    with pytest.raises(ReviewError, match="no group 'whales'; a new one is made by the key n"):
        group_meant("whales", proposal)
    assert sibling_meant("bird", "fish", proposal) == "birds"
    assert class_meant("boa", proposal) == class_meant("n10", proposal) == "n10"
    with pytest.raises(
        AmbiguousName, match=r"'crane' is ambiguous: 'birds/wading birds/crane' \(id 'n05'\) and 'machines/"
    ):
        class_meant("crane", proposal)
    with pytest.raises(UnknownNode, match="no class or node 'bao'; nearest: 'boa'; use an id, a name or a path"):
        class_meant("bao", proposal)


def test_changes_say_what_stood_where_and_who_moved_it():
    review = zoo()
    review.do(Move("n09", "reptiles/snakes"))
    review.who = "Bob"
    review.do(Rename("reptiles/snakes", "serpents"))
    review.do(Move("n01", "mammals/big cats"))
    review.do(Move("n01", "mammals/cats"))
    found = [(change.before, change.after, change.ids, change.by) for change in review_changes(review)]
    assert found == [
        ("fish/eels", "reptiles/serpents", ("n09",), "Ada, 2026-01-31; Bob, 2026-01-31"),
        ("reptiles/snakes", "reptiles/serpents", ("n10", "n11"), "Bob, 2026-01-31"),
    ]


def review_changes(review):
    return changes(review.decisions, review.standings)


def test_letters_find_names():
    names = ["music/string instruments", "structures/homes", "rust", "seats"]
    assert fuzzy("st", names) == ["music/string instruments", "structures/homes", "rust", "seats"]
    assert fuzzy("", names) == names and fuzzy("xq", names) == []


@given(proposals_and_edits(), st.data())
def test_every_question_is_asked_once_whatever_is_decided(case, data):
    review = review_of(case[0])
    for _ in range(data.draw(st.integers(0, 6))):
        act(review, data)
    assert review.position.number >= 1
    seen = []
    while review.question:
        assert set(review.question.kinds) <= set(KINDS)
        _ = review.suggestions
        seen.append(review.question.subject)
        review.skip()
        assert len(seen) <= 4 * len(case[0].classes) + 4
    assert len(set(seen)) == len(seen)
    assert set(review.proposal.unsettled) <= {*seen, *review._skipped}


@given(proposals_and_edits())
def test_every_suggestion_can_be_taken(case):
    review = review_of(case[0])
    while review.question:
        for edit in review.suggestions:
            review.do(edit)
            review.undo()
        review.skip()


def test_the_pets_of_other_tests_are_reviewed_too():
    assert len(asked(review_of(Proposal.from_hierarchy(PETS)))) >= len(PETS)


def test_a_thousand_classes_open_in_a_second_and_every_key_is_answered_before_a_person_notices():
    tree = load("imagenet1k")
    paths = tree.nodes(2)
    votes = {id: (Vote("llm", paths[label % 40], 0.7, ""),) for label, id in enumerate(tree.classes)}
    base = replace(Proposal.from_hierarchy(tree), votes=votes)
    assert min(seconds(lambda: Review(base, Memory(base), who="Ada")) for _ in range(3)) < 1
    review = Review(base, Memory(base), who="Ada", now=lambda: NOON)
    names = iter("abcdefghijklmnop")
    for key in (
        review.accept,
        review.skip,
        lambda: review.do(Rename(review.node(review.asked()), next(names))),
        review.undo,
        lambda: review.do(review.suggestions[0]),
        lambda: show(review),
        lambda: subjects_meant("shark", review.proposal),
    ):
        assert min(seconds(key) for _ in range(5)) < 0.05


def seconds(work):
    """Of this process: others share the processor."""
    start = time.process_time()
    work()
    return time.process_time() - start
