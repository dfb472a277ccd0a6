"""The answers of the server in openai_server.py: it reads the prompts as a model would, with one hierarchy in mind."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from hierarchy import Hierarchy

CLASS = re.compile(r"^(\d+)\. (.+?)(?:: .*)?$", re.MULTILINE)


class Brain:
    """Answers from a hierarchy over the classes that are asked about: class number n is its label n - 1."""

    def __init__(self, hierarchy: Hierarchy) -> None:
        self.groups = hierarchy.groups

    def __call__(self, messages: Sequence[Mapping[str, str]], schema: Mapping[str, Any] | None) -> str:
        texts = [message["content"] for message in messages]
        kind = next(kind for kind, mark in MARKS.items() if mark in texts[0])
        return json.dumps(getattr(self, kind)(texts[1]), separators=(",", ":"))

    def propose(self, text: str) -> dict[str, Any]:
        names = dict.fromkeys(self.groups[int(number) - 1][0] for number, _ in CLASS.findall(text))
        return {
            "superclasses": [{"name": name, "about": f"all that look like {name}"} for name in names],
            "meanings": [],
        }

    def merge(self, text: str) -> dict[str, Any]:
        names = dict.fromkeys(re.findall(r"^- (.+?): ", text, re.MULTILINE))
        return {"superclasses": [{"name": name, "about": f"all that look like {name}"} for name in names]}

    def assign(self, text: str) -> dict[str, Any]:
        nodes, classes = text.split("The classes (", 1)
        index = {name: int(number) for number, name in CLASS.findall(nodes)}
        homes = [(int(number), self.groups[int(number) - 1][0]) for number, _ in CLASS.findall(classes)]
        return {"placements": [{"id": number, "node": index.get(home, 0)} for number, home in homes]}

    def divide(self, text: str) -> dict[str, Any]:
        members: dict[str, list[int]] = {}
        for number, _ in CLASS.findall(text.split(" of them:\n\n", 1)[1]):
            members.setdefault(self.groups[int(number) - 1][1], []).append(int(number))
        return {"groups": [{"name": name, "ids": numbers} for name, numbers in members.items()], "misfits": []}

    def again(self, text: str) -> dict[str, Any]:
        placements = []
        for block in re.split(r"\n(?=\d+\. )", text.split("other classes:\n\n")[1]):
            number = int(block.split(".")[0])
            nodes = {path: int(node) for node, path in re.findall(r"node (\d+)\. (.+?) \(", block)}
            placements.append({"id": number, "node": nodes.get("/".join(self.groups[number - 1]), min(nodes.values()))})
        return {"placements": placements}

    def rename(self, text: str) -> dict[str, Any]:
        return {"names": []}


MARKS = {
    "propose": "You design the top level",
    "merge": "You settle the top level",
    "assign": "You sort the classes",
    "divide": "You divide one superclass",
    "again": "You settle where disputed classes",
    "rename": "You check the names",
}
