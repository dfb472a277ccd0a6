"""Images, labels, batches and random numbers of trainings."""

from __future__ import annotations

import random

import numpy as np
import pytest
import timm
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.training_runs import TREE, dataset, small
from timm.data import create_dataset, create_transform, resolve_data_config

import hierarchy
from timm_nhl.data import STEP, EpochSampler, eval_loader, open_images, seed_all, train_loader
from timm_nhl.errors import TrainingError
from timm_nhl.train.build import load_teacher, train_transform
from timm_nhl.train.splits import open_splits


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    source = dataset(tmp_path_factory.mktemp("data") / "noise", images=14, side=40)
    return open_images(source, hierarchy=TREE, split="train")


def draws(sampler, epoch):
    sampler.set_epoch(epoch)
    return list(sampler)


@given(
    images=st.integers(12, 40),
    batch_size=st.integers(1, 3),
    grad_accum_steps=st.integers(1, 2),
    world_size=st.integers(1, 2),
    epoch=st.integers(0, 3),
)
def test_micro_batches_and_processes_split_the_same_batches(images, batch_size, grad_accum_steps, world_size, epoch):
    whole = EpochSampler(images, batch_size=batch_size * grad_accum_steps * world_size, seed=7)
    samplers = [
        EpochSampler(
            images,
            batch_size=batch_size,
            seed=7,
            grad_accum_steps=grad_accum_steps,
            rank=rank,
            world_size=world_size,
        )
        for rank in range(world_size)
    ]
    parts = [draws(sampler, epoch) for sampler in samplers]
    for sampler, part in zip(samplers, parts, strict=True):
        assert sampler.steps_per_epoch == whole.steps_per_epoch and len(sampler) == len(part)
    for step, expected in enumerate(draws(whole, epoch)):
        of_step = range(step * grad_accum_steps, (step + 1) * grad_accum_steps)
        assert [draw for micro in of_step for part in parts for draw in part[micro]] == expected


def test_an_epoch_takes_every_image_at_most_once_in_an_order_of_its_own():
    sampler = EpochSampler(25, batch_size=4, seed=7)
    first, second = ([draw for batch in draws(sampler, epoch) for draw in batch] for epoch in (0, 1))
    assert len({draw.number for draw in first}) == len(first) == 24
    assert {draw.epoch for draw in first} == {0} and {draw.epoch for draw in second} == {1}
    assert [draw.number for draw in first] != [draw.number for draw in second]


def test_random_numbers_depend_on_the_place_alone():
    def drawn(*where):
        seed_all(42, STEP, *where)
        return random.random(), np.random.rand(), torch.rand(1).item()

    first = drawn(3, 0)
    assert drawn(3, 1) != first and drawn(3, 0) == first
    assert len({value for where in range(50) for value in drawn(where)}) == 150


def test_the_augmentation_of_an_image_depends_on_its_epoch_and_number_alone(images):
    config = resolve_data_config({"img_size": 32}, model=timm.create_model("test_resnet"))
    transform = train_transform(small("", aa="rand-m9-mstd0.5"), config)

    def augmented(batch_size, epoch, workers=0):
        sampler = EpochSampler(14, batch_size=batch_size, seed=1)
        loader = train_loader(images, config, transform=transform, sampler=sampler, workers=workers)
        sampler.set_epoch(epoch)
        draws = [draw for batch in sampler for draw in batch]
        rows = [(image, int(label)) for x, target in loader for image, label in zip(x, target, strict=True)]
        return dict(zip(draws, rows, strict=True))

    twos = augmented(2, epoch=0) | augmented(2, epoch=1)
    others = augmented(7, epoch=0, workers=1) | augmented(7, epoch=1)
    assert len(others) == 28
    for draw, (image, label) in others.items():
        assert torch.equal(image, twos[draw][0]) and label == twos[draw][1] == images.labels[draw.number]
        assert not torch.equal(image, others[draw._replace(epoch=1 - draw.epoch)][0])


def test_evaluation_sees_images_as_timm_does(images):
    config = resolve_data_config({"img_size": 32}, model=timm.create_model("test_resnet"))
    transform = create_transform(**config)
    batches = list(eval_loader(images, config, batch_size=5))
    x, target = (torch.cat(parts) for parts in zip(*batches, strict=True))
    expected = torch.stack([transform(images[number][0]) for number in range(len(images))])
    torch.testing.assert_close(x, expected, rtol=1e-5, atol=1e-5)
    assert target.tolist() == images.labels.tolist()


def test_every_process_evaluates_its_part(images):
    parts = [images.part(number, 3) for number in range(3)]
    assert sorted(row for part in parts for row in part.rows) == list(images.rows)
    assert all(isinstance(part[0][0], Image.Image) for part in parts)


@pytest.fixture(scope="module")
def imagenet(tmp_path_factory):
    """An image folder of imagenet100, two images a class; the color of an image says which class it is of."""
    folder = tmp_path_factory.mktemp("imagenet")
    for label, id in enumerate(hierarchy.load("imagenet100").classes):
        for split in ("train", "validation"):
            (folder / split / id).mkdir(parents=True)
            Image.new("RGB", (8, 8), (label, 0, 0)).save(folder / split / id / "0.png")
    return folder


def test_an_image_folder_gets_the_labels_of_the_hierarchy_not_of_sorted_names(imagenet):
    tree = hierarchy.load("imagenet100")
    assert list(tree.classes) != sorted(tree.classes)
    splits = open_splits(small(imagenet, hierarchy="imagenet100", val_split="validation"))
    for images in (splits.images, splits.val_images):
        assert images.classes == tree.classes and len(images) == 100
        assert all(image.getpixel((0, 0))[0] == label for image, label in map(images.__getitem__, range(100)))
    theirs = create_dataset("", root=str(imagenet / "train"))  # timm's own numbers, which sort the names
    assert any(image.getpixel((0, 0))[0] != label for image, label in map(theirs.__getitem__, range(100)))


def test_without_a_hierarchy_a_model_names_the_classes_of_its_labels(imagenet):
    images = open_splits(small(imagenet, model="test_resnet", model_kwargs=None, val_split="validation")).images
    ids = hierarchy.load("imagenet100").classes
    assert images.classes == tuple(sorted(ids))
    assert all(ids[images[i][0].getpixel((0, 0))[0]] == images.classes[images[i][1]] for i in range(100))


def test_a_teacher_is_matched_by_names_never_by_the_number_of_its_outputs(tmp_path):
    classes = hierarchy.load("imagenet100").classes
    teacher = timm.create_model("test_resnet", num_classes=100)
    configs = {"same": {"label_names": classes}, "sorted": {"label_names": sorted(classes)}, "unnamed": {}}
    for name, config in configs.items():
        timm.models.save_for_hf(teacher, str(tmp_path / name), model_config=config, safe_serialization=True)
    assert load_teacher(str(tmp_path / "same"), classes=classes).num_classes == 100
    for name, problem in (("sorted", "in another order"), ("unnamed", "does not name its 100 outputs")):
        with pytest.raises(TrainingError, match=problem):
            load_teacher(str(tmp_path / name), classes=classes)
