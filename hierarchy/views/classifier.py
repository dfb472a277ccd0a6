"""Views that need no text: WordNet's similarities, and the classifier of a trained network."""

from __future__ import annotations

from typing import Any

from hierarchy.errors import EmbedError, first_line, in_one_sentence
from hierarchy.sources import ClassList
from hierarchy.views.tfidf import EXACT, REDUCED
from hierarchy.views.view import View, centre, unit_rows
from hierarchy.wordnet import Senses


def view_wordnet(classes: ClassList, senses: Senses, *, seed: int = 0) -> View:
    """Rows of the matrix of all Wu-Palmer similarities: classes are alike if they are alike to the same others."""
    import numpy as np
    from sklearn.decomposition import TruncatedSVD

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
        vectors = unit_rows(TruncatedSVD(REDUCED, random_state=seed).fit_transform(common))
    else:
        vectors = unit_rows(common.astype(np.float64))
    return View("wordnet", vectors, np.ones(len(classes)))


def view_classifier(classes: ClassList, model: str) -> View:
    """The rows of a pretrained timm model's classifier: classes are alike if a network sees them alike.

    The model must be trained on ImageNet-1k, -12k, -21k or -22k, and the classes must be among these, by WNID.
    """
    import numpy as np
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
    vectors = centre(weight.double().numpy())  # softmax ignores what all rows share
    return View(f"timm:{model}", vectors, np.ones(len(classes)))
