"""A dataset is opened by its name on the Hub, replaced by a server on this machine."""

import json
import os
import subprocess
import sys

import pytest
from support.hub import Hub
from support.images import PETS, image_rows

from hierarchy import save

CODE = """
import json, sys
from hierarchy import load
from hierarchy.dataset import label, stats
from hierarchy.dataset import open_data
from hierarchy.errors import SourceError
pets = load("pets.json")
found = {}
for source in ("me/pets", "datasets:me/pets", "nobody/pets"):
    for streaming in (False, True):
        try:
            data = label(open_data(source, streaming=streaming), pets)
            rows = {name: [row["group"] for row in part.remove_columns("image")] for name, part in data.items()}
            found[f"{source} {streaming}"] = [rows, stats(data, pets).counts]
        except SourceError as error:
            found[f"{source} {streaming}"] = str(error)
print(json.dumps(found))
"""


@pytest.mark.slow  # 15 s on a busy machine: the library and its Hub client, in a process of their own
def test_a_dataset_of_the_hub_is_opened_by_its_name(tmp_path):
    files = tmp_path / "files"
    files.mkdir()
    for name, labels in (("train", [0, 1, 2, 3]), ("test", [3, 1])):
        image_rows(labels, list(PETS.classes)).to_parquet(files / f"{name}-00000-of-00001.parquet")
    save(PETS, tmp_path / "pets.json")
    hub = Hub("me/pets", files)
    aside = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "0", "NO_PROXY": "*"}
    done = subprocess.run(
        [sys.executable, "-c", CODE], cwd=tmp_path, env=os.environ | aside, capture_output=True, text=True, check=True
    )
    hub.shutdown()
    found = json.loads(done.stdout)
    groups = {name: [PETS.ancestors(2)[n] for n in labels] for name, labels in (("train", range(4)), ("test", [3, 1]))}
    counts = {"train": [1, 1, 1, 1], "test": [0, 1, 0, 1]}
    for source in ("me/pets", "datasets:me/pets"):
        for streaming in (False, True):
            assert found[f"{source} {streaming}"] == [groups, counts]
    for streaming in (False, True):
        assert found[f"nobody/pets {streaming}"] == (
            "cannot read the dataset 'nobody/pets': Dataset 'nobody/pets' doesn't exist on the Hub or cannot be"
            " accessed; check the name"
        )
    assert any(line.endswith("train-00000-of-00001.parquet") for line in hub.asked if line.startswith("GET"))
