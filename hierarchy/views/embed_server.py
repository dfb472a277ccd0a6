"""Vectors of texts from a server that speaks OpenAI's protocol; with a cache, a text is paid for once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TypeAlias

from hierarchy.errors import ChatError, EmbedError
from hierarchy.llm import ReplyCache, digest_server, make_client

Vector: TypeAlias = Sequence[float]
BATCH = 256  # texts in one call


def embed_texts(
    texts: Sequence[str], model: str, *, base_url: str | None = None, cache: ReplyCache | None = None
) -> list[Vector]:
    """The vector of each text; each call's vectors are in the cache before the next call is made.

    Args:
        texts: any number; equal ones are sent once.
        model: the server's name for the model.
        base_url: of the server; OPENAI_BASE_URL if it is None, else OpenAI's.
        cache: where vectors are looked up and kept.

    Raises:
        EmbedError: the server cannot be used, or gives no vectors for these texts.
    """
    wanted = {make_key(model, text): text for text in texts}
    known: dict[str, Vector] = dict(cache.find_vectors(wanted)) if cache else {}
    missing = [key for key in wanted if key not in known]
    for first in range(0, len(missing), BATCH):
        part = missing[first : first + BATCH]
        vectors = dict(zip(part, _ask([wanted[key] for key in part], model, base_url), strict=True))
        known |= vectors
        if cache:
            cache.put_vectors(model, vectors, server=digest_server(base_url))
    return [known[make_key(model, text)] for text in texts]


def make_key(model: str, text: str) -> str:
    """The key of a text's vector in the cache."""
    return hashlib.sha256(json.dumps([model, text]).encode()).hexdigest()


def _ask(texts: list[str], model: str, base_url: str | None) -> list[Vector]:
    import openai

    try:
        client = make_client(base_url)
        data = client.embeddings.create(model=model, input=texts, encoding_format="float").data
    except (openai.OpenAIError, ChatError) as error:
        raise EmbedError(f"embedding server, model {model!r}: {str(error).splitlines()[0]}") from error
    if len(data) != len(texts):
        raise EmbedError(f"embedding server, model {model!r}: expected {len(texts)} vectors, got {len(data)}")
    return [entry.embedding for entry in sorted(data, key=lambda entry: entry.index)]
