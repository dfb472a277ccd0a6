"""Fitting a router to a network that is trained already, in one pass over the images; the network stays as it is."""

from timm_nhl.routers.fit import fit_router

__all__ = ["fit_router"]
