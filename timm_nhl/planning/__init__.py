"""What networks would cost, before anything is trained: backbones x shapes for some tasks, with plain networks beside.

Costs are counted on the meta device; only milliseconds need networks that are built and run.
"""

from timm_nhl.planning.candidates import Backbone, Candidate, find_backbones
from timm_nhl.planning.picture import draw
from timm_nhl.planning.plan import Budget, Plan, plan
from timm_nhl.planning.report import describe_failure, show, to_dict
from timm_nhl.planning.tasks import Task, draw_random, draw_related, name_tasks

__all__ = [
    "Backbone",
    "Budget",
    "Candidate",
    "Plan",
    "Task",
    "describe_failure",
    "draw",
    "draw_random",
    "draw_related",
    "find_backbones",
    "name_tasks",
    "plan",
    "show",
    "to_dict",
]
