"""The review on a full screen: the same `Review`, keys and words as the dialogue, with the tree beside the question."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.widgets import Static, Tree

from hierarchy.errors import HierarchyError
from hierarchy.review.actions import DIGITS, KEYS, SIMPLE, TEXTUAL, node_of, split, take
from hierarchy.review.editor import revise
from hierarchy.review.fuzzy import fuzzy
from hierarchy.review.line_ui import TITLES, all_done, counted, definition, holds, stands, verdict
from hierarchy.review.review import Review
from hierarchy.review.spreadsheet import WITNESSES
from hierarchy.review.state import groups, nodes
from hierarchy.review.tui.screens import Asking, Help, Picking
from hierarchy.review.tui.tree import Places

# Blue agrees, orange differs, and a sign says the same: for eyes that tell no red from green.
CSS = """
Screen { layout: vertical; }
#status { height: 1; background: $primary-background; padding: 0 1; text-style: bold; }
#body { height: 1fr; }
#tree { width: 38; background: $surface; padding: 0; scrollbar-size: 0 1; }
#right { width: 1fr; }
#question { height: 1fr; scrollbar-size: 0 1; padding: 0 1; }
#about { height: auto; margin-bottom: 1; }
#witnesses { height: auto; }
.witness { width: 1fr; height: auto; border: round $primary; padding: 0 1; }
.witness.apart { border: heavy $warning; }
.witness.silent { border: round $surface-lighten-2; color: $text-muted; }
#suggestions { height: auto; max-height: 6; padding: 0 1; }
#said { height: auto; max-height: 3; padding: 0 1; }
#said.refused { background: $warning 30%; text-style: bold; }
#keys { height: auto; padding: 0 1; background: $primary-background; }
.-wide #question { height: auto; max-height: 80%; margin-bottom: 1; }
.-narrow #tree, .-tiny #tree { width: 22; }
.-tiny #tree { display: none; }
.-narrow .witness, .-tiny .witness { border: none; border-left: outer $primary; padding: 0 1 0 0; }
.-narrow .witness.apart, .-tiny .witness.apart { border-left: outer $warning; }
.-narrow .witness.silent, .-tiny .witness.silent { border-left: outer $surface-lighten-2; }
Asking, Picking, Help { align: center middle; }
.box { width: 80%; max-width: 100; height: auto; max-height: 90%; border: round $primary; background: $surface; }
.box { padding: 0 1; }
Help .box { width: 96%; max-height: 100%; scrollbar-size: 0 0; }
.box OptionList { height: auto; max-height: 14; border: none; }
.box Input { border: tall $primary; }
"""
NUMBERS = "123456789"  # not all that is a digit in Unicode
SOON = 0.01  # seconds until it is looked again whether a screen is open
AT_LAST = 1.0  # seconds after which a key counts as read even if what it set going got lost in a screen that closed
BREAKPOINTS = [(0, "-tiny"), (66, "-narrow"), (110, "-wide")]  # columns, and the class in CSS from there on


class ReviewApp(App[None]):
    """The main screen.

    Args:
        review: what is reviewed.
        title: the name of the file.
        edit_text: shows a text in an editor and gives back what became of it.
    """

    CSS = CSS
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [("ctrl+c", "quit", "quit")]  # nothing is lost by it

    def __init__(self, review: Review, *, title: str, edit_text: Callable[[str], str]) -> None:
        super().__init__()
        self._review, self._file, self._edit_text = review, title, edit_text
        self._tree = Places(review)
        self._typed: deque[events.Key] = deque()
        self._reading = True  # a key, or until everything is shown
        self._turn = 0  # counts the keys

    def compose(self) -> ComposeResult:
        yield Static(id="status", markup=False)
        with Horizontal(id="body"):
            yield self._tree
            with Vertical(id="right"):
                with VerticalScroll(id="question"):
                    yield Static(id="about", markup=False)
                    with Horizontal(id="witnesses"):
                        for witness in WITNESSES:
                            yield Static(id=witness, classes="witness", markup=False)
                yield Static(id="suggestions", markup=False)
        yield Static(id="said", markup=False)
        yield Static(_key_bar(), id="keys", markup=False)

    async def on_mount(self) -> None:
        self._show()
        await self._read(self._turn)

    def _show(self) -> None:
        question, (number, of, disputed) = self._review.question, self._review.position
        who = self._review.who or "looking only"
        self.query_one("#status", Static).update(
            f"{self._file}   {min(number, of)}/{of}   {disputed} disputed left   {who}"
        )
        self.query_one("#witnesses").display = bool(question and self._review.is_class(question.subject))
        if question is None:
            self.query_one("#about", Static).update(all_done(self._review))
            self.query_one("#suggestions", Static).update("")
            self._tree.show("")
            return
        self.query_one("#about", Static).update(self._about(question.subject))
        for witness in WITNESSES:
            self._witness(witness, question.subject)
        lines = [f"{i}  {self._review.words(edit)}" for i, edit in enumerate(self._review.suggestions, 1)]
        self.query_one("#suggestions", Static).update("\n".join(lines))
        self.query_one("#question", VerticalScroll).scroll_home(animate=False)
        self._tree.show(question.subject)

    def _about(self, subject: str) -> Text:
        question = self._review.asked()
        name = self._review.name(subject)
        text = Text()
        text.append(f" {', '.join(question.kinds)} ", style="bold reverse")
        text.append(f" {name}", style="bold")
        text.append(f"  {subject}\n" if name != subject else "\n", style="dim")
        if self._review.is_class(subject):
            text.append(f"{definition(self._review, subject)}\n" if definition(self._review, subject) else "")
            text.append(stands(self._review, subject))
        else:
            text.append(holds(self._review, subject))
        text.append("".join(f"\n{reason}" for reason in question.reasons), style="italic")
        return text

    def _witness(self, witness: str, subject: str) -> None:
        pane = self.query_one(f"#{witness}", Static)
        said = [vote for vote in self._review.said(subject) if vote.witness == witness]
        is_class = self._review.is_class(subject)
        verdicts = [verdict(self._review, subject, vote) for vote in said] if is_class else []
        pane.set_class(any(text[0] in "~≠" for text in verdicts), "apart")
        pane.set_class(not verdicts, "silent")
        text = Text(f"{TITLES[witness]}")
        for sentence, vote in zip(verdicts, said, strict=False):
            text.append(f"\n{sentence}", style="bold")
            text.append(f"\n{vote.why}")
        pane.update(text if verdicts else text.append("\nwas not asked"))

    # One key after the other: what a key opens or closes is open or closed before the next is read, so that keys
    # typed ahead go where the person meant them to, and none of them becomes a decision by the way.

    async def on_event(self, event: events.Event) -> None:
        if isinstance(event, events.Key) and not event.is_forwarded:
            self._typed.append(event)
            if not self._reading:
                await self._read(self._turn)
        else:
            await super().on_event(event)

    async def _read(self, turn: int) -> None:
        """Reads the next key, if the one of a turn is still the last."""
        if turn != self._turn:
            return
        self._reading = bool(self._typed)
        if not self._typed:
            return
        if len(self.screen_stack) > 1 and self.focused is None:  # it is just opening
            self.set_timer(SOON, partial(self._read, turn))
            return
        self._turn += 1
        start = self.focused or self.screen
        await super().on_event(self._typed.popleft())
        turn = self._turn
        # Once for what the nodes make of it, once for bindings, which the app goes by when a key has come up to it.
        self._climb(start, partial(self._climb, start, partial(self._read, turn)))
        self.set_timer(AT_LAST, partial(self._read, turn))

    def _climb(self, node: MessagePump, then: Callable[[], Any], hops: int = 2) -> None:
        """Follows a key from where it was typed up to the app, at each node behind the key and again behind what
        the node sent on account of it, and goes on then."""
        if hops and node.call_later(self._climb, node, then, hops - 1):
            return
        if node is self:
            self.call_next(then)
        else:
            self._climb(node._parent or self, then)

    # What the keys do

    def on_key(self, event: events.Key) -> None:
        if len(self.screen_stack) == 1 and event.character and not event.key.startswith("ctrl+"):
            key = event.character
            if key in NUMBERS or key.lower() in {known.key for known in KEYS}:
                event.stop()
                self._answer(key)

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        if event.node.data:
            self._say(lambda: self._review.jump(event.node.data or ""))

    def _answer(self, key: str) -> None:
        if key in "qQ":
            self._typed.clear()
            self._turn += 1  # no key is read any more
            self.exit()
        elif key == "?":
            self.push_screen(Help())
        elif key in NUMBERS:
            self._say(lambda: take(self._review, int(key)))
        elif key in SIMPLE:
            self._say(lambda: SIMPLE[key](self._review))
        elif key == "e":
            self._say(self._edit)
        elif key == "/":
            self._open(Asking("go to", _anywhere(self._review)), self._review.jump)
        elif key in "pP":
            self._split(superclass=key == "P")
        elif key in TEXTUAL:
            self._ask(key)

    def _open(self, screen: Screen[Any], act: Callable[[Any], str | None]) -> None:
        """Opens a screen, and does something with what is answered there."""
        self.push_screen(screen, lambda answer: self._say(lambda: act(answer)) if answer is not None else None)

    def _ask(self, key: str) -> None:
        """Asks for what a key wants, and does it."""
        label = next(known.asks for known in KEYS if known.key == key.lower())
        try:
            question = self._review.asked()
            node = node_of(self._review, superclass=key in "RG") if key in "rRgG" else ""
        except HierarchyError as error:
            self._refuse(error)
            return
        candidates = _targets(self._review, question.subject if key == "m" else node) if key in "mgG" else None
        about = f"{key} {node}: " if node else f"{self._review.name(question.subject)}: "
        label = about + label.partition(" (")[0]
        self._open(Asking(label, candidates), lambda text: TEXTUAL[key](self._review, text))

    def _split(self, *, superclass: bool) -> None:
        try:
            node = node_of(self._review, superclass=superclass)
        except HierarchyError as error:
            self._refuse(error)
            return

        def named(ids: list[str] | None) -> None:
            if ids:
                label = f"{counted(len(ids))} off {node}: name of the new node"
                self._open(Asking(label), lambda name: split(self._review, name, ids, superclass=superclass))

        ids = self._review.members(node)
        choices = [
            (id, f"{self._review.name(id)}  {self._review.proposal.place(id) if superclass else id}") for id in ids
        ]
        self.push_screen(Picking(f"split off {node}: which classes", choices), named)

    def _edit(self) -> str:
        superclass = node_of(self._review, superclass=True)
        try:
            with self.suspend():
                edits = revise(self._review.proposal, superclass, self._edit_text)
        except SuspendNotSupported:
            edits = revise(self._review.proposal, superclass, self._edit_text)
        return self._review.do(*edits)

    def _say(self, act: Callable[[], str | None]) -> None:
        """Does something and says what came of it."""
        try:
            said = act()
        except HierarchyError as error:
            self._refuse(error)
            return
        self.query_one("#said").remove_class("refused")
        self.query_one("#said", Static).update(said or "")
        self._show()

    def _refuse(self, error: Any) -> None:
        self.query_one("#said").add_class("refused")
        self.query_one("#said", Static).update(f"! {error}")


def _key_bar() -> Text:
    """All keys, with what is looked for in bold."""
    text = Text()
    for key, label in [(DIGITS, "take"), *((key.key, key.label) for key in KEYS)]:
        text.append(f"{key}\u00a0", style="bold").append(f"{label.replace(' ', chr(0xA0))}  ")
    return text


def _targets(review: Review, subject: str) -> Callable[[str], list[tuple[str, str]]]:
    """What a class can be moved to, or a node merged into: what is suggested first, then by the letters typed."""
    if review.is_class(subject) or "/" in subject:
        here = review.proposal.place(subject) if review.is_class(subject) else subject
        paths = sorted(groups(review.proposal) - {here})
    else:
        paths = sorted(path for path in nodes(review.proposal) if "/" not in path and path != subject)
    first = [getattr(edit, "to", None) or getattr(edit, "into", "") for edit in review.suggestions]
    superclass = review.node(review.asked()).partition("/")[0]
    paths.sort(key=lambda path: path.partition("/")[0] != superclass)  # siblings first
    ordered = [*(path for path in first if path in paths), *(path for path in paths if path not in first)]
    labels = {path: f"{path}  {len(review.members(path))}" for path in ordered}
    return lambda text: [(path, labels[path]) for path in fuzzy(text, ordered)]


def _anywhere(review: Review) -> Callable[[str], list[tuple[str, str]]]:
    """Every class and node, by the letters of its name, its id or its path."""
    subjects = {path: path for path in sorted(nodes(review.proposal))}
    for id in review.proposal.classes.ids:
        subjects[f"{review.name(id)}  {id}  in {review.proposal.place(id) or '(unsettled)'}"] = id
    return lambda text: [(subjects[label], label) for label in fuzzy(text, subjects)]
