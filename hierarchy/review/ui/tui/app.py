"""The review on a full screen: the same session, keys and words as the line dialogue, with the tree on the left."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, ComposeResult, SuspendNotSupported
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.fuzzy import Matcher
from textual.screen import Screen
from textual.widgets import Static, Tree

from hierarchy.english import count
from hierarchy.errors import HierarchyError
from hierarchy.review.session import Session
from hierarchy.review.state import nodes
from hierarchy.review.ui.actions import (
    DIGITS,
    KEYS,
    WITH_TEXT,
    WITHOUT_TEXT,
    find_node,
    find_prompt,
    list_meanings,
    list_to_split,
    split,
    take,
)
from hierarchy.review.ui.describe import TITLES, describe_end, describe_numbers, describe_question, describe_vote
from hierarchy.review.ui.editor import revise
from hierarchy.review.ui.tui.screens import HelpScreen, SelectScreen, TextScreen
from hierarchy.review.ui.tui.style import BREAKPOINTS, CSS
from hierarchy.review.ui.tui.tree import HierarchyTree

NUMBERS = "123456789"  # str.isdigit would take other scripts' digits too
MOST_LISTED = 50

Candidates = Callable[[str], list[tuple[str, str]]]  # the text typed so far -> (value, label) of what matches


class ReviewApp(App[None]):
    """The main screen.

    Args:
        session: the review.
        title: the name of the file.
        edit_text: shows a text in an editor and returns the edited text.
    """

    CSS = CSS
    HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [("ctrl+c", "quit", "quit")]  # nothing is lost

    def __init__(self, session: Session, *, title: str, edit_text: Callable[[str], str]) -> None:
        super().__init__()
        self._session, self._file, self._edit_text = session, title, edit_text
        self._tree = HierarchyTree(session)
        self._is_busy = False  # quitting, or an answer is on its way

    def compose(self) -> ComposeResult:
        yield Static(id="status", markup=False)
        with Horizontal(id="body"):
            yield self._tree
            with Vertical(id="right"):
                with VerticalScroll(id="question"):
                    yield Static(id="about", markup=False)
                    with Horizontal(id="witnesses"):
                        for witness in TITLES:
                            yield Static(id=witness, classes="witness", markup=False)
                yield Static(id="suggestions", markup=False)
        yield Static(id="said", markup=False)
        yield Static(_describe_key_bar(), id="keys", markup=False)

    def on_mount(self) -> None:
        self._show()

    # What is shown

    def _show(self) -> None:
        session = self._session
        question, (number, of) = session.question, session.position
        who = session.who or "read-only"
        self._update("status", f"{self._file}   {min(number, of)}/{of}   {who}")
        self.query_one("#witnesses").display = bool(question and session.is_class(question.subject))
        if question is None:
            self._update("about", describe_end(session))
            self._update("suggestions", "")
            self._tree.show("")
            return
        self._update("about", self._describe_question())
        for witness in TITLES:
            self._show_votes(witness, question.subject)
        lines = [f"{i}  {session.describe(edit)}" for i, edit in enumerate(session.suggestions, 1)]
        self._update("suggestions", "\n".join(lines))
        self.query_one("#question", VerticalScroll).scroll_home(animate=False)
        self._tree.show(question.subject)

    def _update(self, id: str, text: str | Text) -> None:
        self.query_one(f"#{id}", Static).update(text)

    def _describe_question(self) -> Text:
        session, question = self._session, self._session.require_question()
        subject, name = question.subject, session.name(question.subject)
        text = Text()
        text.append(f" {', '.join(question.kinds)} ", style="bold reverse")
        text.append(f" {name}", style="bold")
        text.append(f"  {subject}\n" if name != subject else "\n", style="dim")
        return text.append("\n".join(describe_question(session)))

    def _show_votes(self, witness: str, subject: str) -> None:
        pane = self.query_one(f"#{witness}", Static)
        votes = [vote for vote in self._session.votes(subject) if vote.witness == witness]
        text, verdicts = Text(TITLES[witness]), [describe_vote(self._session, subject, vote) for vote in votes]
        for verdict, vote in zip(verdicts, votes, strict=True):
            text.append(f"\n{verdict}", style="bold").append(f"\n{vote.why}")
        pane.set_class(any(verdict[0] in "~≠" for verdict in verdicts), "apart")
        pane.set_class(not verdicts, "silent")
        pane.update(text if verdicts else text.append("\nno vote"))

    # What the keys do

    async def on_event(self, event: events.Event) -> None:
        # The keys of the main screen act here, before the next key is dispatched: what is typed ahead, as over a slow
        # connection, goes to the screen that the key before it opened.
        if isinstance(event, events.Key) and not event.is_forwarded and len(self.screen_stack) == 1:
            key = event.character or ""
            if self._is_busy:  # a key typed ahead is lost rather than taken for something else
                return
            if key and (key in NUMBERS or key.lower() in {known.key for known in KEYS}):
                try:
                    await self._press(key)
                except HierarchyError as error:
                    self._refuse(error)
                return
        await super().on_event(event)

    async def _press(self, key: str) -> None:
        if key in "qQ":
            self._is_busy = True
            self.exit()
        elif key == "?":
            await self.push_screen(HelpScreen(describe_numbers(self._session)))
        elif key in NUMBERS:
            self._say(lambda: take(self._session, int(key)))
        elif key in WITHOUT_TEXT:
            self._say(lambda: WITHOUT_TEXT[key](self._session))
        elif key == "e":
            self._say(self._edit)
        elif key == "/":
            await self._open(TextScreen("go to", _list_subjects(self._session)), self._session.jump)
        elif key in "pP":
            await self._split(superclass=key == "P")
        elif key in WITH_TEXT:
            await self._ask(key)

    async def _ask(self, key: str) -> None:
        """Asks for the text that a key needs, and acts."""
        session = self._session
        subject = session.require_question().subject
        node = find_node(session, superclass=key.isupper()) if key in "rRgG" else ""
        candidates = _list_targets(session, subject if key == "m" else node) if key in "mgG" else None
        if key == "w":
            candidates = _match({str(sense): sense.wnid for sense in list_meanings(session)})
        label = f"{node or session.name(subject)}: {find_prompt(key).partition(' (')[0]}"
        label += ": choose, or describe it" if key == "w" else ""
        await self._open(TextScreen(label, candidates, free=key == "w"), lambda text: WITH_TEXT[key](session, text))

    async def _split(self, *, superclass: bool) -> None:
        session = self._session
        node = find_node(session, superclass=superclass)
        choices = list_to_split(session, superclass=superclass)

        async def ask_name(ids: list[str]) -> None:
            label = f"{node}: name of the new node for {count(len(ids), 'class')}"
            await self._open(TextScreen(label), lambda text: split(session, text, ids, superclass=superclass))

        await self._push(SelectScreen(f"{node}: classes to split off", choices), ask_name)

    async def _open(self, screen: Screen[Any], act: Callable[[Any], str | None]) -> None:
        """Opens a screen, and acts on its answer."""

        async def say(answer: Any) -> None:
            self._say(lambda: act(answer))

        await self._push(screen, say)

    async def _push(self, screen: Screen[Any], then: Callable[[Any], Awaitable[None]]) -> None:
        """Opens a screen, and continues with its answer if there is one."""
        self._is_busy = True

        async def answered(answer: Any) -> None:
            self._is_busy = False
            if answer:
                await then(answer)

        await self.push_screen(screen, answered)

    def _edit(self) -> str:
        superclass = find_node(self._session, superclass=True)
        try:
            with self.suspend():
                edits = revise(self._session.proposal, superclass, self._edit_text)
        except SuspendNotSupported:
            edits = revise(self._session.proposal, superclass, self._edit_text)
        return self._session.edit(*edits)

    def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
        if event.node.data:
            subject = event.node.data
            self._say(lambda: self._session.jump(subject))

    def _say(self, act: Callable[[], str | None]) -> None:
        """Acts and says what came of it."""
        try:
            said = act()
        except HierarchyError as error:
            self._refuse(error)
            return
        self.query_one("#said").remove_class("refused")
        self._update("said", said or "")
        self._show()

    def _refuse(self, error: HierarchyError) -> None:
        self.query_one("#said").add_class("refused")
        self._update("said", f"! {error}")


def _describe_key_bar() -> Text:
    text = Text()
    for key, label in [(DIGITS, "take"), *((key.key, key.label) for key in KEYS)]:
        text.append(f"{key} ", style="bold").append(f"{label}  ")
    return text


def _list_targets(session: Session, subject: str) -> Candidates:
    """Where a class can be moved to, or a node be merged into: suggestions first, then its siblings."""
    here = session.node(subject)
    deep = "/" in here or session.is_class(subject)
    paths = sorted(path for path in nodes(session.proposal) if ("/" in path) == deep and path != here)
    suggested = [getattr(edit, "to", None) or getattr(edit, "into", "") for edit in session.suggestions]
    superclass = session.node(session.require_question().subject).partition("/")[0]
    rank = {path: place for place, path in enumerate(suggested)}
    paths.sort(key=lambda path: (rank.get(path, len(rank)), path.partition("/")[0] != superclass))
    return _match({f"{path}  {len(session.members(path))}": path for path in paths})


def _list_subjects(session: Session) -> Candidates:
    """Every class and node."""
    subjects = {path: path for path in sorted(nodes(session.proposal))}
    for id in session.proposal.classes.ids:
        subjects[f"{session.name(id)}  {id}  in {session.node(id) or '(unsettled)'}"] = id
    return _match(subjects)


def _match(values: dict[str, str]) -> Candidates:
    """Filters labels by the letters typed so far, best match first."""

    def search(text: str) -> list[tuple[str, str]]:
        matcher = Matcher(text.strip())
        scores = {label: matcher.match(label) if text.strip() else 1.0 for label in values}
        found = sorted((label for label in values if scores[label] > 0), key=scores.__getitem__, reverse=True)
        return [(values[label], label) for label in found[:MOST_LISTED]]

    return search
