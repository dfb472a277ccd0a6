"""A review session: which questions come in which order, what is suggested, and that no decision is lost."""

import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.editing import proposals_and_edits
from support.reviewing import ZOO, act, start, zoo

from hierarchy.errors import ReviewError, UnknownNode
from hierarchy.proposal import Define, Doubt, Finding, Merge, Move, Proposal, Regroup, Rename, Split, Vote
from hierarchy.review import list_changes, parse_kinds
from hierarchy.review.questions import KINDS, Agenda, Witnesses, meanings, measure_dispute
from hierarchy.review.questions.queue import LEAST
from hierarchy.review.state import State, groups
from hierarchy.review.ui.actions import move
from hierarchy.review.ui.search import find_group, find_sibling, find_subjects
from hierarchy.tree import Hierarchy


def list_asked(session):
    """The subjects in the order they are asked, each skipped."""
    found = []
    while session.question:
        found.append((session.question.subject, *session.question.kinds))
        session.skip()
    return found


ALL = [
    ("n04", "unsettled"),
    ("n09", "unsure"),
    ("n01", "unsure"),
    ("n05", "ambiguous"),
    ("n06", "ambiguous"),
    ("birds", "chain"),
    ("machines", "chain"),
    ("reptiles", "chain"),
    ("birds/wading birds", "chain"),
    ("fish/carps", "chain"),
    ("machines/lifting machines", "chain"),
    ("mammals/big cats", "chain"),
    ("n12", "undoubted"),
    ("n07", "undoubted"),
    ("n08", "undoubted"),
    ("n03", "undoubted"),
    ("n02", "undoubted"),
    ("n10", "undoubted"),
    ("n11", "undoubted"),
]


def test_unsettled_and_doubtful_classes_come_first_and_few_questions_are_asked():
    assert list_asked(zoo()) == ALL[: 1 + LEAST]
    assert list_asked(zoo(only=KINDS)) == ALL


@pytest.mark.parametrize(("classes", "most"), [(50, 5), (100, 10), (1000, 100)])
def test_one_question_is_asked_for_every_ten_classes(classes, most):
    rows = [(f"c{i}", f"c{i}", f"s{i % 7}", f"g{i % 7}") for i in range(classes)]
    tree = Hierarchy.from_rows(rows)
    votes = {id: (Vote("embedding", f"s{(i + 1) % 7}/g", 0.5, ""),) for i, (id, *_) in enumerate(rows)}
    session = start(replace(Proposal.from_hierarchy(tree), votes=votes))
    assert session.position == (1, most)
    session.accept()
    assert session.position == (2, most) and session.left == most - 1


def test_the_model_s_own_doubts_come_before_what_the_witnesses_say():
    def ask(votes, doubts=()):
        proposal = replace(Proposal.from_hierarchy(ZOO), votes={"n07": tuple(votes)}, doubts={"n07": doubts})
        state = State(proposal)
        return next(question for question in Agenda(state, ()).list_all(state) if question.subject == "n07")

    sure, away = Vote("llm", "fish/eels", 1.0, ""), Vote("embedding", "reptiles/snakes", 0.9, "")
    both = [away, Vote("wordnet", "reptiles/snakes", 0.9, "")]
    assert ask([sure, away]).kinds == ("undoubted",)  # nobody is asked because TF-IDF frowns
    assert ask([sure, *both]).kinds == ("disputed",)
    assert ask([sure, away, Vote("wordnet", "mammals/cats", 0.9, "")]).kinds == ("undoubted",)  # they contradict
    assert ask([away]).kinds == ("disputed",)
    assert ask([away, Vote("wordnet", "fish/eels", 0.9, "")]).kinds == ("undoubted",)
    assert ask([sure], (Doubt("misfit", 0.8, "no group of fish fits"),)).kinds == ("unsure",)
    assert ask([sure], (Doubt("misfit", 0.8, "no group of fish fits"),)).reasons == (
        "the model is unsure: no group of fish fits",
    )
    assert ask([Vote("llm", "fish/eels", 0.67, ""), Vote("llm", "reptiles", 0.33, "")]).weight == 0.66


def test_a_mixed_node_is_asked_about_and_its_split_is_offered_until_its_classes_change():
    split = Split("fish", "snakes of the sea", ("n09",))
    found = (Finding("mixed", "fish", "'fish' holds two kinds of things", "warning", 0.6, {}, split),)
    session = zoo(unsettled=(), findings=found)
    assert [subject for subject, *_ in list_asked(session)][:3] == ["n09", "n01", "fish"]
    session.jump("fish")
    assert session.suggestions == (split,) and "two kinds" in session.question.reasons[0]
    session.edit(Rename("fish", "fishes"))
    session.jump("fishes")
    assert session.suggestions == (replace(split, node="fishes"),)
    assert session.question.reasons[0] == "'fishes' holds two kinds of things"
    session.edit(Move("n09", "reptiles/snakes"))
    assert "mixed" not in [kind for question in list_asked(session) for kind in question[1:]]


KITCHEN = Hierarchy.from_rows(
    [(name, name, "dogs", "hounds") for name in ("beagle", "greyhound", "dachshund", "foxhound")]
    + [(name, name, "dogs", "terriers") for name in ("fox terrier", "Boston terrier", "Irish terrier")]
    + [(name, name, "tools", "cutters") for name in ("scissors", "pruning shears", "handsaw", "chisel")]
    + [(name, name, "fruit", "citrus") for name in ("lemon", "lime", "grapefruit", "kumquat")]
)


def test_a_move_that_a_finding_suggests_follows_its_group_and_ends_with_it():
    move = Move("n09", "reptiles/snakes")
    session = zoo(unsettled=(), findings=(Finding("mixed", "fish", "a snake among fish", "warning", 0.6, {}, move),))
    session.edit(Rename("reptiles/snakes", "serpents"))
    session.jump("fish")
    assert session.suggestions == (Move("n09", "reptiles/serpents"),)
    session.edit(Move("n10", "mammals/cats"), Move("n11", "mammals/cats"))
    session.jump("fish")
    assert session.suggestions == () and session.question.kinds == ("mixed",)


def test_nodes_that_an_edit_changes_are_searched_for_two_kinds_of_things():
    session = start(Proposal.from_hierarchy(KITCHEN), witnesses=Witnesses("tfidf"))
    before = list_asked(session)
    assert "mixed" not in {kind for _, *kinds in before for kind in kinds}
    session.edit(Merge("tools", "dogs"))
    assert [subject for subject, *kinds in list_asked(session) if "mixed" in kinds] == ["dogs"]
    session.jump("dogs")
    (split,) = session.suggestions
    assert set(split.ids) == {"scissors", "pruning shears", "handsaw", "chisel"}
    again = start(session.base, log=session.log, witnesses=Witnesses("tfidf"))
    assert again.question == session.question
    session.edit(split)
    assert "mixed" not in {kind for _, *kinds in list_asked(session) for kind in kinds}
    session.undo()
    session.undo()
    assert not session.question or "mixed" not in session.question.kinds


def test_the_witnesses_know_the_classes_before_the_first_edit(monkeypatch):
    gathered = threading.Event()

    class Quick(Witnesses):
        def _gather(self, proposal, meanings):
            found = super()._gather(proposal, meanings)
            gathered.set()
            return found

    monkeypatch.setattr(meanings, "DRAWN", 0.0)
    session = start(Proposal.from_hierarchy(KITCHEN), witnesses=Quick("tfidf"))
    session.prepare()
    assert gathered.wait(20)
    monkeypatch.setattr(meanings, "gather", None)  # nothing is gathered twice
    session.edit(Merge("tools", "dogs"))
    assert [subject for subject, *kinds in list_asked(session) if "mixed" in kinds] == ["dogs"]


def test_questions_are_computed_when_somebody_looks_at_them():
    class Silent(Witnesses):
        def find_mixed(self, proposal, meanings, nodes):
            raise AssertionError("a script waits for vectors")

    session = start(Proposal.from_hierarchy(KITCHEN), witnesses=Silent())
    session.edit(Merge("tools", "dogs"))
    session.undo()
    session.edit(Move("lemon", "dogs/hounds"))


def test_a_new_meaning_is_logged_and_asks_the_witnesses_again():
    heard = []

    class Snakes(Witnesses):
        def vote(self, proposal, meanings, ids):
            heard.append((dict(meanings), tuple(ids), proposal.classes.definitions[8]))
            return {id: (Vote("wordnet", "reptiles/snakes", 0.9, "2 of 2 there are snakes"),) for id in ids}

    session = zoo(unsettled=(), witnesses=Snakes())
    session.jump("n09")
    session.edit(Define("n09", "a venomous snake", "n01"))
    assert heard == [({"n09": "n01"}, ("n09",), "a venomous snake")]
    assert session.question.subject == "n09" and "n09" not in session.state.classes  # its place is still to be judged
    assert [vote.witness for vote in session.votes("n09")] == ["llm", "wordnet"]
    assert session.suggestions[0] == Move("n09", "reptiles/snakes")
    again = start(session.base, log=session.log, witnesses=Snakes())
    assert again.votes("n09") == session.votes("n09") and len(heard) == 2
    session.edit(Rename("fish", "fishes"))
    assert len(heard) == 2  # nobody is asked twice about one meaning
    session.undo()
    session.undo()
    assert [vote.witness for vote in session.votes("n09")] == ["llm", "wordnet", "embedding"]
    assert session.proposal.classes.definitions[8] == "what sea snake means" and not session.state.meanings


def test_a_filter_asks_only_its_kinds():
    assert [subject for subject, *_ in list_asked(zoo(only=["unsure", "ambiguous"]))] == ["n09", "n01", "n05", "n06"]
    assert [subject for subject, *_ in list_asked(zoo(only=["unsettled"]))] == ["n04"]
    assert list_asked(zoo(only=["oversized"])) == []


def test_unknown_kinds_are_refused():
    assert parse_kinds("disputed, chain") == ("disputed", "chain")
    assert parse_kinds("") == ()
    with pytest.raises(ReviewError, match="unknown kind of question 'disputd'; nearest: 'disputed'"):
        parse_kinds("disputd")


def test_another_superclass_weighs_more_than_another_group():
    far, near = Vote("llm", "birds/owls", 0.6, ""), Vote("llm", "fish/rays", 0.6, "")
    assert measure_dispute("fish/eels", [far]) == 2 * measure_dispute("fish/eels", [near]) == 1.2
    assert measure_dispute("fish/eels", [Vote("llm", "fish", 1.0, ""), Vote("llm", "fish/eels", 1.0, "")]) == 0


def test_the_position_counts_questions():
    session = zoo()
    assert session.position == (1, 6)
    session.edit(Move("n04", "mammals/big cats"))
    assert (session.question.subject, session.position) == ("n09", (1, 5))  # it was asked because it was unsettled
    session.accept()
    assert (session.question.subject, session.position) == ("n01", (2, 5))
    session.undo()
    assert (session.question.subject, session.position) == ("n09", (1, 5))
    session.skip()
    assert (session.question.subject, session.position, session.left) == ("n01", (2, 5), 5)


def test_what_the_witnesses_vote_for_is_suggested_and_nothing_that_nobody_speaks_for():
    session = zoo()
    session.jump("n09")
    assert session.suggestions == (Move("n09", "reptiles/snakes"),)
    session.jump("n01")
    assert session.suggestions == (Move("n01", "mammals/big cats"),)
    session.jump("n05")
    assert session.suggestions == (Move("n05", "machines/lifting machines"),)  # where the other crane is
    session.jump("fish/carps")
    assert session.suggestions == (Move("n12", "fish/eels"),)  # the only other group
    for subject in ("reptiles", "mammals", "n08"):
        session.jump(subject)
        assert session.suggestions == ()


def test_for_a_class_without_votes_groups_that_share_words_are_suggested():
    session = zoo(unsettled=("n09", "n10"))
    session.jump("n10")
    assert all(isinstance(edit, Move) for edit in session.suggestions)
    with pytest.raises(ReviewError, match="'boa' is unsettled; move it into a group"):
        session.accept()


def test_votes_follow_renames_and_merges():
    session = zoo()
    session.edit(Rename("reptiles/snakes", "serpents"))
    session.edit(Merge("reptiles", "fish"))
    assert [vote.node for vote in session.votes("n09")] == ["fish/serpents", "fish", "fish/eels"]
    session.undo()
    assert [vote.node for vote in session.votes("n09")] == ["reptiles/serpents", "reptiles", "fish/eels"]


def test_votes_follow_groups_that_move_as_a_whole():
    session = zoo()
    snakes = tuple(session.members("reptiles/snakes"))
    session.edit(Split("reptiles", "legless animals", snakes))
    assert next(vote.node for vote in session.votes("n09")) == "legless animals/snakes"
    session.undo()
    session.edit(Regroup(tuple((id, "serpents/all") for id in snakes)))
    assert next(vote.node for vote in session.votes("n09")) == "serpents/all"
    session.undo()
    session.edit(Split("reptiles", "legless animals", snakes[:1]))
    assert next(vote.node for vote in session.votes("n09")) == "reptiles/snakes"


def test_a_dissolved_group_is_not_suggested():
    session = zoo(unsettled=())
    session.edit(Move("n10", "fish/eels"), Move("n11", "mammals/cats"))  # no snakes are left
    session.jump("n09")
    assert next(vote.node for vote in session.votes("n09")) == "reptiles/snakes"
    assert all(edit.to in groups(session.proposal) for edit in session.suggestions)
    move(session, "fish/carps")
    assert "reptiles" not in session.proposal.settled.nodes(1)


def test_an_accepted_node_is_asked_again_when_it_holds_other_classes():
    session = zoo(findings=(), only=["chain"])
    session.jump("fish/carps")
    session.accept()
    session.edit(Rename("fish", "fishes"), Rename("fishes/carps", "koi"))
    assert session.state.nodes == {"fishes/koi"}
    session.edit(Move("n09", "fishes/koi"), Move("n08", "fishes/koi"))
    assert session.state.nodes == frozenset()
    session.edit(Move("n12", "fishes/eels"), Move("n09", "fishes/eels"))
    assert "fishes/koi" in [subject for subject, *_ in list_asked(session)]


def test_an_accepted_node_that_is_merged_is_no_longer_accepted():
    session = zoo(unsettled=())
    for node in ("fish/carps", "fish/eels", "fish"):
        session.jump(node)
        session.accept()
    session.edit(Merge("fish/carps", "fish/eels"))
    assert session.state.nodes == {"fish"}
    session.undo()
    assert session.state.nodes == {"fish", "fish/carps", "fish/eels"}


def test_a_finding_that_was_given_and_found_again_is_shown_once():
    said = "2 classes are named 'crane': n05, n06"
    session = zoo(findings=(Finding("ambiguous", "n05", said, "note", 0.5, {"ids": ["n05", "n06"]}),))
    for id in ("n05", "n06"):
        session.jump(id)
        assert session.question.reasons == (said,)


def test_findings_of_slow_checks_become_votes_of_witnesses_that_have_none():
    move = Move("n02", "reptiles/snakes")
    findings = (
        Finding("embedding", "n02", "its nearest 5 classes are in 'reptiles/snakes'", "warning", 0.5, {}, move),
        Finding("wordnet", "n09", "is a fish", "warning", 0.5, {}, Move("n09", "fish/carps")),  # WordNet has voted
        Finding("ambiguous", "n03", "'lion' may mean two things", "note", 0.5),
        Finding("embedding", "n99", "about an unknown class", "warning", 0.5, {}, move),
    )
    session = zoo(findings=findings)
    assert [vote.witness for vote in session.votes("n02")] == ["embedding"]
    assert len(session.votes("n09")) == 3
    order = [subject for subject, *_ in list_asked(session)]
    assert order.index("n02") < order.index("n05") and "n03" not in order  # either sense of lion is where it is


def test_accepting_the_rest_covers_the_superclass_and_counts_those_in_doubt():
    session = zoo()
    session.jump("n07")
    assert session.accept_rest() == "accepted all 5 left in 'fish', 2 of them in doubt"
    assert {"n07", "n08", "n09", "n12"} <= session.state.classes and "fish/carps" in session.state.nodes
    session.jump("n07")
    with pytest.raises(ReviewError, match="nothing is left to accept in 'fish'"):
        session.accept_rest()
    session.undo()
    assert not session.state.classes
    session.jump("n04")
    with pytest.raises(ReviewError, match="'tiger' is unsettled; move it into a group"):
        session.accept_rest()


def test_undoing_asks_the_question_again():
    session = zoo()
    session.skip()
    assert session.question.subject == "n09"
    session.edit(Rename("fish", "fishes"))
    session.edit(Move("n09", "reptiles/snakes"))
    assert session.question.subject == "n01"
    session.undo()
    assert session.question.subject == "n09"
    session.undo()
    assert session.question.subject == "n09" and "fish" in session.proposal.settled.nodes(1)


def test_an_edit_that_changes_nothing_is_refused():
    session = zoo()
    with pytest.raises(ReviewError, match="nothing changed"):
        session.edit()
    with pytest.raises(ValueError, match="nothing would change"):
        session.edit(Move("n01", "mammals/cats"))
    assert session.log.decisions == ()


def test_search_finds_classes_nodes_and_the_unsettled():
    session = zoo()
    assert find_subjects("snake", session.proposal) == ("reptiles/snakes", "n09")
    assert find_subjects("TIGER", session.proposal) == ("n04",) and find_subjects("n12", session.proposal) == ("n12",)
    assert find_subjects("crane", session.proposal) == ("n05", "n06")
    assert find_subjects("zzzz", session.proposal) == ()
    session.jump("reptiles/snakes")
    assert session.question.subject == "reptiles/snakes"
    with pytest.raises(UnknownNode, match="no class or node 'reptile/snakes'; nearest: 'reptiles/snakes'"):
        session.jump("reptile/snakes")


def test_part_of_a_name_finds_a_group():
    proposal = zoo().proposal
    for text in ("reptiles/snakes", "SNAKES", "snak", "reptiles/snakes/"):
        assert find_group(text, proposal) == "reptiles/snakes"
    assert find_group("big cats", proposal) == "mammals/big cats" and find_group("cats", proposal) == "mammals/cats"
    with pytest.raises(
        ReviewError, match="'ca' matches 'fish/carps', 'mammals/big cats', 'mammals/cats'; type more of the name"
    ):
        find_group("ca", proposal)
    with pytest.raises(ReviewError, match="no group 'whales'; the key n makes a new one"):
        find_group("whales", proposal)
    assert find_sibling("bird", "fish", proposal) == "birds"


def test_changes_state_both_groups_and_who_moved_the_classes():
    session = zoo()
    session.edit(Move("n09", "reptiles/snakes"))
    session.who = "Bob"
    session.edit(Rename("reptiles/snakes", "serpents"))
    session.edit(Move("n01", "mammals/big cats"))
    session.edit(Move("n01", "mammals/cats"))
    found = [(change.before, change.after, change.ids, change.by) for change in list_changes(session.history)]
    assert found == [
        ("fish/eels", "reptiles/serpents", ("n09",), "Ada, 2026-01-31; Bob, 2026-01-31"),
        ("reptiles/snakes", "reptiles/serpents", ("n10", "n11"), "Bob, 2026-01-31"),
    ]


@given(proposals_and_edits(), st.data())
def test_every_question_is_asked_once(case, data):
    session = start(case[0])
    for _ in range(data.draw(st.integers(0, 6))):
        act(session, data)
    assert session.position.number >= 1
    seen = []
    while session.question:
        assert set(session.question.kinds) <= set(KINDS)
        _ = session.suggestions
        seen.append(session.question.subject)
        session.skip()
        assert len(seen) <= 4 * len(case[0].classes) + 4
    assert len(set(seen)) == len(seen)


@given(proposals_and_edits())
def test_every_suggestion_can_be_taken(case):
    session = start(case[0])
    while session.question:
        for edit in session.suggestions:
            session.edit(edit)
            session.undo()
        session.skip()
