"""The questions of a review: which are worth a person's time, most doubtful first, and what may answer them."""

from hierarchy.review.questions.agenda import Agenda, Ask, Renewal
from hierarchy.review.questions.meanings import Sense, list_senses, renew_votes
from hierarchy.review.questions.queue import KINDS, Question, parse_kinds
from hierarchy.review.questions.suggestions import suggest
from hierarchy.review.questions.votes import add_votes, current_votes, measure_dispute

__all__ = [
    "KINDS",
    "Agenda",
    "Ask",
    "Question",
    "Renewal",
    "Sense",
    "add_votes",
    "current_votes",
    "list_senses",
    "measure_dispute",
    "parse_kinds",
    "renew_votes",
    "suggest",
]
