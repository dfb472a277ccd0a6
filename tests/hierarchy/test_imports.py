"""Importing the package costs nothing: heavy libraries are loaded by the functions that need them."""

import ast
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
FULL_SCREEN = {"tui", "tui_screens", "tui_tree"}  # classes of textual, imported where a person is at a terminal
MODULES = sorted({path.stem for path in FOLDER.glob("*.py")} - {"__init__", "__main__"} - FULL_SCREEN)


def loaded(code):
    """Modules that a fresh Python has loaded after running a line."""
    code = f"import sys; {code}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_no_heavy_library():
    found = loaded("import hierarchy")
    assert "hierarchy.tree" in found
    assert not found & (HEAVY | {"rich", "typer"})


def test_importing_all_modules_loads_no_heavy_library_nor_the_networks():
    found = loaded("import " + ", ".join(f"hierarchy.{module}" for module in (*MODULES, "__main__")))
    assert {f"hierarchy.{module}" for module in MODULES} <= found
    assert not found & HEAVY
    assert "timm_nhl" not in found


@pytest.mark.parametrize("module", ["tree", "files", "classes", "proposal", "edits", "checks", "score", "report"])
def test_importing_one_module_loads_no_heavy_library(module):
    assert not loaded(f"import hierarchy.{module}") & (HEAVY | {"rich", "typer"})


@pytest.mark.parametrize("library", ["numpy", "nltk"])
def test_the_test_sees_a_heavy_library(library):
    assert library in loaded(f"import hierarchy, {library}") & HEAVY


def test_using_a_hierarchy_loads_no_heavy_library():
    code = (
        "import hierarchy; tree = hierarchy.Hierarchy(('a', 'b'), ('a', 'b'), (('x', 'y'), ('x', 'z')));"
        "tree.subset('x/y').digest; tree.nodes(3); hierarchy.load(tree); tree.find('y')"
    )
    assert not loaded(code) & HEAVY


def imports(source):
    """Names of all modules a file imports, wherever in it."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield "." * node.level + (node.module or "")


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_no_file_imports_the_networks(path):
    assert not [name for name in imports(path.read_text(encoding="utf-8")) if name.split(".")[0] == "timm_nhl"]


def test_commands_are_imported_by_nobody_but_the_command():
    for path in FOLDER.glob("*.py"):
        if path.name != "__main__.py":
            found = set(imports(path.read_text(encoding="utf-8")))
            commands = {"generate", "review_commands", "edit_commands", "dataset_commands", "__main__"}
            assert not found & {f"hierarchy.{name}" for name in commands}, path.name


def test_the_test_sees_an_import_inside_a_function():
    assert list(imports("def f():\n    from timm_nhl.models.nhl import NHL\n    import a.b")) == [
        "timm_nhl.models.nhl",
        "a.b",
    ]
