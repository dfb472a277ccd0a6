"""The table of all forms in which files hold class names; to add one, write its reader and add a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hierarchy.errors import SourceError, nearest
from hierarchy.sources.classes import Entry
from hierarchy.sources.files import lines, markup, nested, objects, shapes, table
from hierarchy.sources.files.content import UNKNOWN, Content


class Form(NamedTuple):
    """One form: its name for --format, its title for messages, and its reader, which returns None for other forms."""

    name: str
    title: str
    read: Callable[[Content], list[Entry] | None]


DATA = (  # of JSON, YAML and literals of Python
    Form("hierarchy", "a hierarchy file", shapes.read_hierarchy),
    Form("yolo", "`names` of a YOLO data.yaml", shapes.read_yolo),
    Form("id2label", "`id2label` of a model's config.json", shapes.read_id2label),
    Form("label-names", "`label_names` of a timm config.json", shapes.read_label_names),
    Form("coco", "`categories` of a COCO file", objects.read_coco),
    Form("objects", "a list of objects with names", objects.read_objects),
    Form("dataset-info", "the class label of a Hugging Face dataset_info", shapes.read_dataset_info),
    Form("label-studio", "a Label Studio config", markup.read_label_studio),
    Form("named-list", "a list of class names under a usual key", shapes.read_named_list),
    Form("list", "a list of names", shapes.read_list),
    Form("idx-to-class", "a mapping of numbers to names", shapes.read_idx_to_class),
    Form("class-to-idx", "a mapping of names to numbers", shapes.read_class_to_idx),
    Form("grouped", "a mapping of superclasses and classes", shapes.read_grouped),
    Form("id-to-name", "a mapping of ids to names", shapes.read_id_to_name),
)
TEXT = (  # of anything else
    Form("label-studio", "a Label Studio config", markup.read_label_studio),
    Form("annotations", "the labels of CVAT's annotations.xml", markup.read_annotations),
    Form("darknet", "the .names file of a Darknet obj.data", lines.read_darknet),
    Form("colours", "a labelmap.txt with colours", lines.read_colours),
    Form("pbtxt", "a TensorFlow label map", markup.read_pbtxt),
    Form("table", "a table", table.read_table),
    Form("synsets", "a list of WordNet ids", lines.read_synsets),
    Form("number-first", "lines of a number and a name", lines.read_number_first),
    Form("number-last", "lines of a name and a number", lines.read_number_last),
)
NESTED = Form("nested", "class names inside a larger file", nested.read_nested)  # of data in none of the forms above
NAMES = Form("names", "names, one per line", lines.read_names)  # what every text can be
FORMS = {form.name: form for form in (*DATA, NESTED, *TEXT, NAMES)}


def read_file(path: str, form: str | None = None) -> tuple[list[Entry], str]:
    """The classes of a file, and the title of its form.

    Args:
        path: the file.
        form: the name of the form to read it as; None recognises it by its content.

    Raises:
        SourceError: the content has no known form, or several; it is a pickle, or too large.
        FormatError: it is not UTF-8, or is broken JSON or YAML.
    """
    if form is not None and form not in FORMS:
        raise SourceError(f"unknown format {form!r}{nearest(form, FORMS)}; use one of {', '.join(FORMS)}")
    content = Content(path)
    if form is not None:
        entries = FORMS[form].read(content)
        if entries is None:
            raise SourceError(f"{path} is not {FORMS[form].title}; leave out --format to have it recognised")
        return entries, FORMS[form].title
    data = content.ending not in (".csv", ".tsv") and content.data is not UNKNOWN
    found = [(entries, form) for form in (DATA if data else TEXT) if (entries := form.read(content)) is not None]
    if not found and data and (entries := nested.read_nested(content)):
        return entries, NESTED.title
    if not found and data:
        raise SourceError(f"{path} has no class names in a known form; use one of {', '.join(FORMS)} (see --format)")
    if not found:
        return lines.read_names(content), NAMES.title
    entries, first = found[0]
    others = [(again, form) for again, form in found[1:] if _classes(again) != _classes(entries)]
    if others:
        ways = " or as ".join(f"{form.title} ({_few(again)})" for again, form in [found[0], *others])
        names = " or ".join(form.name for _, form in [found[0], *others])
        raise SourceError(f"{path} can be read as {ways}; choose with --format {names}")
    return entries, first.title


def _classes(entries: list[Entry]) -> list[str]:
    """What makes two readings different: the ids in label order."""
    if all(entry.index is not None for entry in entries):
        entries = sorted(entries, key=lambda entry: entry.index or 0)
    return [entry.id for entry in entries]


def _few(entries: list[Entry]) -> str:
    names = ", ".join(repr(entry.id[:20]) for entry in entries[:2])
    return f"{len(entries)} classes: {names}" + (", ..." if len(entries) > 2 else "")
