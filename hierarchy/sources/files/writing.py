"""The classes of a hierarchy in the forms of other tools, which `read_file` reads back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from xml.sax.saxutils import quoteattr

from hierarchy.errors import SourceError, nearest
from hierarchy.tree import Hierarchy


def write_labels(hierarchy: Hierarchy, form: str) -> str:
    """The classes of a hierarchy for another tool.

    Args:
        hierarchy: its ids are written, and its names and nodes where the form has room for them.
        form: `label-studio` (a Taxonomy), `fiftyone`, `coco` (categories with supercategories), `yolo` or `names`.

    Raises:
        SourceError: the form is unknown.

    >>> print(write_labels(Hierarchy(("n1",), ("tabby",), (("mammals", "cats"),)), "yolo"), end="")
    names:
      0: "n1"
    """
    if form not in WRITERS:
        raise SourceError(f"unknown format {form!r}{nearest(form, WRITERS)}; use one of {', '.join(WRITERS)}")
    return WRITERS[form](hierarchy)


def _label_studio(hierarchy: Hierarchy) -> str:
    """A labelling config with the tree as a Taxonomy; the alias of a class is its id."""
    lines = ["<View>", '  <Image name="image" value="$image"/>', '  <Taxonomy name="class" toName="image">']
    tree: dict[str, dict[str, list[tuple[str, str]]]] = {}
    for id, name, superclass, group in hierarchy.rows:
        tree.setdefault(superclass, {}).setdefault(group, []).append((id, name))
    for superclass, groups in tree.items():
        lines.append(f"    <Choice value={quoteattr(superclass)}>")
        for group, classes in groups.items():
            lines.append(f"      <Choice value={quoteattr(group)}>")
            lines += [f"        <Choice value={quoteattr(name)} alias={quoteattr(id)}/>" for id, name in classes]
            lines.append("      </Choice>")
        lines.append("    </Choice>")
    return "\n".join([*lines, "  </Taxonomy>", "</View>", ""])


def _fiftyone(hierarchy: Hierarchy) -> str:
    return json.dumps({"default_classes": list(hierarchy.classes)}, ensure_ascii=False, indent=1) + "\n"


def _coco(hierarchy: Hierarchy) -> str:
    rows = [
        {"id": number, "name": id, "supercategory": superclass, "group": group}
        for number, (id, _, superclass, group) in enumerate(hierarchy.rows, 1)
    ]
    lines = ",\n".join("  " + json.dumps(row, ensure_ascii=False) for row in rows)
    return f'{{"categories": [\n{lines}\n]}}\n'


def _yolo(hierarchy: Hierarchy) -> str:
    # a JSON string is a YAML string, whatever is in it
    names = (f"  {number}: {json.dumps(id, ensure_ascii=False)}" for number, id in enumerate(hierarchy.classes))
    return "\n".join(["names:", *names, ""])


def _names(hierarchy: Hierarchy) -> str:
    return "\n".join([*hierarchy.classes, ""])


WRITERS: Mapping[str, Callable[[Hierarchy], str]] = {
    "label-studio": _label_studio,
    "fiftyone": _fiftyone,
    "coco": _coco,
    "yolo": _yolo,
    "names": _names,
}
