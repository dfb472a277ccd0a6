"""An extension of griffe: examples in docstrings (`>>> ...`) become blocks of code in the API reference."""

from __future__ import annotations

from typing import Any

import griffe


class FenceDoctests(griffe.Extension):
    """Puts fences around the doctests of every docstring."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Runs once for each object, before its docstring is parsed."""
        if obj.docstring is not None:
            obj.docstring.value = fence(obj.docstring.value)


def fence(text: str) -> str:
    """Puts each paragraph that starts with `>>>` between fences.

    >>> fence("Adds.\\n\\n>>> 1 + 1\\n2").splitlines()
    ['Adds.', '', '```python', '>>> 1 + 1', '2', '```']
    """
    paragraphs = text.split("\n\n")
    return "\n\n".join(f"```python\n{p}\n```" if p.startswith(">>> ") else p for p in paragraphs)
