"""The evidence next to a proposal: what was computed comes back, and nothing else is taken for it."""

import json

import numpy as np
import pytest

from hierarchy.checks import Evidence, Kept, keep, read_kept, save_kept
from hierarchy.generate import Settings, generate
from hierarchy.review import Paths
from hierarchy.sources import ClassList
from hierarchy.views import DEFAULT_EMBED

NAMES = ("hammerhead", "tiger shark", "mako", "canoe", "kayak", "lifeboat", "zzyzx")


def test_the_nearest_are_those_of_brute_force():
    vectors = np.random.default_rng(1).normal(size=(20, 6))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = tuple(map(str, range(20)))
    kept = keep(Evidence(ClassList(ids, ids, ("",) * 20, ""), None, vectors), "x")
    for label, id in enumerate(ids):
        others = sorted(
            (other for other in range(20) if other != label), key=lambda o: -float(vectors[o] @ vectors[label])
        )
        assert kept.near[id] == tuple((ids[o], round(float(vectors[o] @ vectors[label]), 3)) for o in others[:6])


def test_generate_keeps_what_its_witnesses_knew(wordnet, tmp_path):
    (tmp_path / "sea.txt").write_text("\n".join(NAMES))
    paths = Paths.of(tmp_path / "sea.json")
    made = generate(Settings(str(tmp_path / "sea.txt")), paths)
    kept = read_kept(paths.evidence, NAMES)
    assert kept == keep(made.evidence, DEFAULT_EMBED)
    assert "zzyzx" not in kept.wnids and kept.near["mako"][0][0] in ("tiger shark", "hammerhead")
    assert read_kept(paths.evidence, NAMES[:-1]) is None  # it is about other classes


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", "not json", '{"format": "evidence", "version": 2, "embed": "x", "classes": []}']
)
def test_what_is_not_evidence_is_ignored(text, tmp_path):
    (tmp_path / "x.json").write_text(text)
    assert read_kept(tmp_path / "x.json", ()) is None
    assert read_kept(tmp_path / "missing.json", ()) is None


def test_evidence_is_json_with_a_class_a_line(tmp_path):
    kept = Kept("tfidf", {"a/b": "n1"}, {"a/b": (("ü", 0.5),), "ü": ()})
    save_kept(kept, tmp_path / "x.json")
    assert read_kept(tmp_path / "x.json", ("a/b", "ü")) == kept
    assert json.loads((tmp_path / "x.json").read_text())["classes"][0]["near"] == [["ü", 0.5]]
    assert len((tmp_path / "x.json").read_text().splitlines()) == 4
