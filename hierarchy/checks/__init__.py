"""What may be wrong with a proposal: evidence, two free witnesses, checks, scores against a reference, and the report.

`gather` collects the evidence once; `ask_witnesses` and `check` read it.
"""

from hierarchy.checks.checks import check
from hierarchy.checks.evidence import Evidence, gather
from hierarchy.checks.reference import read_reference
from hierarchy.checks.report import render_report
from hierarchy.checks.scoring import Measure, Score, score
from hierarchy.checks.witnesses import Testimony, ask_witnesses

__all__ = [
    "Evidence",
    "Measure",
    "Score",
    "Testimony",
    "ask_witnesses",
    "check",
    "gather",
    "read_reference",
    "render_report",
    "score",
]
