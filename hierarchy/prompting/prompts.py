"""A prompt is a file in prompts/ with declared variables and a digest; rendering it with one missing is an error.

A file has three parts, divided by lines of `---`: a head (`when:`, `reply:`, `variables:`), the system's text, and the
user's text. `{{name}}` stands for a variable; each that is declared is used, and each that is used is declared.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

from hierarchy.errors import PromptError, in_one_sentence, nearest
from hierarchy.files import read_text
from hierarchy.io import folder

HEAD = ("when", "reply", "variables")
_VARIABLE = re.compile(r"\{\{(\w+)\}\}")


@dataclass(frozen=True)
class Prompt:
    """One template.

    Args:
        name: the file's, without its ending.
        when: when it is sent, for people.
        reply: the name of the schema of its answer, a class of `hierarchy.prompting.answers`.
        variables: what must be filled in.
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

        Raises:
            PromptError: a variable is missing or unknown; all of them are named.

        >>> load_prompt("mend").render(complaint="it was no JSON")[0][1][:60]
        'An earlier answer to this could not be used: it was no JSON.'
        """
        missing = [name for name in self.variables if name not in values]
        unknown = [name for name in values if name not in self.variables]
        problems = [f"variable {name!r} is missing; give it a value" for name in missing]
        problems += [f"unknown variable {name!r}{nearest(name, self.variables)}" for name in unknown]
        if problems:
            raise PromptError(in_one_sentence(f"prompt {self.name!r}", tuple(problems)))
        texts = (("system", self.system), ("user", self.user))
        return tuple((role, _VARIABLE.sub(lambda found: values[found[1]], text)) for role, text in texts if text)


def load_prompt(name: str) -> Prompt:
    """Reads a prompt by its name.

    Raises:
        PromptError: there is no such prompt, or its file is malformed; all problems are named.
    """
    path = folder("prompts") / f"{name}.md"
    if not path.is_file():
        names = list_prompts()
        raise PromptError(f"unknown prompt {name!r}{nearest(name, names)}; choose from {', '.join(names)}")
    return parse_prompt(name, read_text(path))


def parse_prompt(name: str, text: str) -> Prompt:
    """Reads the text of a prompt's file; errors as in `load_prompt`."""
    parts = re.split(r"^---\n", text, flags=re.MULTILINE)
    if len(parts) != 3:
        raise PromptError(
            f"prompt {name!r}: expected 3 parts (head, system, user) between lines of ---, got {len(parts)}"
        )
    head = dict(line.split(": ", 1) for line in parts[0].splitlines() if ": " in line)
    if tuple(head) != HEAD:
        raise PromptError(f"prompt {name!r}: expected the fields {', '.join(HEAD)}, got {', '.join(head) or 'none'}")
    variables = tuple(head["variables"].split(", "))
    used = _VARIABLE.findall(parts[1] + parts[2])
    problems = [f"variable {word!r} is declared but not used" for word in variables if word not in used]
    problems += [f"variable {word!r} is used but not declared" for word in dict.fromkeys(used) if word not in variables]
    if problems:
        raise PromptError(in_one_sentence(f"prompt {name!r}", tuple(problems)))
    digest = hashlib.sha256(text.encode()).hexdigest()
    return Prompt(name, head["when"], head["reply"], variables, parts[1].strip(), parts[2].strip(), digest)


def list_prompts() -> tuple[str, ...]:
    """Names of all prompts."""
    return tuple(sorted(path.stem for path in folder("prompts").glob("*.md") if path.stem != "README"))
