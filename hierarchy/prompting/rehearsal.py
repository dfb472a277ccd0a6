"""A chat that costs nothing: it answers as a model might that has the offline clustering in mind.

A proposal made with it says how many calls and tokens the real one will take, and is the real pipeline doing it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hierarchy.llm import Reply, Request, count_input_tokens, count_tokens
from hierarchy.tree import Hierarchy

ABOUT = "what belongs there, and where its border runs"  # as long as a model's would be


@dataclass(frozen=True)
class Rehearsal:
    """A chat that answers from a hierarchy over the classes that are asked about; class number n is label n - 1."""

    hierarchy: Hierarchy

    def __call__(self, requests: Sequence[Request]) -> list[Reply]:
        """Replies in the order of the requests, with the tokens that both would take."""
        return [self._reply(request) for request in requests]

    def _reply(self, request: Request) -> Reply:
        answer = getattr(self, f"_{request.prompt}")(request.about)
        text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
        return Reply(text, "stop", count_input_tokens(request), count_tokens(text), request.model)

    def _superclasses(self, about: Any) -> dict[str, Any]:
        names = dict.fromkeys(self.hierarchy.groups[number - 1][0] for number in about["classes"])
        return {"superclasses": [{"name": name, "about": ABOUT} for name in names]}

    def _merge(self, about: Any) -> dict[str, Any]:
        return {"superclasses": [{"name": name, "about": ABOUT} for name in dict.fromkeys(about["suggested"])]}

    def _assign(self, about: Any) -> dict[str, Any]:
        homes = [(number, self.hierarchy.groups[number - 1][0]) for number in about["classes"]]
        nodes = {name: node for node, name in enumerate(about["nodes"])}
        return {"placements": [{"id": number, "node": nodes.get(home, 0)} for number, home in homes]}

    def _groups(self, about: Any) -> dict[str, Any]:
        members: dict[str, list[int]] = {}
        for number in about["classes"]:
            members.setdefault(self.hierarchy.groups[number - 1][1], []).append(number)
        return {"groups": [{"name": name, "ids": numbers} for name, numbers in members.items()]}

    def _again(self, about: Any) -> dict[str, Any]:
        return {"placements": [{"id": number, "node": about["choices"][number][0]} for number in about["classes"]]}

    def _rename(self, about: Any) -> dict[str, Any]:
        return {"names": [{"node": node, "name": name} for node, name in about["names"].items()]}
