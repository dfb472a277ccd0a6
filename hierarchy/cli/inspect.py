"""The commands that look at a hierarchy: show, check, score, report and explain."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hierarchy.cli.console import notify, print_json, show_progress
from hierarchy.english import count
from hierarchy.errors import OutputError, UnknownNode, WordNetMissing
from hierarchy.names import split_path
from hierarchy.views import DEFAULT_EMBED, compare_senses

if TYPE_CHECKING:
    from hierarchy.proposal import Finding, Proposal

SensesFile = Annotated[
    str | None, typer.Option("--senses", help="Senses to use, a file that `hierarchy senses` wrote.")
]
File = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="A hierarchy or a proposal: a .json or .csv file, or the name of a shipped one."
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def show_command(
    file: File,
    depth: Annotated[int, typer.Option(help="Number of levels to show.", min=1, max=3)] = 3,
    find: Annotated[str | None, typer.Option(help="Show only nodes with a name like this.")] = None,
) -> None:
    """Prints a hierarchy as a tree, or the paths of the nodes that a text may mean.

    Of a proposal, the settled classes are the tree, and the others are listed below it.
    """
    from hierarchy.review import read_current

    proposal = read_current(file)
    hierarchy = proposal.settled
    if find is not None:
        paths = hierarchy.find(find)
        if not paths:
            raise UnknownNode(f"no name in {file} is similar to {find!r}; try a shorter part of the name")
        for path in paths:
            ids = [hierarchy.classes[label] for label in hierarchy.labels(path)]
            typer.echo(f"{path}  ({ids[0] if path.count('/') == 2 else count(len(ids), 'class')})")
        return
    superclasses, groups, classes = hierarchy.sizes
    typer.echo(f"{count(superclasses, 'superclass')}, {count(groups, 'group')}, {count(classes, 'class')}")
    members: defaultdict[str, defaultdict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for path in hierarchy.nodes(3):
        superclass, group, name = split_path(path)
        members[superclass][group].append(name)
    for superclass, inside in members.items():
        typer.echo(f"{superclass} ({sum(map(len, inside.values()))})")
        for group, names in inside.items() if depth > 1 else ():
            typer.echo(f"    {group} ({len(names)})" + (f": {', '.join(names)}" if depth > 2 else ""))
    if proposal.unsettled:
        typer.echo(f"unsettled ({len(proposal.unsettled)}): {', '.join(proposal.unsettled)}")


def check_command(
    file: File,
    classes: Annotated[
        str | None, typer.Option(help="The source of the classes that it must contain, exactly.")
    ] = None,
    embed: Annotated[str, typer.Option(help="Embedder for the neighbour check, as for generate.")] = DEFAULT_EMBED,
    senses: SensesFile = None,
    most: Annotated[int, typer.Option(help="Number of findings to print; 0 for all.", min=0)] = 30,
    as_json: AsJson = False,
) -> int:
    """Lists what may be wrong with a hierarchy, worst first; exits with 1 if there are errors.

    Accepts files that are not valid hierarchies yet, with missing, duplicate or unknown classes; the others are checked
    without these.
    """
    from hierarchy.checks import check, gather
    from hierarchy.proposal import rank

    with show_progress() as progress:
        progress("reading")
        proposal, errors = _proposal(file, classes)
        evidence = gather(proposal.classes, embed, sheet=senses, progress=progress)
        progress("checking")
        known = {error.node for error in errors}
        found = check(proposal, evidence) if any(proposal.places) or not errors else ()
        findings = rank(
            [*errors, *(finding for finding in found if finding.kind != "missing" or finding.node not in known)]
        )
    if as_json:
        print_json([finding.to_dict() for finding in findings])
    else:
        for finding in findings[: most or None]:
            edit = f"  ->  {finding.edit}" if finding.edit else ""
            typer.echo(f"{finding.severity:8}{finding.kind:15}{finding.message}{edit}")
        if most and len(findings) > most:
            typer.echo(f"... and {len(findings) - most} more; --most 0 prints all")
        if not findings:
            typer.echo("no findings")
    return int(any(finding.severity == "error" for finding in findings))


def score_command(
    file: File,
    reference: Annotated[
        str, typer.Argument(metavar="REFERENCE", help="A hierarchy, or a map class -> superclass as .json or .csv.")
    ],
    as_json: AsJson = False,
) -> None:
    """Scores a hierarchy against a reference, corrected for chance, with random trees of its shape as a baseline.

    Of a proposal, the settled classes are scored.
    """
    from hierarchy.checks import read_reference, score
    from hierarchy.review import read_current

    result = score(read_current(file).settled, read_reference(reference))
    if as_json:
        print_json(result.to_dict())
        return
    typer.echo(
        f"{result.covered:,} of {count(result.classes, 'class')} covered;"
        f" {len(result.unmatched):,} of the reference unmatched"
    )
    typer.echo(f"{'':24}{'this':>8}{'random':>8}")
    for name, figure in result.measures.items():
        typer.echo(f"{name.replace('_', ' '):24}{figure.value:8.3f}{figure.random:8.3f}")


def labels_command(
    file: File,
    form: Annotated[
        str,
        typer.Option("--format", help="label-studio (with superclasses and groups), fiftyone, coco, yolo or names."),
    ] = "names",
) -> None:
    """Prints the classes of a hierarchy as another tool reads them."""
    from hierarchy.io import load
    from hierarchy.sources import write_labels

    typer.echo(write_labels(load(file), form), nl=False)


def report_command(
    file: File,
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("hierarchy.html"),
    images: Annotated[
        Path | None, typer.Option(help="A folder of images, one folder for each class: three of each go into the page.")
    ] = None,
) -> None:
    """Writes one HTML page with a zoomable chart, search, images and the findings; it works offline."""
    from hierarchy.checks import check, gather, render_report
    from hierarchy.files import write_text
    from hierarchy.review import read_current
    from hierarchy.sources import embed_pictures, find_pictures

    with show_progress() as progress:
        progress("reading")
        proposal = read_current(file)
        evidence = gather(proposal.classes, progress=progress)
        progress("checking")
        findings = check(proposal, evidence)
        progress("drawing")
        known = evidence.classes
        glosses = {id: gloss for id, gloss in zip(known.ids, known.definitions, strict=True) if gloss}
        title = Path(file).stem
        pictures = None
        if images is not None:
            progress("reading images")
            chosen = find_pictures(images, proposal.index, known.ids)
            pictures = embed_pictures(chosen)
        write_text(
            out,
            render_report(
                proposal.settled,
                findings,
                title=title,
                definitions=glosses,
                provenance=proposal.provenance,
                pictures=pictures,
            ),
        )
    typer.echo(str(out))
    if pictures is not None and len(pictures) < len(known):
        notify(f"images of {len(pictures):,} of {count(len(known), 'class')}")


def explain_command(
    file: File,
    asked: Annotated[str, typer.Argument(metavar="CLASS", help="A class: its id, its name or its path.")],
    full: Annotated[bool, typer.Option("--full", help="Show prompts and replies in full.")] = False,
    embed: Annotated[
        str | None, typer.Option(help="Embedder for the nearest classes; by default the one that voted.")
    ] = None,
    senses: SensesFile = None,
    as_json: AsJson = False,
) -> None:
    """Shows where a class is and why: votes, hypernyms, neighbours, decisions, prompts and replies."""
    from dataclasses import asdict, replace

    from hierarchy.checks import ask_witnesses, gather, keep, read_kept
    from hierarchy.llm import ReplyCache
    from hierarchy.review import Paths, explain, find_embedder, read_reviewed

    with show_progress() as progress:
        progress("reading")
        base, now, decisions = read_reviewed(file)
        id = now.classes.ids[now.index.label(asked)]
        spec = embed or find_embedder(base)
        kept = read_kept(Paths.of(file).evidence, now.classes.ids) if base.votes else None
        if kept is None or kept.embed != spec or senses is not None:
            evidence = gather(now.classes, spec, sheet=senses, progress=progress)
            kept = keep(evidence, spec)
            if not base.votes:  # a hierarchy without a proposal file
                votes = dict(zip(now.classes.ids, ask_witnesses(base, evidence).votes(), strict=True))
                base, now = replace(base, votes=votes), replace(now, classes=evidence.classes)
        progress("explaining")
        replies = Paths.of(file).replies
        cache = ReplyCache(replies, read_only=True) if replies.is_file() else None
        found = explain(id, base, now, kept, decisions=decisions, cache=cache)
    print_json(asdict(found)) if as_json else typer.echo(found.to_text(full=full))


def senses_command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The class list, as for generate.")],
    out: Annotated[Path, typer.Option(help="The CSV file to write.")] = Path("senses.csv"),
    senses: SensesFile = None,
) -> None:
    """Writes which sense of WordNet each class has, to be corrected and given to --senses of other commands."""
    from hierarchy.files import check_writable, same_file, write_text
    from hierarchy.sources import read_classes
    from hierarchy.wordnet import WordNet, find_senses, senses_to_sheet

    check_writable(out)
    if out.exists() and not (senses and same_file(out, senses)):
        raise OutputError(
            f"cannot write {str(out)!r}: it exists; give --senses {out} to keep what was chosen there, or another --out"
        )
    classes = read_classes(source, fewest=1)
    found = find_senses(classes, WordNet(), sheet=senses, liken=compare_senses)
    assert found is not None, "there is a WordNet"
    write_text(out, senses_to_sheet(classes, found.meanings, found.wordnet))
    unsure = sum(not meaning.is_sure for meaning in found.meanings)
    unknown = sum(not meaning for meaning in found.meanings)
    typer.echo(f"{out}: {count(len(classes), 'class')}, {unsure - unknown} unsure, {unknown} unknown")


def explain_missing_wordnet() -> None:
    """Says why WordNet could not be used, and how to get it; nothing if it could."""
    from hierarchy.wordnet import WordNet

    try:
        WordNet()
    except WordNetMissing as error:
        typer.echo(f"classes were compared by their names alone: {error}", err=True)


def _proposal(file: str, source: str | None) -> tuple[Proposal, tuple[Finding, ...]]:
    """A file's rows as a proposal for the classes of a source, or for its own, and what is wrong with them."""
    from hierarchy.io import read_rows
    from hierarchy.proposal import collect
    from hierarchy.review import is_proposal, read_current
    from hierarchy.sources import ClassList, read_classes

    if source is None and is_proposal(file):
        return read_current(file), ()
    rows = read_rows(file)
    if source is not None:
        classes = read_classes(source)
    else:
        own = {row[0]: row[1] for row in rows}
        classes = ClassList(tuple(own), tuple(own.values()), ("",) * len(own), file)
    return collect(classes, ((id, superclass, group) for id, _, superclass, group in rows))
