"""WordNet 3.0: its database, which of its senses a class means, and how to install it.

`find_senses` is the one entrance for classes: it opens the database, chooses senses and fills in definitions.
"""

from hierarchy.wordnet.candidates import Confidence
from hierarchy.wordnet.column import senses_to_sheet
from hierarchy.wordnet.database import Synset, WordNet
from hierarchy.wordnet.disambiguate import UNKNOWN, Meaning
from hierarchy.wordnet.index import open_index
from hierarchy.wordnet.install import install_wordnet
from hierarchy.wordnet.senses import Senses, find_senses

__all__ = [
    "UNKNOWN",
    "Confidence",
    "Meaning",
    "Senses",
    "Synset",
    "WordNet",
    "find_senses",
    "install_wordnet",
    "open_index",
    "senses_to_sheet",
]
