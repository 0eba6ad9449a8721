"""What is fitted to the data: canvases grow for small objects, up to a limit; crowds are shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boxray.data import Dataset
from boxray.data.report import Report
from boxray.data.synthetic import make
from boxray.ledger import Resolved
from boxray.recipes.recipe import Recipe, blueprint
from boxray.records import Sample, Truths
from boxray.training import TrainSettings
from boxray.training.fitting import fitted, size_for, told
from boxray.training.preparation import prepare


def one_picture(size_hw: tuple[int, int], side: float, count: int = 1) -> Dataset:
    """A picture with so many square objects."""
    boxes = np.tile([0.0, 0.0, side, side], (count, 1))
    sample = Sample(Path("a.jpg"), size_hw, Truths.of(boxes, np.zeros(count, np.int64)))
    return Dataset("made", ("thing",), (sample,), "train", Report())


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    priors = tuple((((16.0 * 2**level,) * 2,) * 3) for level in range(3))
    return blueprint("grid-lite0").build(1, priors, (352, 352), pretrained=False)


@pytest.mark.parametrize(
    ("size_hw", "side", "expected"),
    [
        ((1000, 1000), 60, 352),  # 60 · 0.352 = 21.1 pixels on the canvas: large enough
        ((1000, 1000), 30, 544),  # 10.56, so 352 · 16 / 10.56 = 533.3, to a multiple of 32
        ((3000, 4000), 80, 640),  # 7.04 ask for 800; there is a limit
        ((480, 360), 10, 480),  # 7.33 ask for 768, but the picture has only 480
        ((200, 300), 4, 352),  # never less than usual
    ],
)
def test_small_objects_get_a_larger_canvas(size_hw, side, expected):
    assert expected == size_for(one_picture(size_hw, side), 352)


def test_a_canvas_is_as_usual_where_there_is_nothing_to_measure():
    assert 352 == size_for(one_picture((100, 100), 5, count=0), 352)


def test_a_crowd_is_shown_whole(recipe):
    few = fitted(recipe, one_picture((100, 100), 5, count=66), None)
    many = fitted(recipe, one_picture((100, 100), 5, count=180), None)
    assert recipe.thresholds == few.thresholds  # 66 · 1.5 = 99
    # 180 · 1.5 = 270, to a hundred; ten candidates for each
    assert replace(recipe.thresholds, max_detections=300, limit_before=3000) == many.thresholds


def test_few_pictures_are_soon_shown_as_in_use(recipe):
    few = one_picture((100, 100), 5)
    many = replace(few, samples=few.samples * 501)
    soon, usual = fitted(recipe, few, None).optimisation, fitted(recipe, many, None).optimisation
    assert recipe.optimisation == usual
    assert 0.6 == soon.mosaic_until
    assert ((0.0, 0.6), (0.35, 0.8), (0.6, 1.0)) == soon.sizes
    # nothing comes later than the recipe has it
    early = replace(recipe.optimisation, mosaic_until=0.0, sizes=((0.0, 1.0),))
    again = fitted(replace(recipe, optimisation=early), few, None).optimisation
    assert early == again


def test_nothing_is_mirrored_where_two_classes_would_change_places(recipe):
    dataset = one_picture((100, 100), 5)
    assert 0.5 == fitted(recipe, dataset, None).augmentation.mirror
    assert 0.0 == fitted(recipe, dataset, ("left", "right")).augmentation.mirror


def test_what_was_fitted_is_told_in_words():
    usual = {"size": 352, "changing_places": None}
    fit = {"size": 544, "changing_places": ["left", "right"], "max_detections": 300}
    origins = {"size": "derived"}
    assert [] == list(told(Resolved(usual, origins), 352))
    canvas, mirror, crowd = told(Resolved(fit, origins), 352)
    assert "544 px in place of 352" in canvas
    assert "'left' and 'right' would change places" in mirror
    assert "up to 300" in crowd
    assert 2 == len(list(told(Resolved(fit, {"size": "user"}), 352)))


def test_a_recipe_that_shows_many_says_nothing_of_crowds(tmp_path):
    data = make(tmp_path / "data", images=4, seed=0)
    settings = TrainSettings(
        data=(data,), output=tmp_path / "run", recipe="retinanet-lite0", epochs=1.0, threads=1
    )
    prepared = prepare(settings, None)
    assert 300 == prepared.recipe.thresholds.max_detections
    assert not any("crowded" in line for line in told(prepared.resolved, 10_000))
