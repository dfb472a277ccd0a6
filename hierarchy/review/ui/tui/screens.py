"""The screens that open over the full-screen review: one asks for a text, one for some classes, one is the help."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import ClassVar, TypeVar

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, SelectionList, Static
from textual.widgets.option_list import Option

from hierarchy.review.ui.describe import describe_keys

Answer = TypeVar("Answer")


class Dialog(ModalScreen[Answer | None]):
    """A screen that gives an answer once; None if it is cancelled."""

    BINDINGS: ClassVar = [("escape", "cancel", "cancel")]

    def answer(self, answer: Answer | None) -> None:
        """Closes the screen, unless a key before this one has closed it."""
        if self.is_current:
            self.dismiss(answer)

    def action_cancel(self) -> None:
        self.answer(None)


class TextScreen(Dialog[str]):
    """Asks for a text or, with candidates, for one of those that match it.

    Args:
        label: what is asked for.
        candidates: the text typed so far -> (value, label) of the candidates that match.
        free: whether a text that matches no candidate is an answer, too.
    """

    def __init__(
        self,
        label: str,
        candidates: Callable[[str], Iterable[tuple[str, str]]] | None = None,
        *,
        free: bool = False,
    ) -> None:
        super().__init__()
        self._label, self._candidates, self._free = label, candidates, free
        self._values: list[str] = []
        self._listed = ""

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._label, markup=False)
            yield Input()
            if self._candidates:
                yield OptionList()

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Input))  # at once, for keys that are typed ahead
        self._list_candidates("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._list_candidates(event.value)

    def _list_candidates(self, text: str) -> None:
        if self._candidates:
            found = list(self._candidates(text))
            self._values, self._listed = [value for value, _ in found], text
            options = self.query_one(OptionList)
            options.clear_options()
            options.add_options([Option(_clip(label)) for _, label in found])
            options.highlighted = 0 if found else None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self._candidates:
            self.answer(event.value.strip() or None)
            return
        if event.value != self._listed:  # the change is still on its way
            self._list_candidates(event.value)
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None:
            self.answer(self._values[chosen])
        elif self._free:
            self.answer(event.value.strip() or None)

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.answer(self._values[event.option_index])

    def on_key(self, event: events.Key) -> None:
        if self._candidates and event.key in ("up", "down"):
            options = self.query_one(OptionList)
            options.action_cursor_up() if event.key == "up" else options.action_cursor_down()
            event.stop()


class SelectScreen(Dialog[list[str]]):
    """Asks for any number of some classes.

    Args:
        label: what is asked for.
        choices: id -> label of each class.
    """

    BINDINGS: ClassVar = [Binding("enter", "done", priority=True)]

    def __init__(self, label: str, choices: Mapping[str, str]) -> None:
        super().__init__()
        self._label, self._choices = label, choices

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._label, markup=False)
            yield SelectionList[str](*((Content(label), id) for id, label in self._choices.items()))
            yield Static("space selects, enter accepts, escape cancels", markup=False)

    def on_mount(self) -> None:
        self.set_focus(self.query_one(SelectionList))

    def action_done(self) -> None:
        chosen = set(self.query_one(SelectionList).selected)
        if chosen:
            self.answer([id for id in self._choices if id in chosen])


class HelpScreen(Dialog[None]):
    """Explains the numbers on the screen below and the keys, until any key is pressed.

    Args:
        numbers: a line for each number.
    """

    def __init__(self, numbers: Iterable[str]) -> None:
        super().__init__()
        self._numbers = tuple(numbers)

    def compose(self) -> ComposeResult:
        more = "arrows, enter: go to a node or class in the tree; tab: tree or question"
        signs = "in the tree: ✓ reviewed, 3/7: 3 of 7 reviewed"
        width = min(100, int(self.app.size.width * 0.96)) - 4  # of the box, without its border and padding
        numbers = [textwrap.fill(line, width, subsequent_indent="  ") for line in self._numbers]
        keys = [textwrap.fill(line, width, subsequent_indent=" " * 5) for line in describe_keys().splitlines()]
        with VerticalScroll(classes="box"):
            yield Static("\n".join([*numbers, "", *keys, "", more, signs, "any other key closes this"]), markup=False)

    def on_key(self, event: events.Key) -> None:
        if event.key not in ("up", "down", "pageup", "pagedown"):
            event.stop()
            self.answer(None)


def _clip(label: str) -> Text:
    return Text(label, no_wrap=True, overflow="ellipsis")
