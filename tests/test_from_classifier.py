"""A classifier becomes a detector: it finds what it names, and can say why."""

import numpy as np
import pytest

import boxray
from boxray import bundle, from_classifier
from boxray.classification import alignment
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Preprocessing
from boxray.errors import ModelError, SettingError
from boxray.from_classifier import sliding_window
from boxray.protocols import Coder

PLAIN = Preprocessing((14, 14), (0.0,) * 3, (1.0,) * 3)
GREY = np.full((448, 448, 3), 90, np.uint8)


def colours(stride: int | None = None) -> Classifier:
    """Sure of the colour of a patch, if it has one: of grey all three are as probable."""

    def engine(canvases):
        means = canvases.mean((1, 2), np.float32)
        return (4 * (means - means.mean(1, keepdims=True)) / (means.std(1, keepdims=True) + 1),)

    return Classifier(engine, ("red", "green", "blue"), PLAIN, name="colours", stride=stride)


def painted(x0: int, y0: int, x1: int, y1: int, colour) -> np.ndarray:
    picture = GREY.copy()
    picture[y0:y1, x0:x1] = colour
    return picture


def test_a_coloured_square_is_found_where_it_is():
    detector = sliding_window(colours(), ("blue", "red")).with_thresholds(score_threshold=0.99)
    result = detector.detect(painted(64, 128, 176, 240, (90, 90, 255)))
    ((box, score, name), *_) = result
    assert ("blue", (64.0, 128.0, 176.0, 240.0)) == (name, box)
    assert score > 0.99
    assert {"blue"} == set(result.names)


def test_its_life_says_which_window_it_was_and_what_else_it_could_mean():
    detector = sliding_window(colours(), ("blue", "red")).with_thresholds(score_threshold=0.99)
    (origin,) = detector.detect(painted(64, 128, 176, 240, (90, 90, 255))).explain(0).origins
    # windows of 112 pixels, 32 apart: column 64 / 32, row 128 / 32
    assert {"level": 0, "window": [112, 112], "step": [32, 32], "place": [2, 4]} == origin.where
    assert ["blue", "red"] == [name for name, _ in origin.classes]
    assert origin.score == pytest.approx(origin.classes[0][1])


def test_where_nothing_has_a_class_nothing_reaches_the_threshold():
    # all three are as probable: a third each
    assert 0 == len(
        sliding_window(colours(), ("blue", "red"))
        .with_thresholds(score_threshold=0.34)
        .detect(GREY)
    )


def test_lists_of_classes_are_those_that_imagenet_knows():
    assert 20 == len(alignment.names("voc"))
    classifier = boxray.load_classifier(threads=1)
    detector = sliding_window(classifier, "coco")
    assert alignment.names("coco") == detector.classes
    assert isinstance(detector.coder, Coder)
    # ImageNet's 118 dogs are one of COCO's
    dog = detector.classes.index("dog")
    assert 118 == detector.coder.meanings.of.count(dog)


def test_meanings_follow_ids_whatever_their_order():
    ids = ("n02121620", "n02084071", "n02099601")  # no class of ImageNet's, nor this; a retriever
    assert (-1, -1, 0) == alignment.meanings(("dog",), ("cat", "dog", "golden"), ids)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": "imagenet"}, "no list of classes 'imagenet'; expected one of open-images"),
        ({"classes": ("violet",)}, "none of the classes violet"),
        ({"classes": ("red",), "size_hw": (100, 448)}, "expected at least 112x112 pixels"),
        ({"classes": ("red",), "step": 0}, "steps of at least 1"),
        ({"classes": ("red",), "dense": True}, "colours gives no map of windows"),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message):
    with pytest.raises(SettingError, match=message):
        sliding_window(colours(), **arguments)


@pytest.mark.parametrize("name", from_classifier.NAMES)
def test_it_has_a_name_and_is_described_as_what_it_runs_as(name):
    detector, described = bundle.load(name, threads=1, size=224), bundle.described(name)
    assert (name, (224, 224)) == (detector.name, detector.canvas_hw)
    assert (name, detector.classes) == (described.name, described.classes)
    assert bundle.describe(*bundle.read("lite0-imagenet")).sha256 == described.sha256


def test_it_has_no_file_of_its_own():
    with pytest.raises(ModelError, match="'windows' has no file of its own: it is made of 'lite0"):
        bundle.read("windows")


@pytest.mark.parametrize("name", from_classifier.NAMES)
def test_the_shipped_one_finds_a_cat_in_both_forms(name):
    data = pytest.importorskip("skimage.data", reason="needs the extra 'demo'")
    assert "cat" == boxray.load(name, size=224, threads=1).detect(data.chelsea()).names[0]
