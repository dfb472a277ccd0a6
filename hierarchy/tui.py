"""The review on a full screen: the same `Review`, keys and words as the dialogue, with the tree beside the question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from hierarchy.answers import DIGITS, KEYS, SIMPLE, TEXTUAL, node_of, split, take
from hierarchy.dialogue import TITLES, all_done, counted, definition, help_text, holds, stands, verdict
from hierarchy.editor import revise
from hierarchy.errors import HierarchyError
from hierarchy.fuzzy import fuzzy
from hierarchy.review import Review
from hierarchy.sheet import WITNESSES
from hierarchy.standing import groups, nodes

if TYPE_CHECKING:
    from rich.text import Text
    from textual.app import App

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
Help .box { width: 96%; max-height: 100%; }
.box OptionList { height: auto; max-height: 14; border: none; }
.box Input { border: tall $primary; }
"""
BREAKPOINTS = [(0, "-tiny"), (66, "-narrow"), (110, "-wide")]  # columns, and the class in CSS from there on


def run_app(review: Review, *, title: str, edit_text: Callable[[str], str]) -> None:
    """Reviews on the full screen until the person quits."""
    review_app(review, title=title, edit_text=edit_text).run()


def review_app(review: Review, *, title: str, edit_text: Callable[[str], str]) -> App[None]:
    """The app, not running yet.

    Args:
        review: what is reviewed.
        title: the name of the file.
        edit_text: shows a text in an editor and gives back what became of it.
    """
    from rich.text import Text
    from textual import events, work
    from textual.app import App, ComposeResult, SuspendNotSupported
    from textual.containers import Horizontal, Vertical, VerticalScroll
    from textual.screen import ModalScreen
    from textual.widgets import Input, OptionList, Static, Tree
    from textual.widgets.option_list import Option
    from textual.widgets.tree import TreeNode

    def _one_line(text: str) -> Text:
        return Text(text, no_wrap=True, overflow="ellipsis")

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

    class Picking(ModalScreen["list[str] | None"]):
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
            with VerticalScroll(classes="box"):
                yield Static(f"{help_text()}\n\n{more}\n{signs}\nany other key closes this", markup=False)

        def on_key(self, event: events.Key) -> None:
            if event.key not in ("up", "down", "pageup", "pagedown"):
                event.stop()
                self.dismiss(None)

    class Places(Tree[str]):
        """The hierarchy with counts; each node's data is a subject of the review."""

        def __init__(self) -> None:
            super().__init__("", id="tree")
            self.show_root = False
            self.guide_depth = 2
            self._at: dict[str, TreeNode[str]] = {}
            self._drawn: object = None

        def show(self, subject: str) -> None:
            """Draws what has changed and puts the cursor on a subject."""
            if self._drawn is not review.draft:
                self._draw()
            done = review.standing
            below: dict[str, list[str]] = {}
            for id, place in zip(review.draft.classes.ids, review.draft.places, strict=True):
                for path in (place[0], "/".join(place)) if place else ("",):
                    below.setdefault(path, []).append(id)
            for path, node in self._at.items():
                if not review.is_class(path):
                    ids = below.get(path, [])
                    reviewed = sum(id in done.classes for id in ids)
                    name = path.rpartition("/")[2] or "(unsettled)"
                    node.set_label(Text(f"{'✓ ' if path in done.nodes else ''}{reviewed}/{len(ids)} {name}"))
                else:
                    node.set_label(Text(f"{'✓' if path in done.classes else '·'} {review.name(path)}"))
            node_path = review.draft.place(subject) if review.is_class(subject) else subject
            for path in (node_path.partition("/")[0], node_path):
                if path in self._at:
                    self._open(self._at[path])
            if subject in self._at:
                self.call_after_refresh(self._point, subject)

        def _point(self, subject: str) -> None:
            if subject in self._at:
                self.move_cursor(self._at[subject])
                self.scroll_to(y=max(0, self._at[subject].line - self.size.height // 2), animate=False)

        def _draw(self) -> None:
            opened = [path for path, node in self._at.items() if node.is_expanded and not review.is_class(path)]
            self.clear()
            self._at = {}
            self._drawn = review.draft
            paths = sorted(nodes(review.draft))
            for path in [path for path in paths if "/" not in path]:
                self._at[path] = self.root.add(path, data=path)
            for path in [path for path in paths if "/" in path]:
                self._at[path] = self._at[path.partition("/")[0]].add(path, data=path)
            if review.draft.unsettled:
                self._at[""] = self.root.add("", data="")
            for path in opened:
                if path in self._at:
                    self._open(self._at[path])

        def _open(self, node: TreeNode[str]) -> None:
            self._fill(node)
            if not node.is_expanded:
                node.expand()

        def _fill(self, node: TreeNode[str]) -> None:
            """Puts the classes below a group, which are drawn only where somebody looks."""
            path = node.data or ""
            if ("/" in path or not path) and not node.children and not review.is_class(path):
                for id in review.members(path) if path else review.draft.unsettled:
                    mark = "✓" if id in review.standing.classes else "·"
                    self._at[id] = node.add_leaf(Text(f"{mark} {review.name(id)}"), data=id)

        def on_tree_node_expanded(self, event: Tree.NodeExpanded[str]) -> None:
            if event.node.data is not None:
                self._fill(event.node)

    class ReviewApp(App[None]):
        """The main screen."""

        ENABLE_COMMAND_PALETTE = False

        def compose(self) -> ComposeResult:
            yield Static(id="status", markup=False)
            with Horizontal(id="body"):
                yield Places()
                with Vertical(id="right"):
                    with VerticalScroll(id="question"):
                        yield Static(id="about", markup=False)
                        with Horizontal(id="witnesses"):
                            for witness in WITNESSES:
                                yield Static(id=witness, classes="witness", markup=False)
                    yield Static(id="suggestions", markup=False)
            yield Static(id="said", markup=False)
            yield Static(_key_bar(Text()), id="keys", markup=False)

        def on_mount(self) -> None:
            self._show()

        def _show(self) -> None:
            question, (number, of, disputed) = review.question, review.counter
            who = review.who or "looking only"
            self.query_one("#status", Static).update(
                f"{title}   {min(number, of)}/{of}   {disputed} disputed left   {who}"
            )
            self.query_one("#witnesses").display = bool(question and review.is_class(question.subject))
            if question is None:
                self.query_one("#about", Static).update(all_done(review))
                self.query_one("#suggestions", Static).update("")
                self.query_one(Places).show("")
                return
            self.query_one("#about", Static).update(self._about(question.subject))
            for witness in WITNESSES:
                self._witness(witness, question.subject)
            lines = [f"{i}  {review.words(edit)}" for i, edit in enumerate(review.suggestions, 1)]
            self.query_one("#suggestions", Static).update("\n".join(lines))
            self.query_one("#question", VerticalScroll).scroll_home(animate=False)
            self.query_one(Places).show(question.subject)

        def _about(self, subject: str) -> Text:
            question = review.asked()
            name = review.name(subject)
            text = Text()
            text.append(f" {', '.join(question.kinds)} ", style="bold reverse")
            text.append(f" {name}", style="bold")
            text.append(f"  {subject}\n" if name != subject else "\n", style="dim")
            if review.is_class(subject):
                text.append(f"{definition(review, subject)}\n" if definition(review, subject) else "")
                text.append(stands(review, subject))
            else:
                text.append(holds(review, subject))
            text.append("".join(f"\n{reason}" for reason in question.reasons), style="italic")
            return text

        def _witness(self, witness: str, subject: str) -> None:
            pane = self.query_one(f"#{witness}", Static)
            said = [opinion for opinion in review.said(subject) if opinion.witness == witness]
            verdicts = [verdict(review, subject, opinion) for opinion in said] if review.is_class(subject) else []
            pane.set_class(any(text[0] in "~≠" for text in verdicts), "apart")
            pane.set_class(not verdicts, "silent")
            text = Text(f"{TITLES[witness]}")
            for sentence, opinion in zip(verdicts, said, strict=False):
                text.append(f"\n{sentence}", style="bold")
                text.append(f"\n{opinion.why}")
            pane.update(text if verdicts else text.append("\nwas not asked"))

        # What the keys do

        def on_key(self, event: events.Key) -> None:
            if len(self.screen_stack) == 1 and event.character and not event.key.startswith("ctrl+"):
                key = event.character
                if key.isdigit() or key.lower() in {known.key for known in KEYS}:
                    event.stop()
                    self._answer(key)

        def on_tree_node_selected(self, event: Tree.NodeSelected[str]) -> None:
            if event.node.data:
                self._say(lambda: review.jump(event.node.data or ""))

        @work
        async def _answer(self, key: str) -> None:
            if key in "qQ":
                self.exit()
            elif key == "?":
                await self.push_screen_wait(Help())
            elif key.isdigit():
                self._say(lambda: take(review, int(key)))
            elif key in SIMPLE:
                self._say(lambda: SIMPLE[key](review))
            elif key == "e":
                self._say(self._edit)
            elif key == "/":
                found = await self.push_screen_wait(Asking("go to", _anywhere(review)))
                if found is not None:
                    self._say(lambda: review.jump(found))
            elif key in "pP":
                await self._split(superclass=key == "P")
            elif key in TEXTUAL:
                await self._ask(key)

        async def _ask(self, key: str) -> None:
            """Asks for what a key wants, and does it."""
            label = next(known.asks for known in KEYS if known.key == key.lower())
            try:
                question = review.asked()
                node = node_of(review, superclass=key in "RG") if key in "rRgG" else ""
            except HierarchyError as error:
                self._refuse(error)
                return
            candidates = _targets(review, question.subject if key == "m" else node) if key in "mgG" else None
            about = f"{key} {node}: " if node else f"{review.name(question.subject)}: "
            text = await self.push_screen_wait(Asking(about + label.partition(" (")[0], candidates))
            if text is not None:
                self._say(lambda: TEXTUAL[key](review, text))

        async def _split(self, *, superclass: bool) -> None:
            try:
                node = node_of(review, superclass=superclass)
            except HierarchyError as error:
                self._refuse(error)
                return
            choices = [(id, f"{review.name(id)}  {review.draft.place(id)}") for id in review.members(node)]
            ids = await self.push_screen_wait(Picking(f"split off {node}: which classes", choices))
            if ids:
                name = await self.push_screen_wait(Asking(f"{counted(len(ids))} off {node}: name of the new node"))
                if name is not None:
                    self._say(lambda: split(review, name, ids, superclass=superclass))

        def _edit(self) -> str:
            superclass = node_of(review, superclass=True)
            try:
                with self.suspend():
                    edits = revise(review.draft, superclass, edit_text)
            except SuspendNotSupported:
                edits = revise(review.draft, superclass, edit_text)
            return review.do(*edits)

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

    ReviewApp.CSS = CSS
    ReviewApp.HORIZONTAL_BREAKPOINTS = BREAKPOINTS
    return ReviewApp()


def _key_bar(text: Text) -> Text:
    """Adds all keys to a text, those that one looks for in bold."""
    for key, label in [(DIGITS, "take"), *((key.key, key.label) for key in KEYS)]:
        text.append(f"{key}\u00a0", style="bold").append(f"{label.replace(' ', chr(0xA0))}  ")
    return text


def _targets(review: Review, subject: str) -> Callable[[str], list[tuple[str, str]]]:
    """What a class can be moved to, or a node merged into: what is suggested first, then by the letters typed."""
    if review.is_class(subject) or "/" in subject:
        paths = sorted(groups(review.draft) - {subject})
    else:
        paths = sorted(path for path in nodes(review.draft) if "/" not in path and path != subject)
    first = [getattr(edit, "to", None) or getattr(edit, "into", "") for edit in review.suggestions]
    superclass = review.node(review.asked()).partition("/")[0]
    paths.sort(key=lambda path: path.partition("/")[0] != superclass)  # siblings first
    ordered = [*(path for path in first if path in paths), *(path for path in paths if path not in first)]
    labels = {path: f"{path}  {len(review.members(path))}" for path in ordered}
    return lambda text: [(path, labels[path]) for path in fuzzy(text, ordered)]


def _anywhere(review: Review) -> Callable[[str], list[tuple[str, str]]]:
    """Every class and node, by the letters of its name, its id or its path."""
    subjects = {path: path for path in sorted(nodes(review.draft))}
    for id in review.draft.classes.ids:
        subjects[f"{review.name(id)}  {id}  in {review.draft.place(id) or '(unsettled)'}"] = id
    return lambda text: [(subjects[label], label) for label in fuzzy(text, subjects)]
