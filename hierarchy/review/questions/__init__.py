"""The questions of a review: which are worth a person's time, most doubtful first, and what may answer them."""

from hierarchy.review.questions.agenda import Agenda, Renewal
from hierarchy.review.questions.meanings import Sense, Witnesses, list_senses, read_meaning
from hierarchy.review.questions.queue import KINDS, Question, parse_kinds
from hierarchy.review.questions.suggestions import suggest
from hierarchy.review.questions.votes import add_votes, current_votes, measure_dispute

__all__ = [
    "KINDS",
    "Agenda",
    "Question",
    "Renewal",
    "Sense",
    "Witnesses",
    "add_votes",
    "current_votes",
    "list_senses",
    "measure_dispute",
    "parse_kinds",
    "read_meaning",
    "suggest",
]
