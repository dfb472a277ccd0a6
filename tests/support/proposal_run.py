"""A run that tests kill: proposes a hierarchy for the classes of a file, with a ledger, and writes what came of it.

python proposal_run.py CLASSES.json LEDGER URL OUT.json
"""

import json
import sys
from pathlib import Path

from hierarchy.llm.cache import Ledger
from hierarchy.llm.client import ChatOptions, openai_chat
from hierarchy.prompting.pipeline import Plan, propose
from hierarchy.proposal.file import to_json
from hierarchy.sources import ClassList


def main(classes_file, ledger, url, out):
    ids, names, definitions = json.loads(Path(classes_file).read_text())
    classes = ClassList(tuple(ids), tuple(names), tuple(definitions), "imagenet-1k")
    with openai_chat(Ledger(ledger), options=ChatOptions(base_url=url, backoff=0.01, concurrency=2)) as chat:
        made = propose(classes, chat, Plan("a model", 20, 200, part=40))  # many requests: each run killed gets some
    Path(out).write_text(json.dumps([to_json(made.proposal), dict(made.left)]))


if __name__ == "__main__":
    main(*sys.argv[1:])
