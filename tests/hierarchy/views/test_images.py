"""The view of a network: classes whose images look alike lie close, whatever they are called."""

from __future__ import annotations

import json

import numpy as np
import pytest
import timm
from PIL import Image
from safetensors.torch import save_file

from hierarchy.errors import EmbedError
from hierarchy.sources import ClassList, read_classes
from hierarchy.views import look


@pytest.fixture
def network(tmp_path):
    """A saved model with random weights, as timm loads it: `local-dir:FOLDER`."""
    folder = tmp_path / "network"
    folder.mkdir()
    model = timm.create_model("test_resnet")
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architecture": "test_resnet", "num_classes": 1000, "pretrained_cfg": model.pretrained_cfg}
    (folder / "config.json").write_text(json.dumps(config))
    return f"local-dir:{folder}"


def draw(folder, name, colour, count=3):
    (folder / name).mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", (40, 40), tuple(min(255, part + 5 * number) for part in colour)).save(
            folder / name / f"{number}.png"
        )


def test_classes_that_look_alike_lie_close(tmp_path, network):
    photos = tmp_path / "photos"
    colours = {"a": (250, 0, 0), "b": (235, 10, 10), "c": (0, 0, 250), "d": (10, 10, 235)}
    for name, colour in colours.items():
        draw(photos, name, colour, count=1 if name == "d" else 3)
    (view,) = look(read_classes(str(photos)), f"images:{network}")
    near = view.vectors @ view.vectors.T - 10 * np.eye(4)
    assert near.argmax(axis=1).tolist() == [1, 0, 3, 2]
    assert np.allclose(view.knows, [1, 1, 1, 1 / 3])  # of one image, little is known


def test_other_sources_and_models_are_refused(tmp_path, network):
    words = ClassList(("a", "b", "c"), ("a", "b", "c"), ("",) * 3, "pets.txt")
    with pytest.raises(
        EmbedError, match=r"^embedder 'images' needs an image folder, not 'pets.txt'; give one as SOURCE$"
    ):
        look(words, f"images:{network}")
    draw(tmp_path / "photos", "a", (1, 2, 3))
    draw(tmp_path / "photos", "b", (1, 2, 3))
    draw(tmp_path / "photos", "c", (1, 2, 3))
    with pytest.raises(EmbedError, match=r"^cannot load timm model 'resnet0'"):
        look(read_classes(str(tmp_path / "photos")), "images:resnet0")


def write_predictions(path, pairs, model="flat"):
    lines = ["model,classes,image,class,predicted,top5"]
    lines += [f"{model},5,{image},{own},{predicted},1" for image, (own, predicted) in enumerate(pairs)]
    path.write_text("\n".join(lines) + "\n")
    return f"confusions:{path}"


def test_classes_that_a_network_confuses_lie_close_even_by_a_third(tmp_path):
    names = ("a", "b", "c", "d", "e")
    five = ClassList(names, names, ("",) * 5, "five")
    pairs = [*(("a", "b"),) * 3, *(("b", "c"),) * 3, *(("d", "e"),), *((name, name) for name in names)]
    (view,) = look(five, write_predictions(tmp_path / "p.csv", pairs))
    near = view.vectors @ view.vectors.T
    assert np.allclose(np.diag(near), 1)
    assert near[0, 1] > near[0, 2] > 0.1 and np.allclose(near[:3, 3:], 0)  # a and c were never confused
    assert np.allclose(view.knows, [1, 1, 1, 1 / 3, 1 / 3])


def test_nothing_is_known_of_classes_that_are_never_confused(tmp_path):
    names = ("a", "b", "c")
    three = ClassList(names, names, ("",) * 3, "three")
    (view,) = look(three, write_predictions(tmp_path / "p.csv", [("a", "b"), ("c", "c")]))
    assert not view.vectors[2].any() and view.knows[2] == 0


def test_files_that_hold_no_predictions_are_refused(tmp_path):
    names = ("a", "b", "c")
    three = ClassList(names, names, ("",) * 3, "three")
    for spec, message in (
        (
            f"confusions:{tmp_path}",
            r"needs a file of predictions, not the folder .* `timm-nhl evaluate .*--predictions",
        ),
        (f"confusions:{tmp_path / 'gone.csv'}", r"^embedder 'confusions': .*gone.csv"),
        (write_predictions(tmp_path / "p.csv", [("a", "x")]), r"has classes that SOURCE lacks: 'x'"),
        ("confusions", r"^embedder 'confusions' needs a file; use confusions:FILE$"),
    ):
        with pytest.raises(EmbedError, match=message):
            look(three, spec)
    (tmp_path / "other.csv").write_text("id,name\na,b\n")
    with pytest.raises(EmbedError, match=r"has no columns 'class' and 'predicted'; give what `timm-nhl evaluate"):
        look(three, f"confusions:{tmp_path / 'other.csv'}")


def test_what_evaluate_writes_can_be_read():
    """The one place where both packages meet: the columns of --predictions."""
    from timm_nhl.eval import list_predictions

    header = list_predictions([]).strip().split(",")
    assert header[0] == "model" and {"class", "predicted"} <= set(header)
