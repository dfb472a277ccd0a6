"""A prompt is a file in prompts/: a head (`when:`, `reply:`, `variables:`), the system's text and the user's text.

The three parts are divided by lines of `---`, and `{{name}}` is a variable.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from hierarchy.files import read_text
from hierarchy.io import folder
from hierarchy.prompting.answers import SCHEMAS, show_shape

_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Prompt:
    """One template.

    Args:
        name: the file's, without its ending.
        when: when it is sent, for people.
        reply: the name of the schema of its answer, a class of `hierarchy.prompting.answers`.
        variables: what must be filled in; "answer", the shape of the reply, fills itself in.
        system, user: the two texts; one of them may be empty.
        digest: SHA-256 of the file in hexadecimal.
    """

    name: str
    when: str
    reply: str
    variables: tuple[str, ...]
    system: str
    user: str
    digest: str

    def render(self, **values: str) -> tuple[tuple[str, str], ...]:
        """The messages (role, text) with every variable filled in; what a value holds is never read as a variable.

        >>> load_prompt("mend").render(complaint="it was no JSON")[0][1][:60]
        'An earlier answer to this could not be used: it was no JSON.'
        """
        if self.reply in SCHEMAS:
            values["answer"] = show_shape(SCHEMAS[self.reply])
        assert values.keys() == set(self.variables), (self.name, values.keys())
        texts = (("system", self.system), ("user", self.user))
        return tuple((role, _VARIABLE.sub(lambda found: values[found[1]], text)) for role, text in texts if text)


def load_prompt(name: str) -> Prompt:
    """Reads a prompt by its name."""
    return parse_prompt(name, read_text(folder("prompts") / f"{name}.md"))


def parse_prompt(name: str, text: str) -> Prompt:
    """Reads the text of a prompt's file."""
    head, system, user = re.split(r"^---\n", text, flags=re.MULTILINE)
    when, reply, variables = (line.partition(": ")[2] for line in head.splitlines())
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Prompt(name, when, reply, tuple(variables.split(", ")), system.strip(), user.strip(), digest)


def list_prompts() -> tuple[str, ...]:
    """Names of all prompts."""
    return tuple(sorted(path.stem for path in folder("prompts").glob("*.md") if path.stem != "README"))
