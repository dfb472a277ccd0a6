"""The full screen, driven by its keys; it decides the same as the dialogue, on the same session.

A screen takes half a second to open, so each test opens one and presses many keys.
"""

import asyncio

import pytest
from support.reviewing import zoo
from textual.events import Key
from textual.widgets import Input, OptionList, Static, Tree

from hierarchy.proposal import Move
from hierarchy.review.ui.actions import KEYS
from hierarchy.review.ui.tui.app import ReviewApp

NAMES = {"enter", "escape", "down", "up", "tab", "space", "pagedown"}


def drive(steps, session, *, edit_text=lambda text: text):
    """Opens the screen of a session and runs `steps(app, pilot)` on it."""
    app = ReviewApp(session, title="zoo.json", edit_text=edit_text)

    async def go():
        async with app.run_test(size=(80, 24)) as pilot:
            await pilot.pause()
            await steps(app, pilot)

    asyncio.run(go())


async def press(pilot, *keys):
    """Presses keys, a longer text letter by letter."""
    for key in keys:
        await pilot.press(*([key] if key in NAMES else key))
    await pilot.pause()


async def begin_again(session, app, pilot):
    """Closes all dialogs, undoes everything and asks about the unsettled tiger."""
    while len(app.screen_stack) > 1:
        await press(pilot, "escape")
    while session.history.decisions:
        session.undo()
    session.jump("n04")


def text_of(app, selector):
    return str(app.screen.query_one(selector, Static).render())


def decided(session):
    return [str(decision.what) for decision in session.history.decisions]


EVERY_KEY = [
    (["m", "big", "enter"], ["move n04 to mammals/big cats"]),
    (["s", "1"], ["move n09 to reptiles/snakes"]),
    (["s", "m", "enter"], ["move n09 to reptiles/snakes"]),
    (["s", "m", "carp", "enter"], ["move n09 to fish/carps"]),
    (["s", "m", "down", "up", "enter"], ["move n09 to reptiles/snakes"]),
    (["s", "m", "escape"], []),
    (["s", "m", "zzzz", "enter", "escape"], []),
    (["s", "n", "yak", "enter"], ["move n09 to fish/yak"]),
    (["s", "n", "enter"], []),
    (["s", "r", "koi", "enter"], ["rename fish/eels to koi"]),
    (["s", "R", "wet", "enter"], ["rename fish to wet"]),
    (["s", "g", "carp", "enter"], ["merge fish/eels into fish/carps"]),
    (["s", "G", "rept", "enter"], ["merge fish into reptiles"]),
    (["s", "p", "space", "down", "space", "enter", "yak", "enter"], ["split 2 classes off fish/eels as yak"]),
    (["s", "p", "space", "space", "enter"], []),
    (["s", "p", "space", "escape"], []),
    (["s", "P", "space", "down", "space", "enter", "sea", "enter"], ["split 2 classes off fish as sea"]),
    (["s", "y"], ["accept n09"]),
    (["s", "y", "u"], []),
    (["s", "a"], [f"accept {subject}" for subject in ("n09", "fish/carps", "n12", "n07", "n08")]),
    (["s", "a", "u"], []),
    (["/", "moray", "enter", "y"], ["accept n08"]),
    (["s", "w", "a kind of snake", "enter"], ["define n09 as 'a kind of snake'"]),
    (["s", "e"], ["rename fish/eels to long fish"]),
    (["y"], []),
    (["r", "p", "e", "9", "x", "u"], []),
    (["?", "y"], []),
    (["s", "down", "enter", "r", "tool", "enter"], ["rename machines to tool"]),  # below the sea snake in the tree
]


def test_every_key_does_what_it_says():
    session = zoo()

    async def steps(app, pilot):
        for keys, decisions in EVERY_KEY:
            await press(pilot, *keys)
            assert (keys, decided(session)) == (keys, decisions)
            await begin_again(session, app, pilot)

    drive(steps, session, edit_text=lambda text: text.replace("eels", "long fish"))
    assert {key.key for key in KEYS} - {"q"} <= {key for keys, _ in EVERY_KEY for key in keys}


def type_ahead(app, keys):
    """Types all keys before the first is read."""
    for key in keys:
        for letter in [key] if key in NAMES else key:
            name = {" ": "space", "/": "slash"}.get(letter, letter)
            app.post_message(Key(name, {"enter": "\r", "escape": "\x1b"}.get(letter, letter)))


def test_keys_typed_ahead_go_to_the_screen_they_open():
    session = zoo()

    async def steps(app, pilot):
        for keys, decisions, screens in [
            (["s", "n", "yak", "enter"], ["move n09 to fish/yak"], 1),  # on the main screen, y accepts, a accepts all
            (["s", "n", "yak"], [], 2),
            (["m", "big", "enter"], ["move n04 to mammals/big cats"], 1),
            (["m", "zzz", "enter", "y"], [], 2),
            (["s", "y", "u", "y"], ["accept n09"], 1),
            (["s", "y", "²", "٣"], ["accept n09"], 1),
            (["?", "y", "y"], [], 1),
            (["s", "n", "escape", "escape"], [], 1),
            (["s", "p", " ", "enter", "yay"], [], 2),  # lost rather than taken for y and a
            (["s", "n", "yak", "enter", "enter"], ["move n09 to fish/yak"], 1),
        ]:
            type_ahead(app, keys)
            for _ in range(3):
                await pilot.pause(0.02)
            assert (keys, decided(session), len(app.screen_stack)) == (keys, decisions, screens)
            await begin_again(session, app, pilot)

    drive(steps, session)


def test_q_quits_and_no_key_after_it_counts():
    session = zoo()

    async def steps(app, pilot):
        type_ahead(app, ["s", "q", "y", "a"])
        await pilot.pause(0.05)
        assert not app.is_running

    drive(steps, session)
    assert not session.history.decisions


def test_question_votes_and_suggestions_fit_every_size():
    parts = ("status", "about", "llm", "wordnet", "embedding", "suggestions", "keys")

    async def steps(app, pilot):
        await press(pilot, "s")
        widths = []
        for size in [(160, 50), (80, 24), (60, 20)]:
            await pilot.resize_terminal(*size)
            await pilot.pause()
            regions = [app.query_one(f"#{id}").region for id in parts]
            assert all(region.area and region.right <= size[0] and region.bottom <= size[1] for region in regions)
            assert len({region.y for region in regions[2:5]}) == 1  # the witnesses are side by side
            widths.append(app.query_one(Tree).region.width)
        assert widths[0] > widths[1] > 0 and not app.query_one(Tree).display

    drive(steps, zoo())


def test_the_question_shows_its_votes_and_a_refusal_is_shown():
    async def steps(app, pilot):
        await press(pilot, "y")
        assert text_of(app, "#said") == "! 'tiger' is unsettled; move it into a group"
        assert "refused" in app.query_one("#said").classes
        await press(pilot, "s")
        assert text_of(app, "#status").startswith("zoo.json   2/6   Ada")
        about = text_of(app, "#about")
        assert "unsure" in about and "sea snake  n09" in about
        assert "what sea snake means" in about and "in fish/eels with eel, moray" in about
        assert text_of(app, "#llm") == "LLM\n≠ 0.67 reptiles/snakes\n2 of 3 votes"
        assert text_of(app, "#wordnet").startswith("WordNet\n≠ 0.80 reptiles")
        assert text_of(app, "#embedding").startswith("embedding\n= 0.60")
        assert app.query_one("#llm").has_class("apart") and not app.query_one("#embedding").has_class("apart")
        assert text_of(app, "#suggestions").startswith("1  move to reptiles/snakes")
        await press(pilot, "y")
        assert text_of(app, "#said") == "accepted 'sea snake'" and "refused" not in app.query_one("#said").classes

    drive(steps, zoo())


def test_the_help_explains_the_numbers_and_all_keys():
    async def steps(app, pilot):
        await press(pilot, "?")
        shown = text_of(app, ".box Static")
        assert shown.startswith("(1/6): question 1 of 6.") and "LLM: has not voted." in shown
        shown = shown.partition("\n\n")[2]
        for key in KEYS:
            assert f"{key.key} {key.label}: {key.help}" in " ".join(shown.split())
        assert all(line[4:5] == " " for line in shown.splitlines()[: len(KEYS) + 1])  # what is wrapped is indented
        await press(pilot, "pagedown")
        assert app.screen.query_one(".box").scroll_y > 0  # the rest is a page away

    drive(steps, zoo())


def labels(app):
    tree = app.query_one(Tree)
    return [str(tree.get_node_at_line(line).label) for line in range(tree.last_line + 1)]


def test_the_tree_counts_what_is_reviewed_and_follows_the_question():
    session = zoo()

    async def steps(app, pilot):
        await press(pilot, "s", "y")
        await pilot.pause(0.05)
        assert {"1/4 fish", "0/3 mammals", "0/1 (unsettled)", "· tabby"} <= set(labels(app))
        assert app.query_one(Tree).cursor_node.data == "n01"
        await press(pilot, "/", "eel", "enter")
        assert {"✓ sea snake", "· eel"} <= set(labels(app))
        session.edit(Move("n01", "mammals/[red]cats[]"))  # names that look like markup are shown as they are
        await press(pilot, "/", "tabby", "enter")
        assert "1/1 [red]cats[]" in labels(app) and "alone in mammals/[red]cats[]" in text_of(app, "#about")

    drive(steps, session)


def test_a_list_offers_other_groups_and_typing_filters_it():
    async def steps(app, pilot):
        await press(pilot, "s", "m")
        options = app.screen.query_one(OptionList)
        offered = [str(options.get_option_at_index(place).prompt) for place in range(options.option_count)]
        assert offered[:2] == ["reptiles/snakes  2", "fish/carps  1"] and not any("eels" in label for label in offered)
        await press(pilot, "cats")
        assert (app.screen.query_one(Input).value, options.option_count) == ("cats", 2)

    drive(steps, zoo())


@pytest.mark.parametrize(("kinds", "keys"), [(["unsettled"], ["m", "big", "enter"]), (["oversized"], ["y", "m", "g"])])
def test_the_end_is_announced(kinds, keys):
    session = zoo(only=kinds)

    async def steps(app, pilot):
        await press(pilot, *keys)
        assert text_of(app, "#about").startswith("no question is left")

    drive(steps, session)
    assert len(session.history.decisions) == (kinds == ["unsettled"])
