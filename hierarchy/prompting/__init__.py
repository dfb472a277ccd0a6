"""Asking a model for a hierarchy: the prompts, the stages, and what the answers add up to.

`propose` has a model place all classes; `estimate_usage` says beforehand what that takes.
"""

from hierarchy.prompting.answers import describe_answer
from hierarchy.prompting.estimate import Estimate, estimate_usage
from hierarchy.prompting.pipeline import Proposed, propose
from hierarchy.prompting.prompts import Prompt, list_prompts, load_prompt
from hierarchy.prompting.stages import Plan

__all__ = [
    "Estimate",
    "Plan",
    "Prompt",
    "Proposed",
    "describe_answer",
    "estimate_usage",
    "list_prompts",
    "load_prompt",
    "propose",
]
