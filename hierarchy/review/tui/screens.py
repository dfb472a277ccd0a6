"""The screens that open over the full-screen review: one asks for a text, one for some of a list, one is the help."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable, Sequence

from rich.text import Text
from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from hierarchy.review.line_ui import help_text


class Asking(ModalScreen[str | None]):
    """Asks for a text or, where there are candidates, for one of them by a few of its letters."""

    def __init__(self, label: str, candidates: Callable[[str], Iterable[tuple[str, str]]] | None = None) -> None:
        super().__init__()
        self._label, self._candidates = label, candidates
        self._values: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._label, markup=False)
            yield Input()
            if self._candidates:
                yield OptionList()

    def on_mount(self) -> None:
        self._fill("")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._fill(event.value)

    def _fill(self, text: str) -> None:
        if self._candidates:
            found = list(self._candidates(text))
            self._values = [value for value, _ in found]
            options = self.query_one(OptionList)
            options.clear_options()
            options.add_options([Option(_one_line(label)) for _, label in found])
            options.highlighted = 0 if found else None

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if not self._candidates:
            self.dismiss(event.value.strip() or None)
            return
        chosen = self.query_one(OptionList).highlighted
        if chosen is not None:
            self.dismiss(self._values[chosen])

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._values[event.option_index])

    def on_key(self, event: events.Key) -> None:
        if event.key == "escape":
            self.dismiss(None)
        elif self._candidates and event.key in ("up", "down"):
            options = self.query_one(OptionList)
            options.action_cursor_up() if event.key == "up" else options.action_cursor_down()
            event.stop()


class Picking(ModalScreen[list[str] | None]):
    """Asks which of some classes, any number of them."""

    def __init__(self, label: str, choices: Sequence[tuple[str, str]]) -> None:
        super().__init__()
        self._label, self._choices, self._marked = label, choices, set[int]()

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Static(self._label, markup=False)
            yield OptionList(*(Option(self._row(place)) for place in range(len(self._choices))))
            yield Static("space marks, enter is done, escape changes nothing", markup=False)

    def _row(self, place: int) -> Text:
        return _one_line(f"{'[x]' if place in self._marked else '[ ]'} {self._choices[place][1]}")

    def on_key(self, event: events.Key) -> None:
        options = self.query_one(OptionList)
        if event.key == "escape":
            self.dismiss(None)
        elif event.key == "space" and options.highlighted is not None:
            self._marked ^= {options.highlighted}
            options.replace_option_prompt_at_index(options.highlighted, self._row(options.highlighted))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss([self._choices[place][0] for place in sorted(self._marked)])


class Help(ModalScreen[None]):
    """Says what the keys do."""

    def compose(self) -> ComposeResult:
        more = "arrows and enter go to a class or node in the tree, tab leads to the question and back"
        signs = "= agrees, ~ another group, ≠ another superclass; ✓ reviewed; 3/7 reviewed of all"
        width = min(100, int(self.app.size.width * 0.96)) - 4  # of the box, less its border and its padding
        keys = [textwrap.fill(line, width, subsequent_indent=" " * 5) for line in help_text().splitlines()]
        with VerticalScroll(classes="box"):
            yield Static("\n".join([*keys, "", more, signs, "any other key closes this"]), markup=False)

    def on_key(self, event: events.Key) -> None:
        if event.key not in ("up", "down", "pageup", "pagedown"):
            event.stop()
            self.dismiss(None)


def _one_line(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")
