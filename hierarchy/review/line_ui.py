"""A review line by line, in the grammar of `git add -p`: it works over ssh, in pipes and in tests."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Sequence

from hierarchy.errors import HierarchyError, ReviewError
from hierarchy.proposal import Vote
from hierarchy.review.actions import (
    DIGITS,
    DIGITS_HELP,
    KEYS,
    SIMPLE,
    TEXTUAL,
    is_number,
    node_of,
    parse_numbers,
    split,
    take,
)
from hierarchy.review.editor import revise
from hierarchy.review.lookup import subjects_meant
from hierarchy.review.review import Review
from hierarchy.review.spreadsheet import WITNESSES

TITLES = {"llm": "LLM", "wordnet": "WordNet", "embedding": "embedding"}
PROMPT = "stands well? [" + ",".join(["1-9", *(key.key for key in KEYS)]) + "] "
SHOWN = 12  # classes of a group, or places found; the rest are counted


def converse(
    review: Review, *, ask: Callable[[str], str | None], say: Callable[[str], None], edit_text: Callable[[str], str]
) -> None:
    """Asks until the person quits.

    Args:
        review: what is reviewed.
        ask: shows a prompt and gives back a line without its end, or None at the end of the input.
        say: shows some lines.
        edit_text: shows a text in an editor and gives back what became of it.
    """
    say(", ".join(f"[{key.key}] {key.label}" for key in KEYS))
    shown: object = ()
    while True:
        state = (review.question, review.standing)
        if state != shown:
            say("\n" + (show(review, _columns()) if review.question else all_done(review)))
            shown = state
        answer = ask(PROMPT)
        if answer is None or answer.strip() in ("q", "Q"):
            say("" if answer is not None else "\n")
            return
        try:
            said = _answered(review, answer.strip(), ask, say, edit_text)
        except HierarchyError as error:
            said = f"! {error}"
        if said:
            say(textwrap.indent(said, "    "))


def _answered(
    review: Review,
    answer: str,
    ask: Callable[[str], str | None],
    say: Callable[[str], None],
    edit_text: Callable[[str], str],
) -> str:
    """What came of an answer: a key, with what it asks for behind it or asked for now."""
    key, text = answer[:1], answer[1:].strip()
    if not answer:
        return f"{_listed()}; ? explains them"
    if is_number(answer):
        return take(review, int(answer))
    if key in SIMPLE and not text:
        return SIMPLE[key](review)
    if key == "?" and not text:
        return help_text()
    if key == "e" and not text:
        superclass = node_of(review, superclass=True)
        return review.do(*revise(review.proposal, superclass, edit_text))
    wants = {known.key: known.asks for known in KEYS if known.asks}
    if key.lower() not in wants or (text and len(answer.split()[0]) > 1 and key != "/"):
        raise ReviewError(f"{answer[:40]!r} is no answer; {_listed()}, ? explains them")
    if key in "RGP" or key.lower() in "rgp":
        say(f"    {node_of(review, superclass=key in 'RGP')}")
    if not text:
        given = ask(f"    {wants[key.lower()]}: ")
        text = (given or "").strip()
    if not text and not (key == "m" and review.suggestions):
        return "nothing changes"
    if key == "/":
        return _searched(review, text, ask, say)
    if key in "pP":
        return _split(review, text, ask, say, superclass=key == "P")
    if key not in TEXTUAL:
        raise ReviewError(f"{answer[:40]!r} is no answer; {_listed()}, ? explains them")
    return TEXTUAL[key](review, text)


def _searched(review: Review, text: str, ask: Callable[[str], str | None], say: Callable[[str], None]) -> str:
    found = subjects_meant(text, review.proposal)
    if not found:
        raise ReviewError(f"nothing is called like {text!r}; try a shorter part of the name")
    if len(found) > 1:
        say(_numbered([_where(review, subject) for subject in found[:SHOWN]], len(found)))
        choice = ask("    which (a number): ")
        if not (choice or "").strip():
            return "nothing changes"
        (number, *_) = parse_numbers(choice or "", min(len(found), SHOWN))
        found = (found[number - 1],)
    review.jump(found[0])
    return ""


def _where(review: Review, subject: str) -> str:
    if review.is_class(subject):
        place = review.proposal.place(subject)
        return f"{review.name(subject)!r} {subject}, " + (f"in {place}" if place else "unsettled")
    return f"{subject}  ({counted(len(review.members(subject)))})"


def _split(
    review: Review, name: str, ask: Callable[[str], str | None], say: Callable[[str], None], *, superclass: bool
) -> str:
    members = review.members(node_of(review, superclass=superclass))
    say(_numbered([_where(review, id) if superclass else f"{review.name(id)}  {id}" for id in members], len(members)))
    choice = (ask(f"    which go to {name!r} (as 1 3 5-7): ") or "").strip()
    if not choice:
        return "nothing changes"
    ids = [members[number - 1] for number in parse_numbers(choice, len(members))]
    return split(review, name, ids, superclass=superclass)


def _numbered(lines: Sequence[str], count: int) -> str:
    text = "\n".join(f"    {number:3}  {line}" for number, line in enumerate(lines, 1))
    return text + (f"\n         and {count - len(lines)} more" if count > len(lines) else "")


# What is shown


def show(review: Review, columns: int = 80) -> str:
    """The question, what the witnesses say of it, and what is suggested."""
    question = review.asked()
    number, of, disputed = review.position
    kinds = ", ".join(question.kinds)
    name = review.name(question.subject)
    about = f"{name!r}" + (f" {question.subject}" if name != question.subject else "")
    lines = [f"({number}/{of}) {kinds}  {about}    {disputed} disputed left"]
    if review.is_class(question.subject):
        lines += _wrapped(definition(review, question.subject), columns)
        lines += _wrapped(stands(review, question.subject), columns)
        lines += _side_by_side(review, question.subject, columns)
    else:
        lines += _wrapped(holds(review, question.subject), columns)
    for reason in question.reasons:
        lines += _wrapped(reason, columns)
    lines += [f"    {number}  {review.words(edit)}" for number, edit in enumerate(review.suggestions, 1)]
    return "\n".join(lines)


def all_done(review: Review) -> str:
    """What is said when no question is left."""
    left = len(review.proposal.unsettled)
    unsettled = f", but {counted(left)} {'is' if left == 1 else 'are'} unsettled" if left else ""
    return f"no question is left{unsettled}; search a class, undo, or quit"


def counted(classes: int) -> str:
    """A number of classes."""
    return f"{classes} {'class' if classes == 1 else 'classes'}"


def help_text() -> str:
    """All keys and what they do."""
    rows = [(DIGITS, DIGITS_HELP), *((key.key, f"{key.label}: {key.help}") for key in KEYS)]
    return "\n".join(f"{key:4} {text}" for key, text in rows)


def definition(review: Review, id: str) -> str:
    """What a class means, if that is known."""
    classes = review.proposal.classes
    return dict(zip(classes.ids, classes.definitions, strict=True))[id]


def stands(review: Review, id: str) -> str:
    """Where a class stands, and with whom."""
    place = review.proposal.place(id)
    if not place:
        return "is unsettled: it has no place yet"
    others = [review.name(other) for other in review.members(place) if other != id]
    return f"stands in {place}" + (f" with {_some(others)}" if others else " alone")


def holds(review: Review, node: str) -> str:
    """What a node holds."""
    members = [review.name(id) for id in review.members(node)]
    return f"holds {counted(len(members))}: {_some(members)}"


def verdict(review: Review, id: str, vote: Vote) -> str:
    """A vote against where the class stands: "=" agrees, "~" another group, "≠" another superclass."""
    place = review.proposal.place(id)
    superclass, _, group = vote.node.partition("/")
    if not place:
        return f"→ {vote.strength:.2f} {vote.node}"
    if place.partition("/")[0] != superclass:
        return f"≠ {vote.strength:.2f} {vote.node}"
    apart = group and vote.node != place
    return f"~ {vote.strength:.2f} {vote.node}" if apart else f"= {vote.strength:.2f} here"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _side_by_side(review: Review, id: str, columns: int) -> list[str]:
    """The witnesses in three columns."""
    width = max(16, (columns - 8) // 3)
    said = review.said(id)
    if not said:
        return ["    no witness was asked"]
    cells = []
    for witness in WITNESSES:
        lines = [TITLES[witness]]
        own = [vote for vote in said if vote.witness == witness]
        for vote in own:
            for text in (verdict(review, id, vote), vote.why):
                lines += textwrap.wrap(text, width)[:3]
        cells.append(lines if own else [TITLES[witness], "-"])
    height = max(map(len, cells))
    rows = zip(*(lines + [""] * (height - len(lines)) for lines in cells), strict=True)
    return ["    " + "  ".join(f"{cell:{width}}" for cell in row).rstrip() for row in rows]


def _wrapped(text: str, columns: int) -> list[str]:
    return textwrap.wrap(text, columns, initial_indent="    ", subsequent_indent="    ")


def _listed() -> str:
    return "the keys are " + " ".join(key.key for key in KEYS) + f" {DIGITS}"


def _columns() -> int:
    return min(160, max(60, shutil.get_terminal_size((80, 24)).columns))
