"""The full screen, driven by its keys; it decides the same as the dialogue, on the same session."""

import asyncio

import pytest
from support.reviewing import zoo
from textual.events import Key
from textual.widgets import Input, OptionList, Static, Tree

from hierarchy.proposal import Move
from hierarchy.review.ui.actions import KEYS
from hierarchy.review.ui.tui.app import ReviewApp

SIZES = [(80, 24), (160, 50), (60, 20)]


def drive(keys, session=None, *, size=(80, 24), edit_text=lambda text: text, look=lambda app: None):
    """Presses keys, a longer text letter by letter, and returns the session and what `look` saw."""
    session = session or zoo()
    app = ReviewApp(session, title="zoo.json", edit_text=edit_text)

    async def go():
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            for key in keys:
                for press in [key] if key in NAMES else list(key):
                    await pilot.press({" ": "space", "/": "slash", "?": "question_mark"}.get(press, press))
                    await pilot.pause()
            await pilot.pause(0.05)
            return look(app)

    return session, asyncio.run(go())


NAMES = {"enter", "escape", "down", "up", "tab", "space", "pagedown"}


def text_of(app, selector):
    return str(app.screen.query_one(selector, Static).render())


def decided(session):
    return [str(decision.what) for decision in session.history.decisions]


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
        (["s", "y"], ["accept n09"]),
        (["s", "y", "u"], []),
        (["s", "a"], [f"accept {subject}" for subject in ("n09", "fish/carps", "n12", "n07", "n08")]),
        (["s", "a", "u"], []),
        (["/", "moray", "enter", "y"], ["accept n08"]),
        (["s", "e"], ["rename fish/eels to long fish"]),
        (["y"], []),
        (["r", "p", "e", "9", "x", "u"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_every_key_does_what_it_says(keys, decisions):
    session, _ = drive(keys, edit_text=lambda text: text.replace("eels", "long fish"))
    assert decided(session) == decisions


def type_ahead(keys):
    """Types all keys before the first is read."""
    session = zoo()
    app = ReviewApp(session, title="zoo.json", edit_text=lambda text: text)

    async def go():
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            for key in keys:
                for press in [key] if key in NAMES else list(key):
                    name = {" ": "space", "/": "slash"}.get(press, press)
                    app.post_message(Key(name, {"enter": "\r", "escape": "\x1b"}.get(press, press)))
            for _ in range(5):
                await pilot.pause(0.02)
            return len(app.screen_stack)

    return session, asyncio.run(go())


@pytest.mark.parametrize(
    ("keys", "decisions", "screens"),
    [
        (["s", "n", "yak", "enter"], ["move n09 to fish/yak"], 1),  # on the main screen, y accepts and a accepts all
        (["s", "n", "yak"], [], 2),
        (["m", "big", "enter"], ["move n04 to mammals/big cats"], 1),
        (["m", "zzz", "enter", "y"], [], 2),
        (["s", "y", "u", "y"], ["accept n09"], 1),
        (["s", "y", "²", "٣"], ["accept n09"], 1),
        (["?", "y", "y"], [], 1),
        (["s", "n", "escape", "escape"], [], 1),
        (["s", "p", " ", "enter", "yay"], [], 2),  # lost rather than taken for y and a
        (["s", "n", "yak", "enter", "enter"], ["move n09 to fish/yak"], 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_keys_typed_ahead_go_to_the_screen_they_open(keys, decisions, screens):
    session, found = type_ahead(keys)
    assert (decided(session), found) == (decisions, screens)


def test_no_key_after_q_counts():
    session, _ = type_ahead(["s", "q", "y", "a"])
    assert not session.history.decisions


def test_every_key_is_tested_here():
    marks = test_every_key_does_what_it_says.pytestmark[0].args[1]
    pressed = {key for keys, _ in marks for key in keys}
    assert {key.key for key in KEYS} - {"q", "?"} <= pressed


def test_q_quits_and_any_key_closes_the_help():
    _, running = drive(["q"], look=lambda app: app.is_running and app.return_code is None)
    assert not running
    _, shown = drive(["?"], look=lambda app: text_of(app, ".box Static"))
    for key in KEYS:
        assert f"{key.key} {key.label}: {key.help}" in " ".join(shown.split())
    assert all(line[4:5] == " " for line in shown.splitlines()[: len(KEYS) + 1])  # what is wrapped is indented
    _, (box, text) = drive(
        ["?"], look=lambda app: [app.screen.query_one(name).size for name in (".box", ".box Static")]
    )
    assert text.height <= box.height  # all of it is seen
    session, screens = drive(["?", "y"], look=lambda app: len(app.screen_stack))
    assert screens == 1 and not session.history.decisions


@pytest.mark.parametrize("size", SIZES)
def test_question_votes_and_suggestions_fit_the_screen(size):
    def look(app):
        return {id: (text_of(app, f"#{id}"), app.query_one(f"#{id}").region) for id in IDS}

    IDS = ("status", "about", "llm", "wordnet", "embedding", "suggestions", "keys")
    _, seen = drive(["s"], size=size, look=look)
    words = {id: text for id, (text, _) in seen.items()}
    assert words["status"].startswith("zoo.json   2/19   2 disputed left   Ada")
    assert "disputed" in words["about"] and "sea snake  n09" in words["about"]
    assert "what sea snake means" in words["about"] and "in fish/eels with eel, moray" in words["about"]
    assert words["llm"] == "LLM\n≠ 0.67 reptiles/snakes\n2 of 3 votes"
    assert words["wordnet"].startswith("WordNet\n≠ 0.80 reptiles") and words["embedding"].startswith(
        "embedding\n= 0.60"
    )
    assert words["suggestions"].startswith("1  move to reptiles/snakes\n2  move to fish/carps")
    regions = [region for _, region in seen.values()]
    assert all(region.area and region.right <= size[0] and region.bottom <= size[1] for region in regions)
    assert len({seen[id][1].y for id in ("llm", "wordnet", "embedding")}) == 1  # side by side


def test_votes_that_differ_are_marked_by_more_than_colour():
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
    session, _ = drive(["s", "down", "enter"])  # below the sea snake is the superclass of machines
    assert session.question.subject == "machines"


def test_a_refusal_is_shown():
    session, said = drive(["y"], look=lambda app: (text_of(app, "#said"), "refused" in app.query_one("#said").classes))
    assert said == ("! 'tiger' is unsettled; move it into a group", True) and session.question.subject == "n04"
    session, said = drive(["s", "y"], look=lambda app: text_of(app, "#said"))
    assert said == "accepted 'sea snake'"


def test_typing_filters_a_list():
    def look(app):
        return app.screen.query_one(Input).value, app.screen.query_one(OptionList).option_count

    _, (value, count) = drive(["s", "m", "cats"], look=look)
    assert (value, count) == ("cats", 2)


def test_the_group_of_a_class_is_not_offered():
    def look(app):
        options = app.screen.query_one(OptionList)
        return [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]

    _, offered = drive(["s", "m"], look=look)
    assert offered[:2] == ["reptiles/snakes  2", "fish/carps  1"] and not any("eels" in label for label in offered)


def test_names_that_look_like_markup_are_shown_as_they_are():
    session = zoo()
    session.edit(Move("n01", "mammals/[red]cats[]"))
    session.jump("n01")
    _, tree = drive([], session, look=lambda app: (labels(app), text_of(app, "#about")))
    assert "1/1 [red]cats[]" in tree[0] and "alone in mammals/[red]cats[]" in tree[1]


def test_the_end_is_announced():
    session = zoo(only=["unsettled"])
    _, seen = drive(["m", "big", "enter"], session, look=lambda app: text_of(app, "#about"))
    assert seen == "no question is left; search for a class, undo or quit"
    session, _ = drive(["y", "m", "g", "u"], zoo(only=["oversized"]))
    assert not session.log.decisions


def test_the_layout_follows_the_size_of_the_window():
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
