"""Each planted fault is named, and nothing else is; a clean data set passes."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from boxray import evaluation
from boxray.data.synthetic import make
from boxray.preflight import CHECKS, QUICK, Subject, inspect
from boxray.training import TrainSettings
from boxray.training.preparation import Prepared, prepare

CLASSES = ("circle", "square", "triangle")
SIZE = 64


@pytest.fixture
def pictures(tmp_path) -> Path:
    """Thirty pictures of easy shapes, of each class some in both parts."""
    return make(tmp_path / "shapes", images=30, seed=0)


def prepared(pictures: Path, **asked: Any) -> Prepared:
    """A training of the default recipe, small; its network starts from ImageNet's weights."""
    settings = TrainSettings(
        data=(pictures,),
        output=pictures / "run",
        size=SIZE,
        start="imagenet",
        threads=1,
        workers=0,
        cache=pictures.parent / "cache",
        **asked,
    )
    return prepare(settings)


def found(training: Prepared) -> tuple[str, ...]:
    return inspect(Subject(training), QUICK).found


def annotations(pictures: Path) -> list[Path]:
    return sorted((pictures / "Annotations").glob("*.xml"))


def test_a_clean_data_set_passes(pictures):
    said = inspect(Subject(prepared(pictures)), QUICK).said
    assert [] == [(name, one.findings) for name, one in said.items() if one.findings]
    assert set(QUICK) == set(said)


@dataclass(frozen=True)
class Shifted:
    """A loss that was told another class map: the next class in the place of each."""

    loss: Callable

    def __call__(self, raw, targets, coder):
        turned = [replace(one, labels=(one.labels + 1) % coder.class_count) for one in targets]
        return self.loss(raw, turned, coder)


def test_a_head_whose_class_map_is_shifted_by_one(pictures):
    training = prepared(pictures)
    wrong = replace(training.recipe, loss=Shifted(training.recipe.loss))
    assert ("head-classes",) == found(replace(training, recipe=wrong))


def test_a_head_that_names_more_classes_than_the_data(pictures):
    training = prepared(pictures)
    wrong = replace(training, train=replace(training.train, classes=(*CLASSES, "background")))
    assert "head-classes" in found(wrong)


@pytest.mark.parametrize("where", ["in the metric", "in the part that is checked on"])
def test_a_metric_whose_class_map_is_shifted_by_one(pictures, monkeypatch, where):
    training = prepared(pictures)
    if where == "in the metric":
        original = evaluation.score

        def shifted(truths, *others, **options):
            turned = [
                replace(one, labels=(one.labels + 1) % len(CLASSES)) if one.labels.any() else one
                for one in truths
            ]
            return original(turned, *others, **options)

        monkeypatch.setattr(evaluation, "score", shifted)
    else:
        turned = (*CLASSES[1:], CLASSES[0])
        training = replace(training, val=replace(training.val, classes=turned))
    assert ("metric-classes",) == found(training)


def test_sizes_that_are_read_as_corners(pictures):
    for path in annotations(pictures):
        tree = ElementTree.parse(path)
        for box in tree.iter("bndbox"):
            for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
                start, end = (int(box.find(name).text) for name in (low, high))
                box.find(high).text = str(end - start + 1)
        tree.write(path)
    assert ("other-layout",) == found(prepared(pictures))


def test_priors_ten_times_too_large(pictures):
    training = prepared(pictures)
    coder = training.recipe.coder
    priors = tuple(tuple((10 * w, 10 * h) for w, h in level) for level in coder.priors)
    wrong = replace(training.recipe, coder=replace(coder, priors=priors))
    assert ("unreached-truth",) == found(replace(training, recipe=wrong))


def test_a_learning_rate_a_hundred_times_too_high(pictures):
    usual = prepared(pictures).resolved.values["learning_rate"]
    assert ("learning-rate",) == found(prepared(pictures, learning_rate=100 * usual))


def test_turned_pictures_whose_boxes_are_not(pictures):
    for path in (pictures / "JPEGImages").iterdir():
        with Image.open(path) as picture:
            exif = picture.getexif()
            exif[0x0112] = 6
            picture.save(path, exif=exif, quality=92)
    assert ("exif-rotation",) == found(prepared(pictures))


def test_a_class_that_no_box_has(pictures, tmp_path):
    listed = tmp_path / "classes.txt"
    listed.write_text("\n".join((*CLASSES, "hexagon")))
    assert ("class-without-boxes",) == found(prepared(pictures, classes=listed))


def test_pictures_without_their_labels(pictures):
    for path in annotations(pictures)[::5]:
        path.unlink()
    assert ("missing-labels",) == found(prepared(pictures))


def test_checks_that_would_only_repeat_an_error_are_not_run(pictures):
    training = prepared(pictures)
    wrong = replace(training.recipe, loss=Shifted(training.recipe.loss))
    said = inspect(Subject(replace(training, recipe=wrong)), tuple(CHECKS)).said
    assert ["initial-loss", "learning-rate", "overfit"] == [n for n, one in said.items() if not one]


def test_it_leaves_the_training_as_it_was(pictures):
    import torch

    training = prepared(pictures)
    before = {name: w.clone() for name, w in training.recipe.network.state_dict().items()}
    chance = torch.get_rng_state()
    inspect(Subject(training), QUICK)
    after = training.recipe.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(chance, torch.get_rng_state())
    assert not np.any([w.grad is not None for w in training.recipe.network.parameters()])
