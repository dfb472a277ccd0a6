"""What `timm-nhl evaluate` prints: a table, or all numbers as JSON."""

from __future__ import annotations

import shlex
import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from hierarchy.cli import print_json

if TYPE_CHECKING:
    from timm_nhl.eval import Evaluation, Routing


def report(
    found: Evaluation, routing: Routing | None, rejection: Any, images: Any, *, title: str, as_json: bool
) -> None:
    """Prints what was measured on stdout."""
    from timm_nhl.eval import (
        describe_classes,
        describe_rejection,
        describe_routing,
        show,
        show_bundles,
        show_rejection,
        show_routing,
        to_dict,
    )

    if as_json:
        routed = {} if routing is None else {"routed": describe_routing(routing)}
        rejected = {"reject": describe_rejection(rejection[0])} if rejection else {}
        print_json({**_describe_run(images), **to_dict(found), **describe_classes(found), **routed, **rejected})
        return
    show(found, title=title)
    show_bundles(found)
    if routing is not None:
        show_routing(routing)
    if rejection:
        show_rejection(*rejection)


def _describe_run(images: Any) -> dict[str, Any]:
    """The command, versions and data of an evaluation."""
    return {
        "command": shlex.join(["timm-nhl", *sys.argv[1:]]),
        "versions": {name: version(name) for name in ("timm-nhl", "timm", "torch")},
        "data": images.name,
        "hierarchy": images.hierarchy.digest,
    }
