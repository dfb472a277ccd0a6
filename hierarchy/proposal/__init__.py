"""Proposals: which class goes where and who voted for it, what may be wrong with that, and the edits that change it.

`Proposal` is the one type for an assignment that may still be wrong or incomplete; `hierarchy()` ends it.
"""

from hierarchy.proposal.difference import find_edits
from hierarchy.proposal.edits import (
    Define,
    Edit,
    Merge,
    Move,
    Regroup,
    Rename,
    Split,
    apply,
    edit_from_dict,
    edit_to_dict,
    inverse,
)
from hierarchy.proposal.file import read_proposal, save_findings, save_proposal
from hierarchy.proposal.findings import Finding, Severity, rank
from hierarchy.proposal.placements import collect, find_unplaced
from hierarchy.proposal.proposal import Doubt, Place, Proposal, Vote, Witness

__all__ = [
    "Define",
    "Doubt",
    "Edit",
    "Finding",
    "Merge",
    "Move",
    "Place",
    "Proposal",
    "Regroup",
    "Rename",
    "Severity",
    "Split",
    "Vote",
    "Witness",
    "apply",
    "collect",
    "edit_from_dict",
    "edit_to_dict",
    "find_edits",
    "find_unplaced",
    "inverse",
    "rank",
    "read_proposal",
    "save_findings",
    "save_proposal",
]
