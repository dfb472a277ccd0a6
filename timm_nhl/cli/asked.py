"""What a person asks of a hierarchy in one line, where names may hold the commas that separate them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import itemgetter

from hierarchy import Hierarchy


def listed(hierarchy: Hierarchy, lines: Iterable[str]) -> list[str]:
    """Everything asked for in some lines: each is one name, or several separated by commas.

    A line is read so that as much of it as can be is names that the hierarchy knows, the longest first: a line that is
    a name is that name. What no reading knows stays together, for the error to name it.

    >>> pets = Hierarchy.from_rows([("n1", "tabby", "cats, dogs", "cats"), ("n2", "hound", "others", "dogs")])
    >>> listed(pets, ["tabby,cats, dogs", "hound, others/dogs,", ""])
    ['tabby', 'cats, dogs', 'hound', 'others/dogs', '']
    >>> listed(pets, ["hound,cats, dgos"])
    ['hound', 'cats, dgos']
    """
    known = {*hierarchy.classes, *hierarchy.names, *hierarchy.nodes(1), *hierarchy.nodes(2)}
    for id, name, superclass, group in hierarchy.rows:
        known |= {f"{superclass}/{group}/{name}", f"{superclass}/{group}/{id}"}
    return [name for line in lines for name in (_read(line.split(","), known) if line.strip() else [""])]


def _read(parts: Sequence[str], known: Collection[str]) -> list[str]:
    """Joins the parts of a line to names, so that the fewest parts are left over."""
    count, most = len(parts), 1 + max(name.count(",") for name in known)
    left = [0] * (count + 1)  # from each part on, how many belong to no name
    takes = [0] * count  # how many parts the name has that begins here; 0 for none
    for start in reversed(range(count)):
        sizes = range(min(most, count - start), 0, -1)  # the longest first, as `min` takes the first of equals
        ways = [(left[start + size], size) for size in sizes if _joined(parts[start : start + size]) in known]
        ways.append((left[start + 1] + bool(parts[start].strip()), 0))
        left[start], takes[start] = min(ways, key=itemgetter(0))
    names: list[str] = []
    start, after = 0, 0  # `after`: behind the last name
    while start < count:
        if takes[start]:
            names += [_joined(parts[after:start]).strip(", "), _joined(parts[start : start + takes[start]])]
            after = start + takes[start]
        start += max(1, takes[start])
    names.append(_joined(parts[after:]).strip(", "))
    return [name for name in names if name]


def _joined(parts: Sequence[str]) -> str:
    return ",".join(parts).strip()
