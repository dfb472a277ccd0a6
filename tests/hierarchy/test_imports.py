"""Importing is cheap: heavy libraries are loaded by the functions that need them, in every room."""

import subprocess
import sys
from pathlib import Path

import pytest

import hierarchy

HEAVY = {
    "datasets",
    "nltk",
    "PIL",
    "numpy",
    "openai",
    "plotly",
    "pyarrow",
    "scipy",
    "sentence_transformers",
    "sklearn",
    "textual",
    "timm",
    "torch",
    "transformers",
}
FOLDER = Path(hierarchy.__file__).parent
ROOMS = sorted(path.parent.name for path in FOLDER.glob("*/__init__.py"))
MODULES = sorted(
    "hierarchy." + ".".join(path.relative_to(FOLDER).with_suffix("").parts)
    for path in FOLDER.rglob("*.py")
    if path.name != "__init__.py" and "tui" not in path.parts  # tui: classes of textual, imported for a terminal only
)


def load_modules(code):
    """The modules that a new Python process has loaded after running some code."""
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    found = load_modules("import hierarchy")
    assert "hierarchy.tree" in found
    assert not found & (HEAVY | {"pydantic", "rich", "typer"})


@pytest.mark.parametrize("room", ROOMS)
def test_importing_a_room_loads_no_heavy_library(room):
    found = load_modules(f"import hierarchy.{room}")
    assert not found & HEAVY
    assert room == "cli" or not found & {"rich", "typer"}


def test_importing_all_modules_loads_no_heavy_library_nor_the_networks():
    found = load_modules("import " + ", ".join(MODULES))
    assert set(MODULES) <= found
    assert not found & HEAVY
    assert "timm_nhl" not in found


def test_this_test_can_fail():
    assert load_modules("import hierarchy, numpy") & HEAVY == {"numpy"}


def test_using_a_hierarchy_loads_no_heavy_library():
    code = (
        "import hierarchy; tree = hierarchy.Hierarchy(('a', 'b'), ('a', 'b'), (('x', 'y'), ('x', 'z')));"
        "tree.subset('x/y').digest; tree.nodes(3); hierarchy.load(tree); tree.find('y')"
    )
    assert not load_modules(code) & HEAVY


def test_help_loads_no_heavy_library():
    code = "from hierarchy.cli.main import app; app(['--help'], standalone_mode=False)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    *shown, modules = done.stdout.splitlines()
    assert "Three-level hierarchies" in " ".join(shown)
    assert not set(modules.split()) & (HEAVY | {"pydantic"})
