"""Names of classes and nodes: which are valid, what a person means by one, and what a raw name is made of.

Nothing else resolves names or takes them apart.
"""

from hierarchy.names.index import NameIndex, Words, match
from hierarchy.names.paths import join_path, split_path
from hierarchy.names.phrases import FUNCTION_WORDS, SENTENCE_WORDS, Phrase, are_titled, clean_names, take_apart
from hierarchy.names.valid import name_fault, table_problems

__all__ = [
    "FUNCTION_WORDS",
    "SENTENCE_WORDS",
    "NameIndex",
    "Phrase",
    "Words",
    "are_titled",
    "clean_names",
    "join_path",
    "match",
    "name_fault",
    "split_path",
    "table_problems",
    "take_apart",
]
