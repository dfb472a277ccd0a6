"""Adding classes to a trained model: only the branches of the new classes are trained.

Everything that was there, experts cut from it included, stays as it is, bit by bit.
"""

from timm_nhl.growing.growth import Growth, grow

__all__ = ["Growth", "grow"]
