"""Training branches on what a flat network answers: which images each superclass sees, and what the loss is."""

from timm_nhl.converting.distillation.distil import Distiller, run_branches
from timm_nhl.converting.distillation.loss import CompletedLoss

__all__ = ["CompletedLoss", "Distiller", "run_branches"]
