"""The tree at the left of the full-screen review: the hierarchy with counts of what is reviewed."""

from __future__ import annotations

from rich.text import Text
from textual.widgets import Tree
from textual.widgets.tree import TreeNode

from hierarchy.review.review import Review
from hierarchy.review.state import nodes


class Places(Tree[str]):
    """The hierarchy with counts; each node's data is a subject of the review."""

    def __init__(self, review: Review) -> None:
        super().__init__("", id="tree")
        self._review = review
        self.show_root = False
        self.guide_depth = 2
        self._at: dict[str, TreeNode[str]] = {}
        self._drawn: object = None

    def show(self, subject: str) -> None:
        """Draws what has changed and puts the cursor on a subject."""
        if self._drawn is not self._review.proposal:
            self._draw()
        done = self._review.standing
        below: dict[str, list[str]] = {}
        for id, place in zip(self._review.proposal.classes.ids, self._review.proposal.places, strict=True):
            for path in (place[0], "/".join(place)) if place else ("",):
                below.setdefault(path, []).append(id)
        for path, node in self._at.items():
            if not self._review.is_class(path):
                ids = below.get(path, [])
                reviewed = sum(id in done.classes for id in ids)
                name = path.rpartition("/")[2] or "(unsettled)"
                label = f"{'✓ ' if path in done.nodes else ''}{reviewed}/{len(ids)} {name}"
            else:
                label = f"{'✓' if path in done.classes else '·'} {self._review.name(path)}"
            if str(node.label) != label:  # setting one draws the tree anew
                node.set_label(Text(label))
        node_path = self._review.proposal.place(subject) if self._review.is_class(subject) else subject
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
        opened = [path for path, node in self._at.items() if node.is_expanded and not self._review.is_class(path)]
        self.clear()
        self._at = {}
        self._drawn = self._review.proposal
        paths = sorted(nodes(self._review.proposal))
        for path in [path for path in paths if "/" not in path]:
            self._at[path] = self.root.add(path, data=path)
        for path in [path for path in paths if "/" in path]:
            self._at[path] = self._at[path.partition("/")[0]].add(path, data=path)
        if self._review.proposal.unsettled:
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
        if ("/" in path or not path) and not node.children and not self._review.is_class(path):
            for id in self._review.members(path) if path else self._review.proposal.unsettled:
                mark = "✓" if id in self._review.standing.classes else "·"
                self._at[id] = node.add_leaf(Text(f"{mark} {self._review.name(id)}"), data=id)

    def on_tree_node_expanded(self, event: Tree.NodeExpanded[str]) -> None:
        if event.node.data is not None:
            self._fill(event.node)
