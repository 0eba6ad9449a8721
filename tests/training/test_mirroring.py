"""Classes that change places in a mirror are found, and no others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray import data
from boxray.data import Dataset, synthetic
from boxray.records import Sample, Truths
from boxray.training.mirroring import changing_places

CANVAS_HW = (160, 160)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> Dataset:
    folder = tmp_path_factory.mktemp("shapes") / "data"
    return data.read(synthetic.make(folder, images=30, seed=0), split="train")


def sided(dataset: Dataset, folder: Path) -> Dataset:
    """The same objects, of which the left or right half is dark: that is their class."""
    random = np.random.default_rng(0)
    samples: list[Sample] = []
    for sample in dataset.samples:
        pixels = np.array(Image.open(sample.path).convert("RGB"))
        labels = random.integers(2, size=len(sample.truths))
        for side, box in zip(labels, sample.truths.boxes.astype(int), strict=True):
            x0, y0, x1, y1 = box
            left, right = ((x0 + x1) // 2, x1) if side else (x0, (x0 + x1) // 2)
            pixels[y0:y1, left:right] //= 3
        path = folder / f"{sample.path.stem}.png"
        Image.fromarray(pixels).save(path)
        samples.append(Sample(path, sample.size_hw, Truths.of(sample.truths.boxes, labels)))
    return replace(dataset, classes=("left", "right"), samples=tuple(samples))


def test_the_two_sides_of_a_thing_change_places(shapes, tmp_path):
    assert {"left", "right"} == set(changing_places(sided(shapes, tmp_path), CANVAS_HW) or ())


def test_shapes_and_colours_stay_what_they_are(shapes):
    assert changing_places(shapes, CANVAS_HW) is None


def test_one_class_and_too_few_objects_say_nothing(shapes, tmp_path):
    assert changing_places(replace(shapes, classes=("thing",)), CANVAS_HW) is None
    few = replace(shapes, samples=shapes.samples[:3])
    assert changing_places(sided(few, tmp_path), CANVAS_HW) is None


def test_looking_leaves_the_random_numbers_of_the_training_alone(shapes):
    import torch

    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    changing_places(shapes, CANVAS_HW)
    assert expected == torch.rand(2).tolist()
