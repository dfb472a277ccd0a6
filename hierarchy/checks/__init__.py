"""What may be wrong with a proposal: evidence, two free witnesses, checks, scores against a reference, and the report.

`gather` collects the evidence once; `ask_witnesses` and `check` read it.
"""

from hierarchy.checks.checks import check, consult
from hierarchy.checks.coverage import count_known, describe_coverage
from hierarchy.checks.evidence import Evidence, gather
from hierarchy.checks.kept import Kept, keep, read_kept, save_kept
from hierarchy.checks.mixed import find_mixed
from hierarchy.checks.reference import read_reference
from hierarchy.checks.report import render_report
from hierarchy.checks.scoring import Measure, Score, score
from hierarchy.checks.witnesses import Testimony, ask_witnesses

__all__ = [
    "Evidence",
    "Kept",
    "Measure",
    "Score",
    "Testimony",
    "ask_witnesses",
    "check",
    "consult",
    "count_known",
    "describe_coverage",
    "find_mixed",
    "gather",
    "keep",
    "read_kept",
    "read_reference",
    "render_report",
    "save_kept",
    "score",
]
