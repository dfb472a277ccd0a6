"""The style of all golden messages: one lower-case sentence each, without a trace of this machine."""

import re

import pytest
from support.golden_messages import FOLDER, Golden


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*messages.txt")))
def test_messages_are_one_lower_case_sentence_without_a_machine_in_it(name):
    for case, message in Golden(name, list).messages().items():
        assert not re.match(r"[A-Z][a-z]", message) or message.startswith("WordNet"), case
        assert not message.endswith("."), case
        assert not re.search(r"/tmp|Errno|\bsk-", message), case
        assert not re.search(r"\b(invalid input|illegal|oops|please|sorry)\b", message, re.IGNORECASE), case
