"""Three-level hierarchies over the classes of a dataset: built from class names, checked, reviewed, applied to data.

>>> import hierarchy
>>> imagenet100 = hierarchy.load("imagenet100")
>>> len(imagenet100)
100
"""

from hierarchy.errors import HierarchyError
from hierarchy.io import load, save
from hierarchy.tree import Hierarchy

__all__ = ["Hierarchy", "HierarchyError", "load", "save"]
