"""The tree of the full-screen review: the hierarchy, with counts of what is reviewed."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from hierarchy.names import join_path, split_path
from hierarchy.proposal import Proposal
from hierarchy.review.session import Session
from hierarchy.review.state import nodes


class HierarchyTree(Tree[str]):
    """The hierarchy; the data of each tree node is a subject of the review, "" for the unsettled classes."""

    def __init__(self, session: Session) -> None:
        super().__init__("", id="tree")
        self._session = session
        self.show_root = False
        self.guide_depth = 2
        self._by_subject: dict[str, TreeNode[str]] = {}
        self._drawn: Proposal | None = None

    def show(self, subject: str) -> None:
        """Draws what has changed, and puts the cursor on a subject."""
        session = self._session
        if self._drawn is not session.proposal:
            self._draw()
        node = session.node(subject)
        for path in (node.partition("/")[0], node):
            if path in self._by_subject:
                self._expand(self._by_subject[path])
        members: dict[str, list[str]] = {}
        for id, place in zip(session.proposal.classes.ids, session.proposal.places, strict=True):
            for path in (join_path(place[0]), join_path(*place)) if place else ("",):
                members.setdefault(path, []).append(id)
        for path, tree_node in self._by_subject.items():
            label = self._describe(path, members.get(path, []))
            if str(tree_node.label) != label:  # setting a label redraws it
                tree_node.set_label(Text(label))
        if subject in self._by_subject:
            self.call_after_refresh(self._point_at, subject)

    def _describe(self, subject: str, members: list[str]) -> str:
        session, state = self._session, self._session.state
        if session.is_class(subject):
            return f"{'✓' if subject in state.classes else '·'} {session.name(subject)}"
        reviewed = sum(id in state.classes for id in members)
        mark = "✓ " if subject in state.nodes else ""
        return f"{mark}{reviewed}/{len(members)} {split_path(subject)[-1] or '(unsettled)'}"

    def _point_at(self, subject: str) -> None:
        if subject in self._by_subject:
            self.move_cursor(self._by_subject[subject])
            self.scroll_to(y=max(0, self._by_subject[subject].line - self.size.height // 2), animate=False)

    def _draw(self) -> None:
        expanded = [path for path, node in self._by_subject.items() if node.is_expanded]
        self.clear()
        self._by_subject = {}
        self._drawn = self._session.proposal
        for path in sorted(nodes(self._drawn), key=lambda path: (path.count("/"), path)):
            parent = self._by_subject[path.partition("/")[0]] if "/" in path else self.root
            self._by_subject[path] = parent.add(path, data=path)
        if self._drawn.unsettled:
            self._by_subject[""] = self.root.add("", data="")
        for path in expanded:
            if path in self._by_subject:
                self._expand(self._by_subject[path])

    def _expand(self, node: TreeNode[str]) -> None:
        self._add_classes(node)
        if not node.is_expanded:
            node.expand()

    def _add_classes(self, node: TreeNode[str]) -> None:
        """Adds the classes of a group when it is first expanded: drawing a thousand at once is slow."""
        path = node.data or ""
        if ("/" in path or not path) and not node.children and not self._session.is_class(path):
            for id in self._session.members(path) if path else self._session.proposal.unsettled:
                self._by_subject[id] = node.add_leaf(Text(self._describe(id, [])), data=id)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[str]) -> None:
        if event.node.data is not None:
            self._add_classes(event.node)
