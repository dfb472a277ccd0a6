"""Views of classes: vectors in which similar classes are close, and how much each view knows of each class.

`look` gives the views of a specification such as "tfidf+sentences", `combine` makes one set of vectors of them.
"""

from hierarchy.views.embeddings import DEFAULT_EMBED, EMBEDDERS, embed, look
from hierarchy.views.sentences import compare_senses
from hierarchy.views.view import KNOWN, View, combine, find_nearest, measure_knowledge, unit_rows

__all__ = [
    "DEFAULT_EMBED",
    "EMBEDDERS",
    "KNOWN",
    "View",
    "combine",
    "compare_senses",
    "embed",
    "find_nearest",
    "look",
    "measure_knowledge",
    "unit_rows",
]
