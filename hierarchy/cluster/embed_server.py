"""Vectors of texts by a server that speaks OpenAI's protocol; with a ledger, no text's vector is paid for twice.

With a ledger the server is asked by a small process, `python -m hierarchy.cluster.embed_server LEDGER`, which stores
each answer itself: when the run is killed it finishes the call in flight, stores what it brings, and ends. The next run
waits for that and asks only for what is missing, as with chats (docs/decisions/0020-the-keeper.md). Settings and texts
come in one line of JSON on stdin; one line on stdout says that all is stored, or what is wrong.
"""

from __future__ import annotations

import hashlib
import json
import os
import select
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from hierarchy.errors import EmbedError, HierarchyError
from hierarchy.llm.compat import server_of
from hierarchy.llm.outliving import last_words, start
from hierarchy.llm.sdk import address_of

if TYPE_CHECKING:
    from hierarchy.llm.cache import Ledger

    Vector: TypeAlias = Sequence[float]

BATCH = 256  # texts a request


def vectors_of(
    texts: Sequence[str], model: str, *, base_url: str | None = None, ledger: Ledger | None = None
) -> list[Vector]:
    """The vector of each text.

    Args:
        model: what the server calls it.
        base_url: of the server; OPENAI_BASE_URL where it is None, and else OpenAI's.
        ledger: where vectors are kept, and looked for first.

    Raises:
        EmbedError: the server cannot be used, or gives no vectors for these texts.
    """
    wanted = {key_of(model, text): text for text in texts}
    known: Mapping[str, Vector]
    if ledger is None:
        known = {key: vector for part in _asked(wanted, model, base_url) for key, vector in part.items()}
    else:
        known = ledger.vectors(wanted)
        if len(known) < len(wanted):
            _keep(wanted, model, base_url, ledger)
            known = ledger.vectors(wanted)
    return [known[key_of(model, text)] for text in texts]


def key_of(model: str, text: str) -> str:
    """Under what a ledger keeps the vector of a text."""
    return hashlib.sha256(json.dumps([model, text]).encode()).hexdigest()


def _asked(wanted: Mapping[str, str], model: str, base_url: str | None) -> Iterator[dict[str, Vector]]:
    """Asks a server for vectors of texts, by key, some at a time."""
    import openai

    keys, server = list(wanted), address_of(base_url)
    try:
        api_key = os.environ.get("OPENAI_API_KEY") or ("none" if server else None)  # servers of one's own want none
        client = openai.OpenAI(base_url=server, api_key=api_key)
        for first in range(0, len(keys), BATCH):
            part = keys[first : first + BATCH]
            given = [wanted[key] for key in part]
            data = client.embeddings.create(model=model, input=given, encoding_format="float").data
            if len(data) != len(part):
                raise EmbedError(f"embedding server, model {model!r}: {len(data)} vectors for {len(part)} texts")
            yield {part[entry.index]: entry.embedding for entry in data}
    except openai.OpenAIError as error:
        raise EmbedError(f"embedding server, model {model!r}: {str(error).splitlines()[0]}") from error


def _keep(wanted: Mapping[str, str], model: str, base_url: str | None, ledger: Ledger) -> None:
    """Has a process ask for the vectors that a ledger lacks, and store them."""
    with (
        tempfile.TemporaryFile() as errors,
        start("hierarchy.cluster.embed_server", str(ledger.path), errors) as process,
    ):
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps({"wanted": wanted, "model": model, "base_url": base_url}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise EmbedError(f"the process that asks for vectors ended{last_words(errors)}; run again to go on")
        if trouble := json.loads(line)["trouble"]:
            raise EmbedError(trouble)


def main(path: str) -> None:
    """Asks for what is on stdin and missing in a ledger; after a call, ends if stdin was closed meanwhile."""
    from hierarchy.llm.cache import Ledger

    asked: dict[str, Any] = json.loads(sys.stdin.readline())
    ledger, trouble = Ledger(path), ""
    try:
        with ledger.held(lambda calls: None):
            known = ledger.vectors(asked["wanted"])  # by now: an earlier run's call may have just been answered
            missing = {key: text for key, text in asked["wanted"].items() if key not in known}
            for part in _asked(missing, asked["model"], asked["base_url"]) if missing else ():
                ledger.put_vectors(asked["model"], part, server=server_of(address_of(asked["base_url"])))
                if select.select([sys.stdin], [], [], 0)[0]:  # it was closed: the run ended, nothing more is sent
                    return
    except HierarchyError as error:
        trouble = str(error)
    finally:
        ledger.close()
    sys.stdout.write(json.dumps({"trouble": trouble}) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
