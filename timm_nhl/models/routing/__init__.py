"""Routing: which branches an image needs, or that it needs none of them.

`Router` scores the groups by the trunk's features, `choose` picks those to run for each image, `run` runs them, and
`RoutedModel` is what a nested model offers of it.
"""

from timm_nhl.models.routing.choose import choose
from timm_nhl.models.routing.model import RoutedModel
from timm_nhl.models.routing.router import Router

__all__ = ["RoutedModel", "Router", "choose"]
