"""One HTML page with a chart of a hierarchy and its findings; it opens without a network, from a mail or a disk."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from statistics import median
from typing import Any

from hierarchy.names import split_path
from hierarchy.proposal import Finding, rank
from hierarchy.tree import Hierarchy


def render_report(
    hierarchy: Hierarchy,
    findings: Iterable[Finding] = (),
    *,
    title: str,
    definitions: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
    images: Mapping[str, int] | None = None,
    pictures: Mapping[str, Sequence[str]] | None = None,
) -> str:
    """The text of a page: a chart to zoom into, a search, the findings worst first, and the figures.

    Args:
        hierarchy: what is shown.
        findings: what may be wrong with it; one whose node is not in the hierarchy is listed and leads nowhere.
        title: the heading.
        definitions: class id -> what the class is, for as many as are known.
        provenance: how the hierarchy came to be (see `HierarchyFile`); any JSON values.
        images: class id -> its images in a dataset; then nodes are as large as their images are many.
        pictures: class id -> some images of it, as base64 JPEGs (`hierarchy.sources.embed_pictures`).
    """
    from plotly.offline import get_plotlyjs

    worst_first = rank(findings)
    nodes = _nodes(hierarchy, definitions or {})
    if images is not None:
        nodes["images"] = [images.get(id, 0) for id in nodes["ids"]]
    if pictures is not None:
        nodes["pictures"] = [list(pictures.get(id, ())) for id in nodes["ids"]]
    parts = {
        "title": escape(title),
        "figures": _figures(hierarchy, worst_first),
        "provenance": _provenance(hierarchy, provenance or {}),
        "data": _in_script({"findings": _rows(worst_first, hierarchy), **nodes}),
        "plotly": get_plotlyjs().replace("</script", "<\\/script"),
    }
    template = files("hierarchy.checks").joinpath("report_page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], template)  # one pass: names may hold braces


def _nodes(hierarchy: Hierarchy, definitions: Mapping[str, str]) -> dict[str, Any]:
    """The tree as columns, one row per node: the root (0), then superclasses, groups and classes in node order."""
    superclasses, groups, _ = hierarchy.sizes
    place = hierarchy.ancestors(3)
    labels = sorted(range(len(hierarchy)), key=place.__getitem__)
    group_of = hierarchy.ancestors(2)
    return {
        "names": [
            "all classes",
            *(split_path(path)[-1] for level in (1, 2) for path in hierarchy.nodes(level)),
            *(hierarchy.names[label] for label in labels),
        ],
        "parents": [
            -1,
            *(0 for _ in hierarchy.parents(1)),
            *(1 + parent for parent in hierarchy.parents(2)),
            *(1 + superclasses + group_of[label] for label in labels),
        ],
        "ids": [hierarchy.classes[label] for label in labels],
        "definitions": {
            1 + superclasses + groups + i: definitions[id]
            for i, id in enumerate(hierarchy.classes[label] for label in labels)
            if definitions.get(id)
        },
        "sizes": list(hierarchy.sizes),
    }


def _rows(findings: Sequence[Finding], hierarchy: Hierarchy) -> list[list[Any]]:
    """A row a finding: severity, kind, message, node, suggested edit, index of the node among `_nodes` or -1."""
    paths = [*hierarchy.nodes(1), *hierarchy.nodes(2), *hierarchy.nodes(3)]
    index = {"": 0} | {path: i for i, path in enumerate(paths, 1)}
    first = 1 + hierarchy.sizes[0] + hierarchy.sizes[1]
    index |= {id: first + place for id, place in zip(hierarchy.classes, hierarchy.ancestors(3), strict=True)}
    return [
        [
            finding.severity,
            finding.kind,
            finding.message,
            finding.node,
            str(finding.edit) if finding.edit else "",
            index.get(finding.node, -1),
        ]
        for finding in findings
    ]


def _figures(hierarchy: Hierarchy, findings: Sequence[Finding]) -> str:
    """The headline figures, as the items of a description list."""
    superclasses, groups, classes = hierarchy.sizes
    severities = Counter(finding.severity for finding in findings)
    kinds = ", ".join(f"{n:,} {severity}{'s' * (n != 1)}" for severity, n in severities.items())
    items = (
        ("superclass", "superclasses", superclasses, f"{_spread(Counter(hierarchy.parents(2)), 'group')} each"),
        ("group", "groups", groups, f"{_spread(Counter(hierarchy.ancestors(2)), 'class')} each"),
        ("class", "classes", classes, ""),
        ("finding", "findings", len(findings), kinds),
    )
    return "\n".join(
        f"<div><dt>{one if count == 1 else many}</dt><dd>{count:,}<small>{note}</small></dd></div>"
        for one, many, count, note in items
    )


def _spread(counts: Mapping[int, int], what: str) -> str:
    """The least, the median and the greatest of some counts.

    >>> _spread({0: 1, 1: 2, 2: 9, 3: 3}, "class")
    '1–9 (median 2.5) classes'
    """
    least, most = min(counts.values()), max(counts.values())
    plural = what + ("" if most == 1 else "es" if what.endswith("s") else "s")
    return (
        f"{least:,} {plural}" if least == most else f"{least:,}–{most:,} (median {median(counts.values()):,g}) {plural}"
    )


def _provenance(hierarchy: Hierarchy, provenance: Mapping[str, Any]) -> str:
    """How the hierarchy came to be, as the items of a description list; the digest first."""
    items = {"digest": hierarchy.digest, **provenance}
    plain = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in items.items()}
    return "\n".join(f"<dt>{escape(str(key))}</dt><dd>{escape(value)}</dd>" for key, value in plain.items())


def _in_script(value: Any) -> str:
    r"""JSON that can stand inside a script element: no name can close it, open a comment or be a line break.

    >>> _in_script("</script>")
    '"\\u003c/script\\u003e"'
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))  # ASCII: U+2028 and lone surrogates too
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
