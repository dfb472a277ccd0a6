"""Features that are kept are the features: whoever is killed, whoever else is at it, whatever changes."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from functools import partial

import numpy as np
import pytest
import timm
import torch
from support.training_runs import TREE, dataset
from torch import nn

from timm_nhl.data import Images, open_images, train_loader
from timm_nhl.data.sampler import BlockSampler
from timm_nhl.errors import FeatureError
from timm_nhl.features import OnFeatures, TrunkOutputs, cache, cache_outputs

INPUTS = {"input_size": (3, 32, 32), "interpolation": "bilinear", "mean": (0.5,) * 3, "std": (0.25,) * 3}
INPUTS |= {"crop_pct": 1.0, "crop_mode": "center"}
SERVER = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["timm_nhl.features", "datasets"])


class Jitter:
    """A random transform of an image to bytes."""

    def __init__(self, most: int = 50) -> None:
        self.most = most

    def __call__(self, image):
        return (
            (np.asarray(image, dtype=np.uint8) // 2 + np.random.randint(self.most)).astype(np.uint8).transpose(2, 0, 1)
        )

    def __repr__(self) -> str:
        return f"Jitter({self.most})"


class Means(nn.Module):
    """A network that is cheap and sees every image: its mean colors, times a weight."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x):
        return {"means": x.mean((2, 3)) * self.weight, "maps": x[:, :, ::8, ::8]}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return dataset(tmp_path_factory.mktemp("data") / "noise", images=26)


@pytest.fixture(scope="module")
def images(data) -> Images:
    return open_images(data, hierarchy=TREE, split="train")


@pytest.fixture(autouse=True)
def _small_files(monkeypatch):
    monkeypatch.setattr(cache, "BLOCK", 5 * 2 * (3 + 3 * 16))  # five images a file


def keep(images, folder, **values):
    defaults = {"inputs": INPUTS, "transform": Jitter(), "views": 3, "batch_size": 4, "folder": folder}
    return cache_outputs(values.pop("compute", None) or Means(), images, **{**defaults, **values})


def expect(images, view, compute=None):
    """What the network gives for every image, computed at once and without a cache."""
    sampler = BlockSampler(view, range(len(images)), batch_size=len(images), seed=42)
    ((x, _),) = train_loader(images, INPUTS, transform=Jitter(), sampler=sampler)
    return (compute or Means())(x)


def assert_right(cached, images):
    """Every view of every image is what it would be without a cache."""
    for view in range(cached.views):
        for name, value in expect(images, view).items():
            torch.testing.assert_close(cached.read(view, range(len(images)))[name], value.detach().half())


def test_what_is_read_is_what_the_network_gives(images, tmp_path):
    cached = keep(images, tmp_path)
    assert_right(cached, images)
    assert len(list(cached.folder.glob("*.safetensors"))) == 18 and cached.computed == 78
    order = [7, 0, 25, 7]
    torch.testing.assert_close(cached.read(1, order)["means"], cached.read(1, range(26))["means"][order])
    assert not torch.equal(cached.read(0, [3])["means"], cached.read(1, [3])["means"])
    assert sum(path.stat().st_size for path in cached.folder.iterdir()) < 1.5 * cached.bytes + 18 * 400


def test_nothing_is_computed_twice_and_more_views_reuse_the_first(images, tmp_path):
    keep(images, tmp_path)
    assert keep(images, tmp_path).computed == 0 and "all were there" in keep(images, tmp_path).summary
    assert keep(images, tmp_path, views=4).computed == 26


@pytest.mark.parametrize(
    "change",
    [
        {"compute": Means(2.0)},
        {"seed": 1},
        {"transform": Jitter(9)},
        {"transform": None, "views": 1},
        {"inputs": {**INPUTS, "mean": (0.4,) * 3}},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_changes_the_outputs_changes_the_entry(images, tmp_path, change):
    first = keep(images, tmp_path)
    assert keep(images, tmp_path, **change).folder != first.folder


def test_other_images_are_another_entry_but_other_labels_are_not(images, tmp_path):
    first = keep(images, tmp_path)
    fewer = images.select(np.arange(25), name="fewer")
    assert keep(fewer, tmp_path).folder != first.folder
    assert images.digest() == open_images(images.name.split()[0], hierarchy=None, split="train").digest()


def test_the_limit_counts_other_entries_and_says_how_many_views_fit(images, tmp_path):
    first = keep(images, tmp_path, views=1)
    keep(images, tmp_path, views=1, limit=first.bytes)
    with pytest.raises(
        FeatureError, match=r"3 views of 26 images would take 0.00 GiB, but .* grow by 0.00, for 2 of them"
    ):
        keep(images, tmp_path, views=3, limit=2 * first.bytes)
    with pytest.raises(FeatureError, match=r"for 0 of them"):
        keep(images, tmp_path, views=1, seed=1, limit=first.bytes)


def test_outputs_beyond_float16_are_an_error(images, tmp_path):
    with pytest.raises(FeatureError, match="cannot hold outputs 'means': they exceed the range of float16"):
        keep(images, tmp_path, compute=Means(1e6))


def test_a_half_written_file_is_not_read(images, tmp_path):
    cached = keep(images, tmp_path)
    path = cached.path(1, 2)
    half = path.parent / f".{path.name}.abc.tmp"
    half.write_bytes(path.read_bytes()[:99])
    path.unlink()
    again = keep(images, tmp_path)
    assert again.computed == 5 and not half.exists()
    assert_right(again, images)


def work(data, folder, seconds):
    """Fills a cache slowly, in a process of its own."""
    torch.set_num_threads(1)
    cache.BLOCK = 5 * 2 * (3 + 3 * 16)
    slow = partial(cache.load_block)

    def load(*arguments, **values):
        time.sleep(seconds)
        return slow(*arguments, **values)

    cache.load_block = load
    done = keep(open_images(data, hierarchy=TREE, split="train"), folder)
    (folder / f"{os.getpid()}.done").write_text(str(done.computed))


def kill_and_check(data, images, folder, kills):
    """Kills a process that fills a cache, at random times, until it has been killed often enough."""
    draw = np.random.default_rng(0)
    for _ in range(kills):
        worker = SERVER.Process(target=work, args=(data, folder, 0.02))
        worker.start()
        files = lambda: len(list(folder.glob("*/*.safetensors")))  # noqa: E731
        before = files()
        while worker.is_alive() and files() == before and before < 17:
            time.sleep(0.002)
        time.sleep(float(draw.uniform(0, 0.03)))
        if worker.is_alive():
            os.kill(worker.pid, signal.SIGKILL)
        worker.join()
    cached = keep(images, folder)
    assert_right(cached, images)
    return cached


def test_killed_processes_leave_no_wrong_feature(data, images, tmp_path):
    kill_and_check(data, images, tmp_path, kills=2)


@pytest.mark.slow
def test_ten_killed_processes_leave_no_wrong_feature(data, images, tmp_path):
    kill_and_check(data, images, tmp_path, kills=10)


def test_two_processes_share_the_work(data, images, tmp_path):
    workers = [SERVER.Process(target=work, args=(data, tmp_path, 0.05)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0]
    shares = [int(path.read_text()) for path in tmp_path.glob("*.done")]
    assert sum(shares) == 78 and min(shares) > 0  # each file was computed once
    cached = keep(images, tmp_path)
    assert cached.computed == 0
    assert_right(cached, images)


def test_branches_on_kept_features_are_the_network():
    model = timm.create_model("test_resnet_nhl", hierarchy=TREE, widths=(8, 4, 4), expansion=2).eval()
    x = torch.randn(2, 3, 64, 64)
    torch.testing.assert_close(OnFeatures(model)(TrunkOutputs(model)(x)["trunk"]), model(x))
