"""Pieces of a canvas, classified in batches, are what each would be alone."""

import numpy as np
import pytest

import boxray
from boxray import images
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Preprocessing
from boxray.engines.crops import Crops
from boxray.errors import BoxError

PLAIN = Preprocessing((4, 4), (0.0,) * 3, (1.0,) * 3)
CANVAS = np.random.default_rng(0).integers(0, 256, (60, 90, 3), np.uint8)


def averaging() -> Classifier:
    """Logits that are the mean red, green and blue; features that are the largest of each."""

    def engine(canvases):
        return canvases.mean((1, 2), np.float32), canvases.max((1, 2)).astype(np.float32)

    return Classifier(engine, ("red", "green", "blue"), PLAIN)


def boxes(count: int) -> np.ndarray:
    random = np.random.default_rng(1)
    corners = random.uniform(0, 40, (count, 2))
    return np.concatenate([corners, corners + random.uniform(2, 20, (count, 2))], 1)


@pytest.mark.parametrize("count", [1, 16, 17, 40])
def test_many_say_the_same_as_one_by_one(count):
    crops = Crops(averaging())
    logits, features = crops(CANVAS, boxes(count))
    assert (count, 3) == logits.shape == features.shape
    for said, features_of_it, box in zip(logits, features, boxes(count), strict=True):
        alone, features_alone = averaging().said([images.crop(CANVAS, box)])
        np.testing.assert_array_equal(alone[0], said)
        np.testing.assert_array_equal(features_alone[0], features_of_it)


def test_a_box_without_pixels_is_refused():
    with pytest.raises(BoxError, match="holds no pixel of an image of 90x60"):
        Crops(averaging())(CANVAS, np.array([[0.0, 0, 9, 9], [90, 0, 99, 9]]))


def test_the_shipped_classifier_says_its_features_too():
    classifier = boxray.load_classifier(threads=1)
    logits, features = Crops(classifier.of_whole())(CANVAS, boxes(3))
    assert ((3, 1000), (3, 1280)) == (logits.shape, features.shape)
    best = [guesses[0].name for guesses in classifier.classify(CANVAS, boxes(3))]
    assert best == [classifier.classes[label] for label in logits.argmax(1)]
