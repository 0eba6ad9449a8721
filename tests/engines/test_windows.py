"""Exact windows say what their crops say; dense ones the same, where nothing is seen outside."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import boxray
from boxray import images
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Preprocessing
from boxray.coders.windows import Meanings, WindowCoder
from boxray.engines.crops import Crops
from boxray.engines.recorded import Recording
from boxray.engines.windows import DenseWindows, ExactWindows
from boxray.errors import SettingError

CANVASES = np.random.default_rng(0).integers(0, 256, (2, 60, 90, 3), np.uint8)
SIDE, CELL = 8, 2  # the toy classifier's input and the step of its map, in pixels
CODER = WindowCoder(
    Meanings(3, (0, 1, 2)),
    sizes=((8, 8), (16, 16), (16, 32)),
    steps=((4, 4), (4, 8), (8, 8)),
)


def averaging(stride: int | None = CELL) -> Classifier:
    """The mean red, green and blue of each window: a network that needs no padding."""

    def engine(pictures):
        maps = np.lib.stride_tricks.sliding_window_view(pictures, (SIDE, SIDE), axis=(1, 2))
        return (maps.mean((-1, -2)).transpose(0, 3, 1, 2)[:, :, ::CELL, ::CELL].astype(np.float32),)

    plain = Preprocessing((SIDE, SIDE), (0.0,) * 3, (1.0,) * 3)
    return Classifier(engine, ("red", "green", "blue"), plain, name="averaging", stride=stride)


def exact() -> ExactWindows:
    return ExactWindows(Crops(averaging().of_whole()), CODER)


def dense() -> DenseWindows:
    return DenseWindows(averaging().of_whole(), CODER)


@pytest.mark.parametrize("make", [exact, dense])
def test_there_is_a_map_for_each_size_of_window(make: Callable):
    expected = [(2, 3, *count) for count in CODER.counts((60, 90))]
    assert expected == [level.shape for level in make()(CANVASES)]


def test_exact_windows_say_what_their_pieces_say():
    boxes, _ = CODER.windows(CODER.counts((60, 90)))
    said = exact()(CANVASES)
    for number, canvas in enumerate(CANVASES):
        rows = CODER.flatten(tuple(level[number] for level in said))
        alone = averaging().of_whole().logits([images.crop(canvas, box) for box in boxes])
        np.testing.assert_array_equal(alone, rows)


def test_without_resizing_and_padding_dense_is_exact():
    # the level of windows as large as the input: none is resized
    np.testing.assert_allclose(exact()(CANVASES)[0], dense()(CANVASES)[0], atol=1e-3)


def test_what_is_resized_as_a_whole_is_near_to_what_is_resized_piece_by_piece():
    smooth = np.stack([images.resize(canvas[:6, :9], (60, 90)) for canvas in CANVASES])
    for one, other in zip(exact()(smooth), dense()(smooth), strict=True):
        np.testing.assert_allclose(one, other, atol=3)  # of 256 greys


def test_a_classifier_without_a_map_is_refused():
    with pytest.raises(SettingError, match="averaging gives no map of windows"):
        DenseWindows(averaging(stride=None), CODER)


@pytest.mark.parametrize("step", [3, 1])
def test_steps_between_the_places_of_a_map_are_refused(step):
    # 8 pixels of the canvas are 8 of the input: places are 2 pixels apart
    coder = replace(CODER, sizes=((8, 8),), steps=((step, step),))
    with pytest.raises(SettingError, match=rf"{step} apart: as a map they are multiples of 2 "):
        DenseWindows(averaging(), coder)


def test_passes_are_pieces_of_exact_windows_and_sizes_of_dense_ones():
    for engine, expected in (
        (exact(), sum(r * c for r, c in CODER.counts((60, 90)))),
        (dense(), 3),
    ):
        heard = Recording(engine)
        heard(CANVASES)
        assert 2 * expected == heard.passes


def test_the_shipped_classifier_says_the_same_of_a_picture_that_is_one_window():
    picture = np.random.default_rng(1).integers(0, 256, (1, 224, 224, 3), np.uint8)
    classifier = boxray.load_classifier(threads=1).of_whole()
    coder = WindowCoder(Meanings(1, (0,) * 1000), sizes=((224, 224),), steps=((32, 32),))
    one = ExactWindows(Crops(classifier), coder)(picture)[0]
    np.testing.assert_allclose(one, DenseWindows(classifier, coder)(picture)[0], atol=1e-4)
