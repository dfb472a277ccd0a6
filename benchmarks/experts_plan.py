"""The trainings of the study of experts: networks, hierarchies and seeds, each with a prediction.

All trainings see the icons that `icons.py` writes and share one recipe. Shapes are chosen with the validation images;
the test images choose nothing. Predictions were written before the training they are about and stay as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

BACKBONE = "mobilenetv4_conv_small"
SMALLER = "mobilenetv4_conv_small_050"  # the plain rival: about as dear as an expert
SEEDS = (0, 1, 2)
SHORT, LONG = 12, 24  # epochs: of the study of shapes, of the main table
IMAGES = 12_000  # an epoch on all classes
RECIPE: dict[str, Any] = {
    "batch_size": 64,
    "epochs": LONG,
    "opt": "adamw",
    "lr": 2e-3,
    "weight_decay": 0.05,
    "warmup_epochs": 1.0,
    "smoothing": 0.1,
    "scale": (0.6, 1.0),
    "hflip": 0.0,  # arrows have a direction
    "color_jitter": 0.0,  # the images are grey
    "train_interpolation": "bilinear",
    "img_size": 48,
    "channels_last": True,
    "workers": 0,
    "eval_every": 0,
    "device": "cpu",
}
PLAIN, LONGER, RIVAL = "plain", "plain, twice the steps", "plain 050"


@dataclass(frozen=True)
class Network:
    """A network to train.

    Args:
        name: of its row in the tables.
        model: timm's name.
        options: arguments of the model, as `--model-kwargs` takes them.
        tree: hierarchy of a nested network: "people", "generated", "random" or "single"; none for a plain one.
        settings: what differs from RECIPE.
        task: kind and number of the task on whose classes alone it is trained (see experts_tasks.py).
        expected: the prediction.
    """

    name: str
    model: str
    options: str = ""
    tree: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    task: tuple[str, int] | None = None
    expected: str = ""


def nest(widths: str, *, tree: str = "people", more: str = "", expected: str = "") -> Network:
    """A nested network that is split where its trunk has stride 8."""
    extra = f" {more}" if more else ""
    options = f"split=-3 strides=2,2,1 widths={widths}{extra}"
    return Network(f"nested {widths}{extra}, {tree}", f"{BACKBONE}_nhl", options, tree, expected=expected)


SHAPES = (
    Network(PLAIN, BACKBONE, expected="86 % of 276 classes"),
    nest("48,24,12", expected="one point above plain"),
    nest("32,16,8", expected="level with plain"),
    Network(RIVAL, SMALLER, expected="3.5 points below plain"),
    Network(LONGER, BACKBONE, settings={"epochs": 2 * SHORT}, expected="1.5 points above plain"),
)

EDGE, TINY = "48,24,12", "32,16,8"  # see the study of shapes
PARTS = tuple((kind, number) for kind in ("5 random", "5 related", "20 random", "superclass") for number in range(2))
# written after the study of shapes: with 12 epochs, nested 48,24,12 is 4.4 points above plain, and plain with 24 is 5.9
TREES = {
    "people": "level with plain on all classes and on experts of 5: with twice the epochs, plain gains more",
    "random": "half a point below people's tree",
    "single": "one point below people's tree",
    "generated": "within half a point of people's tree",
}


def list_shapes() -> Iterator[tuple[Network, int]]:
    """The study of shapes: one seed, half the epochs."""
    for network in SHAPES:
        yield replace(network, settings={"epochs": SHORT, **network.settings}), SEEDS[0]


def list_main() -> Iterator[tuple[Network, int]]:
    """The main table: first what the claim needs, seed by seed; then other hierarchies; then networks of a task."""
    for seed in SEEDS:
        yield Network(PLAIN, BACKBONE, expected="85.5 %, as in the study of shapes"), seed
        yield nest(EDGE, expected=TREES["people"]), seed
        yield nest(TINY, expected="one point below nested 48,24,12"), seed
        yield Network(RIVAL, SMALLER, expected="5 points below plain"), seed
        yield Network(LONGER, BACKBONE, settings={"epochs": 2 * LONG}, expected="1 point above plain"), seed
    for seed in SEEDS:
        for tree in ("random", "generated", "single"):
            yield nest(EDGE, tree=tree, expected=TREES[tree]), seed
    for seed in SEEDS:
        for kind, number in PARTS:
            name = f"plain, {kind}, task {number}"
            yield Network(name, BACKBONE, task=(kind, number), expected="three points below plain restricted"), seed


def list_networks(plan: str) -> Iterator[tuple[Network, int]]:
    """The networks of a plan with their seeds."""
    return list_shapes() if plan == "shapes" else list_main()
