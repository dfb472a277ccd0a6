"""Files of messages in tests/golden, by case: a line for the case, an indented one for what is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from support import TESTS

FOLDER = TESTS / "golden"


@dataclass(frozen=True)
class Golden:
    """The messages of one part.

    Args:
        name: of the file.
        cases: gives all cases there are, in the file's order.
    """

    name: str
    cases: Callable[[], Sequence[str]]

    @property
    def path(self) -> Path:
        """Where the file is."""
        return FOLDER / self.name

    def messages(self) -> dict[str, str]:
        """Case -> message, in the file's order."""
        lines = self.path.read_text(encoding="utf-8").splitlines() if self.path.exists() else []
        return {case: message.removeprefix("    ") for case, message in zip(lines[::2], lines[1::2], strict=True)}

    def compare(self, case: str, message: str) -> None:
        """Compares a message with the golden one, and the cases with those of the file; WRITE_GOLDEN=1 writes it."""
        assert "\n" not in message
        if os.environ.get("WRITE_GOLDEN"):
            known = self.messages() | {case: message}
            text = "".join(f"{name}\n    {known[name]}\n" for name in self.cases() if name in known)
            self.path.write_text(text, encoding="utf-8")
        else:
            assert list(self.messages()) == list(self.cases())
        assert self.messages().get(case) == message
