"""The full screen, driven by its keys; it decides the same as the dialogue, on the same review."""

import asyncio
import time

import pytest
from support.reviewing import Memory, zoo
from textual.events import Key
from textual.widgets import Input, OptionList, Static, Tree

from hierarchy import load
from hierarchy.proposal import Move, Proposal
from hierarchy.review.actions import KEYS
from hierarchy.review.review import Review
from hierarchy.review.tui.app import ReviewApp

SIZES = [(80, 24), (160, 50), (60, 20)]


def drive(keys, review=None, *, size=(80, 24), edit_text=lambda text: text, look=lambda app: None):
    """Presses keys, letter by letter where one is longer and no key's name, and gives the review and what was seen."""
    review = review or zoo()
    app = ReviewApp(review, title="zoo.json", edit_text=edit_text)

    async def go():
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in keys:
                for press in [key] if key in NAMES else list(key):
                    await pilot.press({" ": "space", "/": "slash", "?": "question_mark"}.get(press, press))
                    await pilot.pause()
            await pilot.pause(0.05)
            return look(app)

    return review, asyncio.run(go())


NAMES = {"enter", "escape", "down", "up", "tab", "space", "pagedown"}


def text_of(app, selector):
    return str(app.screen.query_one(selector, Static).render())


def decided(review):
    return [str(decision.what) for decision in review.decisions]


@pytest.mark.parametrize(
    ("keys", "decisions"),
    [
        (["m", "big", "enter"], ["move n04 to mammals/big cats"]),
        (["s", "1"], ["move n09 to reptiles/snakes"]),
        (["s", "m", "enter"], ["move n09 to reptiles/snakes"]),
        (["s", "m", "down", "enter"], ["move n09 to fish/carps"]),
        (["s", "m", "down", "up", "enter"], ["move n09 to reptiles/snakes"]),
        (["s", "m", "escape"], []),
        (["s", "m", "zzzz", "enter", "escape"], []),
        (["s", "n", "sea snakes", "enter"], ["move n09 to fish/sea snakes"]),
        (["s", "n", "enter"], []),
        (["s", "r", "long fish", "enter"], ["rename fish/eels to long fish"]),
        (["s", "R", "swimmers", "enter"], ["rename fish to swimmers"]),
        (["s", "g", "carp", "enter"], ["merge fish/eels into fish/carps"]),
        (["s", "G", "rept", "enter"], ["merge fish into reptiles"]),
        (["s", "p", "space", "down", "space", "enter", "biters", "enter"], ["split 2 classes off fish/eels as biters"]),
        (["s", "p", "space", "space", "enter"], []),
        (["s", "p", "space", "escape"], []),
        (["s", "P", "space", "down", "space", "enter", "sea", "enter"], ["split 2 classes off fish as sea"]),
        (["s", "y"], ["accept"]),
        (["s", "y", "u"], []),
        (["s", "a"], ["accept"] * 5),
        (["s", "a", "u"], []),
        (["/", "moray", "enter", "y"], ["accept"]),
        (["s", "e"], ["rename fish/eels to long fish"]),
        (["y"], []),
        (["r", "p", "e", "9", "x", "u"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_key_does_what_it_says(keys, decisions):
    review, _ = drive(keys, edit_text=lambda text: text.replace("eels", "long fish"))
    assert decided(review) == decisions


def burst(keys, review=None):
    """Types ahead: all keys are there before the first is read."""
    review = review or zoo()
    app = ReviewApp(review, title="zoo.json", edit_text=lambda text: text)

    async def go():
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            for key in keys:
                for press in [key] if key in NAMES else list(key):
                    name = {" ": "space", "/": "slash"}.get(press, press)
                    app.post_message(Key(name, {"enter": "\r", "escape": "\x1b", "down": None}.get(press, press)))
            quiet = 0
            for _ in range(2000):
                await pilot.pause(0.01)
                quiet = 0 if app._typed or app._reading or not app._message_queue.empty() else quiet + 1
                if quiet == 10 or app.return_code is not None:  # a key may be on its way between two queues
                    break
            return len(app.screen_stack), app.return_code

    return review, asyncio.run(go())


@pytest.mark.parametrize(
    ("keys", "decisions", "screens"),
    [
        (["s", "n", "yak", "enter"], ["move n09 to fish/yak"], 1),  # y accepts and a accepts all, elsewhere
        (["s", "n", "yak"], [], 2),
        (["s", "n", "yak", "escape", "y"], ["accept"], 1),
        (["s", "n", "yak", "enter", "y"], ["move n09 to fish/yak", "accept"], 1),
        (["m", "big", "enter", "y", "u"], ["move n04 to mammals/big cats"], 1),
        (["s", "/", "moray", "enter", "y", "r", "yy", "enter"], ["accept", "rename fish/eels to yy"], 1),
        (
            ["s", "p", " ", "down", " ", "enter", "ay", "enter", "y"],
            ["split 2 classes off fish/eels as ay", "accept"],
            1,
        ),
        (["?", "y", "s", "y"], ["accept"], 1),
        (["s", "down", "enter", "y"], ["accept"], 1),
        (["s", "y", "²", "٣"], ["accept"], 1),
        (["m", "zzz", "enter", "y"], [], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_keys_that_are_typed_ahead_go_where_they_were_meant(keys, decisions, screens):
    review, (found, _) = burst(keys)
    assert (decided(review), found) == (decisions, screens)


def test_typed_ahead_enter_in_the_tree_is_followed_before_the_next_key():
    review, _ = burst(["s", "down", "enter", "y"])
    assert [decision.subject for decision in review.decisions] == ["machines"]


def test_no_key_behind_q_counts():
    review, _ = burst(["s", "q", "y", "a"])
    assert not review.decisions


def test_every_key_is_driven_somewhere_here():
    marks = test_every_key_does_what_it_says.pytestmark[0].args[1]
    pressed = {key for keys, _ in marks for key in keys}
    assert {key.key for key in KEYS} - {"q", "?"} <= pressed


def test_q_ends_the_app_and_help_is_shown_until_a_key():
    _, running = drive(["q"], look=lambda app: app.is_running and app.return_code is None)
    assert not running
    _, shown = drive(["?"], look=lambda app: text_of(app, ".box Static"))
    for key in KEYS:
        assert f"{key.key} {key.label}: {key.help}" in " ".join(shown.split())
    assert all(line[4:5] == " " for line in shown.splitlines()[: len(KEYS) + 3])  # what is wrapped is indented
    _, (box, text) = drive(
        ["?"], look=lambda app: [app.screen.query_one(name).size for name in (".box", ".box Static")]
    )
    assert text.height <= box.height  # all of it is seen
    review, screens = drive(["?", "y"], look=lambda app: len(app.screen_stack))
    assert screens == 1 and not review.decisions


@pytest.mark.parametrize("size", SIZES)
def test_the_question_its_witnesses_and_suggestions_are_all_on_the_screen(size):
    def look(app):
        return {id: (text_of(app, f"#{id}"), app.query_one(f"#{id}").region) for id in IDS}

    IDS = ("status", "about", "llm", "wordnet", "embedding", "suggestions", "keys")
    _, seen = drive(["s"], size=size, look=look)
    words = {id: text for id, (text, _) in seen.items()}
    assert words["status"].startswith("zoo.json   2/19   2 disputed left   Ada")
    assert "disputed" in words["about"] and "sea snake  n09" in words["about"]
    assert "what sea snake means" in words["about"] and "stands in fish/eels with eel, moray" in words["about"]
    assert words["llm"] == "LLM\n≠ 0.67 reptiles/snakes\n2 of 3 votes"
    assert words["wordnet"].startswith("WordNet\n≠ 0.80 reptiles") and words["embedding"].startswith(
        "embedding\n= 0.60"
    )
    assert words["suggestions"].startswith("1  move to reptiles/snakes\n2  move to fish/carps")
    regions = [region for _, region in seen.values()]
    assert all(region.area and region.right <= size[0] and region.bottom <= size[1] for region in regions)
    assert len({seen[id][1].y for id in ("llm", "wordnet", "embedding")}) == 1  # side by side


def test_what_differs_is_marked_by_more_than_colour():
    _, classes = drive(["s"], look=lambda app: [set(app.query_one(f"#{id}").classes) for id in ("llm", "embedding")])
    assert "apart" in classes[0] and "apart" not in classes[1]


def labels(app):
    tree = app.query_one(Tree)
    return [str(tree.get_node_at_line(line).label) for line in range(tree.last_line + 1)]


def test_the_tree_counts_what_is_reviewed_and_follows_the_question():
    def look(app):
        return labels(app), app.query_one(Tree).cursor_node.data

    _, (tree, cursor) = drive(["s", "y"], look=look)
    assert "1/4 fish" in tree and "0/4 mammals" not in tree and "0/3 mammals" in tree and "0/1 (unsettled)" in tree
    assert "· tabby" in tree and cursor == "n01"
    _, (tree, _) = drive(["s", "y", "/", "eel", "enter"], look=look)
    assert "✓ sea snake" in tree and "· eel" in tree


def test_the_tree_leads_to_a_class_or_a_node():
    review, _ = drive(["s", "down", "enter"])  # below the sea snake is the superclass of machines
    assert review.question.subject == "machines"


def test_a_refusal_is_said_and_nothing_is_lost():
    review, said = drive(["y"], look=lambda app: (text_of(app, "#said"), "refused" in app.query_one("#said").classes))
    assert said == ("! 'tiger' is unsettled; move it into a group", True) and review.question.subject == "n04"
    review, said = drive(["s", "y"], look=lambda app: text_of(app, "#said"))
    assert said == "accepted 'sea snake'"


def test_a_list_shrinks_by_what_is_typed():
    def look(app):
        return app.screen.query_one(Input).value, app.screen.query_one(OptionList).option_count

    _, (value, count) = drive(["s", "m", "cats"], look=look)
    assert (value, count) == ("cats", 2)


def test_a_class_is_not_offered_where_it_stands():
    def look(app):
        options = app.screen.query_one(OptionList)
        return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]

    _, offered = drive(["s", "m"], look=look)
    assert offered[:2] == ["reptiles/snakes  2", "fish/carps  1"] and not any("eels" in label for label in offered)


def test_names_that_look_like_markup_are_shown_as_they_are():
    review = zoo()
    review.do(Move("n01", "mammals/[red]cats[]"))
    review.jump("n01")
    _, tree = drive([], review, look=lambda app: (labels(app), text_of(app, "#about")))
    assert "1/1 [red]cats[]" in tree[0] and "stands in mammals/[red]cats[]" in tree[1]


def test_when_all_is_answered_it_says_so():
    review = zoo(only=["unsettled"])
    _, seen = drive(["m", "big", "enter"], review, look=lambda app: text_of(app, "#about"))
    assert seen == "no question is left; search a class, undo, or quit"
    review, _ = drive(["y", "m", "g", "u"], zoo(only=["oversized"]))
    assert not review.journal.log.decisions


def test_a_window_that_changes_its_size_keeps_everything_in_sight():
    app = ReviewApp(zoo(), title="zoo.json", edit_text=lambda text: text)

    async def go():
        async with app.run_test(size=(160, 50)) as pilot:
            wide = app.query_one(Tree).region.width
            await pilot.resize_terminal(80, 24)
            await pilot.pause()
            narrow = app.query_one(Tree).region.width
            await pilot.resize_terminal(50, 20)
            await pilot.pause()
            return wide, narrow, app.query_one(Tree).display, app.query_one("#keys").region.bottom

    wide, narrow, tree, bottom = asyncio.run(go())
    assert wide > narrow > 0 and not tree and bottom == 20


def test_a_thousand_classes_are_drawn_anew_before_a_person_notices():
    tree = load("imagenet1k")
    base = Proposal.from_hierarchy(tree)
    app = ReviewApp(Review(base, Memory(base), who="Ada"), title="x", edit_text=lambda text: text)

    async def go():
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            return {key: min([await seconds(pilot, key) for _ in range(5)]) for key in "ysu"}

    async def seconds(pilot, key):
        start = time.process_time()  # of this process, with all that drawing takes
        await pilot.press(key)
        await pilot.pause()
        return time.process_time() - start

    taken = asyncio.run(go())
    assert max(taken.values()) < 0.1, taken  # 0.03 measured
