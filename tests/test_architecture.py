"""The rooms and their arrows (docs/architecture.md): imports run one way, without circles, and rooms stay small.

Reads every import of every file with `ast`, inside functions and under TYPE_CHECKING too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from support import ROOT

# A room may import the rooms in lines above its own, but none in its own line.
ORDER = {
    "hierarchy": [
        ["errors"],
        ["files", "english"],
        ["names"],
        ["tree"],
        ["io"],
        ["sources"],
        ["proposal"],
        ["wordnet"],
        ["llm"],
        ["views"],
        ["cluster"],
        ["prompting"],
        ["checks"],
        ["review"],
        ["dataset"],
        ["model"],
        ["generate"],
        ["cli"],
    ],
    "timm_nhl": [
        ["errors"],
        ["experts", "rejection"],
        ["weights"],
        ["presets"],
        ["costs"],
        ["models"],
        ["growing"],
        ["export", "serving"],
        ["data", "bundle"],
        ["features"],
        ["routers"],
        ["train", "eval", "planning", "latency"],
        ["converting"],
        ["cli"],
    ],
}
MOST_FILES = {"hierarchy": 9, "timm_nhl": 4}  # directly in the package
MOST_IN_A_ROOM = 10
LONGEST_FILE = 300
LONGEST_FUNCTION = 60


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str) -> Iterator[str]:
    """Every `module` and `module.name` that a source imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import; write the whole name"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def exported(source: str) -> set[str]:
    """The names in a file's `__all__`."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def graph(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Module -> the modules it imports; `from a.b import c` is an arrow to a.b.c if that is a module, and a.b does not
    export another c."""
    faces = {f"{module}.{name}": module for module, source in sources.items() for name in exported(source)}
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        arrows = set()
        for name in imported(source):
            target = faces.get(name, name)
            while target and target not in sources:
                target = target.rpartition(".")[0]
            if target and target != module:
                arrows.add(target)
        found[module] = arrows
    return found


def circles(arrows: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Strongly connected components of more than one node, by Tarjan's algorithm on an explicit stack."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    on_stack: dict[str, None] = {}
    found = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        on_stack[node] = None
        for other in sorted(arrows[node]):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in on_stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            component = []
            while True:
                top, _ = on_stack.popitem()
                component.append(top)
                if top == node:
                    break
            if len(component) > 1:
                found.append(tuple(sorted(component)))

    for node in sorted(arrows):
        if node not in index:
            visit(node)
    return found


def room_of(module: str) -> tuple[str, str]:
    """(package, room) of a module; the package's own face has the room ""."""
    package, _, rest = module.partition(".")
    return package, rest.partition(".")[0]


def wrong_arrows(arrows: Mapping[str, Iterable[str]], order: Mapping[str, list[list[str]]]) -> list[str]:
    """Imports against the order of rooms."""
    height = {(package, room): i for package, lines in order.items() for i, line in enumerate(lines) for room in line}
    found = []
    for module, targets in arrows.items():
        here = room_of(module)
        if here[1] in ("", "__main__"):  # the package's face and `python -m` see everything
            continue
        for target in targets:
            there = room_of(target)
            if here[0] == there[0]:
                if there[1] == "" or (here != there and height[there] >= height[here]):
                    found.append(f"{module} -> {target}")
            elif here[0] == "hierarchy":
                found.append(f"{module} -> {target}")
    return sorted(found)


def past_a_face(arrows: Mapping[str, Iterable[str]], modules: Iterable[str]) -> list[str]:
    """Imports of a file inside another room, where the room's `__init__` is the face to import from."""
    rooms = {module for module in modules if any(other.startswith(f"{module}.") for other in modules)}
    return sorted(
        f"{module} -> {target}"
        for module, targets in arrows.items()
        for target in targets
        if target not in rooms
        and room_of(target) != room_of(module)
        and ".".join(room_of(target)) in rooms
        and room_of(module)[1] not in ("", "__main__")
    )


SOURCES = {module_of(path): path.read_text(encoding="utf-8") for p in ORDER for path in python_files(p)}
ARROWS = graph(SOURCES)


def test_no_circle_of_files():
    inside = {module: {target for target in targets if not is_face(target)} for module, targets in ARROWS.items()}
    assert circles(inside) == []


def is_face(module: str) -> bool:
    return any(other.startswith(f"{module}.") for other in SOURCES)


def test_no_circle_of_rooms():
    rooms: dict[str, set[str]] = {}
    for module, targets in ARROWS.items():
        if room_of(module)[1] not in ("", "__main__"):
            here = ".".join(room_of(module))
            rooms.setdefault(here, set()).update({".".join(room_of(t)) for t in targets} - {here})
    known = {room: {t for t in targets if t in rooms} for room, targets in rooms.items()}
    assert circles(known) == []


def test_arrows_run_one_way():
    assert wrong_arrows(ARROWS, ORDER) == []


def test_other_rooms_import_from_a_rooms_face():
    assert past_a_face(ARROWS, SOURCES) == []


@pytest.mark.parametrize("package", ORDER)
def test_every_room_has_its_place_in_the_order(package):
    rooms = {room_of(module)[1] for module in SOURCES if module.startswith(package)} - {"", "__main__"}
    assert rooms == {room for line in ORDER[package] for room in line}


@pytest.mark.parametrize("package", ORDER)
def test_every_face_says_what_its_room_is_for(package):
    for path in python_files(package):
        if path.name == "__init__.py":
            assert len((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split()) > 5, path


@pytest.mark.parametrize("package", ORDER)
def test_rooms_and_files_stay_small(package):
    files = python_files(package)
    assert len([path for path in files if path.parent == ROOT / package]) <= MOST_FILES[package]
    folders = {path.parent for path in files} - {ROOT / package}
    counts = {str(f.relative_to(ROOT)): len([path for path in files if path.parent == f]) for f in folders}
    assert {folder: count for folder, count in counts.items() if count > MOST_IN_A_ROOM} == {}
    lines = {module_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {module: count for module, count in lines.items() if count > LONGEST_FILE} == {}
    functions = {
        f"{module_of(path)}.{node.name}": node.end_lineno - node.lineno + 1
        for path in files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: count for name, count in functions.items() if count > LONGEST_FUNCTION} == {}


def test_these_tests_can_fail():
    sources = {
        "p": "",
        "p.low": "",
        "p.low.a": "from p.low.b import f",
        "p.low.b": "def f():\n    from p.low import a",
        "p.high": "",
        "p.high.c": "if TYPE_CHECKING:\n    from p.low.a import x",
        "p.low.d": "import p.high.c",
    }
    arrows = graph(sources)
    assert arrows["p.low.b"] == {"p.low.a"}  # seen inside a function
    assert circles(arrows) == [("p.low.a", "p.low.b")]
    assert wrong_arrows(arrows, {"p": [["low"], ["high"]]}) == ["p.low.d -> p.high.c"]
    assert past_a_face(arrows, sources) == ["p.high.c -> p.low.a", "p.low.d -> p.high.c"]
    sources |= {"p.low": "from p.low.a import a\n__all__ = ['a']", "p.high.c": "from p.low import a"}
    assert graph(sources)["p.high.c"] == {"p.low"}  # the function a, not its module
