"""Labels in markup: Label Studio's labelling configs, and TensorFlow's label maps (.pbtxt)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from hierarchy.errors import SourceError
from hierarchy.sources.classes import Entry
from hierarchy.sources.files.content import Content
from hierarchy.sources.imagenet import from_word

CHOICES = ("Choice", "Label")  # the tags that hold a value
# a config's root is View; a list of words may begin with "<" too, like the tokens "<pad>" and "<unk>"
OPENING = re.compile(r"\s*<(\?xml\b|!--|!DOCTYPE\b|View\b)")


def read_label_studio(content: Content) -> list[Entry] | None:
    """The values of the one control in a Label Studio config; a Taxonomy has superclasses and groups.

    Raises:
        SourceError: it is not XML, defines entities, or has several controls with values.
    """
    data = content.data
    if isinstance(data, list) and len(data) == 1:  # the export of one project
        data = data[0]
    text = str(data.get("label_config", "")) if isinstance(data, Mapping) else content.text
    if not OPENING.match(text):
        return None
    root = _parse_xml(text, content)
    controls = [tag for tag in root.iter() if any(child.tag in CHOICES for child in tag) and tag.tag not in CHOICES]
    if len(controls) > 1:
        names = ", ".join(f"{control.tag} {control.get('name', '')!r}" for control in controls)
        raise SourceError(f"{content.path} has several lists of labels: {names}; keep one")
    return list(_values(controls[0], (), content)) if controls else None


def read_annotations(content: Content) -> list[Entry] | None:
    """The labels in the head of CVAT's annotations.xml."""
    if not re.match(r"\s*(<\?xml[^>]*>\s*)?<annotations\b", content.text):
        return None
    labels = [label.findtext("name") for label in _parse_xml(content.text, content).iter("label")]
    return [from_word(name, content.place(name)) for name in labels if name] or None


def _parse_xml(text: str, content: Content) -> ElementTree.Element:
    if "<!" in re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL):  # entities grow without limit
        raise SourceError(f"{content.path} declares a document type or entities; remove them")
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, RecursionError) as error:
        raise SourceError(f"{content.path}: not XML ({error}); is the file complete?") from None


def _values(tag: ElementTree.Element, above: tuple[str, ...], content: Content) -> Iterator[Entry]:
    """The choices below a tag that have none below them."""
    for choice in tag:
        if choice.tag not in CHOICES:
            continue
        name = choice.get("value", "")
        if any(child.tag in CHOICES for child in choice):
            yield from _values(choice, (*above, name), content)
        else:
            superclass, group, *_ = (*above, "", "")
            id = choice.get("alias") or name
            known = from_word(id, content.place(name), above=(superclass, group))
            yield Entry(known.place, id, name if id != name else known.name, known.definition, known.above)


def read_pbtxt(content: Content) -> list[Entry] | None:
    """TensorFlow's `item { name: "n02119789" id: 1 display_name: "kit fox" }`."""
    items = list(re.finditer(r"\bitem\s*:?\s*\{((?:[^{}]|\{[^{}]*\})*)\}", content.text))
    found = []
    for item in items:
        fields = {key: one or two or bare for key, one, two, bare in FIELD.findall(re.sub(r"\{[^{}]*\}", "", item[1]))}
        name = fields.get("name") or fields.get("display_name", "")
        place = f"{content.path}:{content.text.count(chr(10), 0, item.start()) + 1}"
        number = fields.get("id") or fields.get("label", "")
        known = from_word(name, place, index=int(number) if number.isdigit() else None)
        shown = fields.get("display_name") or known.name
        found.append(Entry(place, name, shown, known.definition, index=known.index))
    return found or None


FIELD = re.compile(r"""(\w+)\s*:\s*(?:"([^"\n]*)"|'([^'\n]*)'|([^\s,"']+))""")
