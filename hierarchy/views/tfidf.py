"""TF-IDF vectors of classes: their hypernyms, and the words of names, definitions and hypernyms; needs no download."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from hierarchy.sources import ClassList
from hierarchy.views.view import GUESS, View, unit_rows
from hierarchy.wordnet import UNKNOWN, Confidence, Meaning, Senses, WordNet

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]  # (K, D), rows of length 1

FADE = 0.9  # weight of a hypernym's words, per step up; 0.8 to 0.9 did best on CIFAR-100 and ImageNet-1k alike
SECOND_ORDER = 0.2  # share of second-order similarity
EXACT = 1500  # classes; with more, the sparse features are projected, which takes less time and memory
_WORDS_OF_ALL_TEXTS = """
about above after against all also among and another any are because been before being below between both but can
cannot could did does down during each either etc every few for from further had has have having her here him his
how into its itself least less made make many may more most much must neither never nor not now off often one only
other others our out over own part per same several she should since some such than that the their them then there
these they this those through too toward two under until upon used usually various very was were what when where
which while who whom whose will with within without would you your
"""
STOP_WORDS = frozenset(_WORDS_OF_ALL_TEXTS.split())
REDUCED = 384  # dimensions of that projection


def view_tfidf(classes: ClassList, senses: Senses | None = None, *, seed: int = 0) -> View:
    """How dictionaries see classes: it knows those that have a definition or are found in WordNet by their whole name.

    Args:
        classes: the classes, with definitions where their source has some.
        senses: what WordNet says about them, if it is installed.
        seed: of the projection that many classes need.
    """
    import numpy as np

    meanings = senses.meanings if senses else (UNKNOWN,) * len(classes)
    knows = [_knowledge(meaning, own) for meaning, own in zip(meanings, classes.definitions, strict=True)]
    return View("tfidf", tfidf(classes, senses, seed=seed), np.array(knows))


def _knowledge(meaning: Meaning, definition: str) -> float:
    if definition or meaning.is_sure:
        return 1.0
    return 0.5 if meaning.confidence > Confidence.HEAD else GUESS  # a sense of the last word is only a guess


def tfidf(classes: ClassList, senses: Senses | None = None, *, seed: int = 0) -> Vectors:
    """Weighted hypernyms next to weighted words of the name, the definition and the hypernyms' definitions.

    Half of the similarity comes from hypernyms: a quarter weighted by how rare they are among these classes (inverse
    document frequency), a quarter by how specific they are in WordNet (information content). The other half is TF-IDF
    of words; those of a hypernym fade with its distance. Without WordNet, only names and definitions count.
    """
    from scipy import sparse

    meanings = senses.meanings if senses else (UNKNOWN,) * len(classes)
    wordnet = senses.wordnet if senses else None
    words = [_words(classes, label, meaning, wordnet) for label, meaning in enumerate(meanings)]
    views = [(1.0, _weigh(words, lambda word, weight: weight))]
    if wordnet is not None:
        above = [_hypernyms(meaning, wordnet) for meaning in meanings]
        information = wordnet.information
        views = [
            (0.50, views[0][1]),
            (0.25, _weigh(above, lambda wnid, share: share)),
            (0.25, _weigh(above, lambda wnid, share: share * information(wnid), alone=True)),
        ]
    features = sparse.hstack([weight**0.5 * view for weight, view in views]).tocsr()
    if len(classes) > EXACT and features.shape[1] > REDUCED:
        from sklearn.decomposition import TruncatedSVD

        return _add_second_order(unit_rows(TruncatedSVD(REDUCED, random_state=seed).fit_transform(features)))
    features = _unit_sparse(features)
    return _add_second_order(_take_root((features @ features.T).toarray()))


def _take_root(products: Vectors) -> Vectors:
    """Rows whose products are those given, (K, K) -> (K, K): shorter than rows of thousands of features."""
    import numpy as np

    values, axes = np.linalg.eigh(products.round(12))
    return cast("Vectors", axes * np.sqrt(np.maximum(values, 0)))


def _add_second_order(vectors: Vectors) -> Vectors:
    """Mixes in second-order similarity: classes are also alike if they are alike to the same others.

    With a share of 0.1 to 0.3, agreement with every human-made grouping tried was as high or higher.
    """
    import numpy as np

    centred = vectors - vectors.mean(axis=0)
    if len(vectors) <= vectors.shape[1]:
        profiles = centred @ vectors.T  # (K, K): similarities to all classes, minus each one's average
    else:  # the same products of rows from (D, D): rows of centred @ vectors.T are those of centred @ root, rotated
        values, axes = np.linalg.eigh(vectors.T @ vectors)
        profiles = centred @ (axes * np.sqrt(np.maximum(values, 0)))
    return cast("Vectors", np.hstack([(1 - SECOND_ORDER) ** 0.5 * vectors, SECOND_ORDER**0.5 * unit_rows(profiles)]))


def _words(classes: ClassList, label: int, meaning: Meaning, wordnet: WordNet | None) -> dict[str, float]:
    """Words that describe a class, with weights: of its name and definition, and of its hypernyms, fading."""
    found: defaultdict[str, float] = defaultdict(float)
    for word in _tokenize(f"{classes.names[label]} {classes.definitions[label]}"):
        found[word] += 1
    if wordnet is not None:
        for wnid, share in meaning.shares:
            for ancestor, steps in wordnet.ancestors(wnid).items():
                synset = wordnet.synset(ancestor)
                for word in _tokenize(" ".join((*synset.words, synset.gloss))):
                    found[word] += share * FADE**steps
    return dict(found)


def _hypernyms(meaning: Meaning, wordnet: WordNet) -> dict[str, float]:
    """The synsets above a class, itself included: the share of its senses that are below each."""
    found: defaultdict[str, float] = defaultdict(float)
    for wnid, share in meaning.shares:
        for ancestor in wordnet.ancestors(wnid):
            found[ancestor] += share
    return dict(found)


@lru_cache(maxsize=1 << 17)  # a hypernym's gloss is read for each class below it
def _tokenize(text: str) -> frozenset[str]:
    """Words of three letters or more, in any alphabet, without stop words."""
    return frozenset(word for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in STOP_WORDS)


def _weigh(rows: Sequence[Mapping[str, float]], value: Callable[[str, float], float], *, alone: bool = False) -> Any:
    """A sparse matrix of unit rows: each feature of a class by its value, times its rarity unless `alone`.

    Features of a single class cannot bring two together and are left out, unless `alone`.
    """
    from scipy import sparse

    uses = Counter(feature for row in rows for feature in row)
    columns = {feature: i for i, feature in enumerate(sorted(word for word in uses if alone or uses[word] > 1))}
    where, which, what = [], [], []
    for label, row in enumerate(rows):
        for feature, share in row.items():
            if feature in columns:
                rarity = 1.0 if alone else math.log(len(rows) / uses[feature])
                where.append(label)
                which.append(columns[feature])
                what.append(value(feature, share) * rarity)
    return _unit_sparse(sparse.csr_matrix((what, (where, which)), shape=(len(rows), max(1, len(columns)))))


def _unit_sparse(rows: Any) -> Any:
    """Sparse rows of length 1; rows of 0 stay."""
    import numpy as np
    from scipy import sparse

    length = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
    return sparse.diags(np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)) @ rows
