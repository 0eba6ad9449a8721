"""Windows lie where their level says, and mean what the classifier's classes mean."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.coders.windows import Meanings, WindowCoder

# a cat of two kinds, a dog, and what is neither
MEANINGS = Meanings(2, (0, -1, 1, 0))


def test_a_class_has_the_probability_of_all_that_means_it_and_background_the_rest():
    logits = np.log(np.array([[1, 4, 2, 3]], np.float32))
    # of 10: cats 1 + 3, dog 2, neither 4
    np.testing.assert_allclose([[0.4, 0.2]], MEANINGS.scores(logits), rtol=1e-6)


def test_an_output_before_the_classes_stands_for_something_else():
    logits = np.log(np.array([[10, 1, 4, 2, 3]], np.float32))
    np.testing.assert_allclose([[4 / 20, 2 / 20]], MEANINGS.scores(logits), rtol=1e-6)


def test_windows_in_reading_order_level_by_level():
    coder = WindowCoder(MEANINGS, sizes=((4, 4), (4, 8)), steps=((2, 2), (4, 3)))
    # a canvas of 6 x 8: rows (6 - 4)/2 + 1, columns (8 - 4)/2 + 1; then one row, one column
    assert ((2, 3), (1, 1)) == coder.counts((6, 8))
    boxes, levels = coder.windows(coder.counts((6, 8)))
    first = [[0, 0, 4, 4], [2, 0, 6, 4], [4, 0, 8, 4], [0, 2, 4, 6], [2, 2, 6, 6], [4, 2, 8, 6]]
    assert [*first, [0, 0, 8, 4]] == boxes.tolist()
    assert [0] * 6 + [1] == levels.tolist()


@given(st.tuples(st.integers(8, 90), st.integers(8, 90)), st.integers(1, 9), st.integers(1, 9))
def test_windows_stay_on_the_canvas_and_the_next_ones_would_not(size_hw, down, across):
    coder = WindowCoder(MEANINGS, sizes=((8, 7),), steps=((down, across),))
    boxes, _ = coder.windows(coder.counts(size_hw))
    corner = boxes[:, 2:].max(0)
    assert (corner <= size_hw[::-1]).all()
    assert (corner + np.array([across, down]) > size_hw[::-1]).all()


def test_a_canvas_that_no_window_of_a_level_fits_has_none_of_it():
    coder = WindowCoder(MEANINGS, sizes=((4, 4), (16, 16)), steps=((4, 4), (4, 4)))
    assert ((2, 2), (0, 0)) == coder.counts((8, 8))


def test_no_numbers_mean_a_window_and_its_nearest_box_is_itself():
    coder = WindowCoder(MEANINGS, sizes=((4, 4),), steps=((2, 2),))
    boxes, _ = coder.windows(coder.counts((6, 8)))
    assert (6, 0) == coder.encode(boxes, np.arange(6), (6, 8)).shape
    raw = (np.zeros((4, 2, 3), np.float32),)
    np.testing.assert_array_equal(boxes, coder.nearest(np.array([1.0, 1, 3, 3]), raw))


def test_only_what_reaches_the_floor_is_decoded():
    coder = WindowCoder(MEANINGS, sizes=((4, 4),), steps=((4, 4),))
    raw = np.zeros((4, 1, 2), np.float32)
    raw[2, 0, 1] = 3  # e^3 of e^3 + 3 is 0.870 for the dog, 2 of it 0.087 for the cats
    found = coder.decode((raw,), 0.6)  # the other window says 0.5 and 0.25
    assert [[4.0, 0.0, 8.0, 4.0]] == found.boxes.tolist()
    assert ([1], [1], [0]) == (found.row.tolist(), found.labels.tolist(), found.group.tolist())
    assert 0.87005 == pytest.approx(found.scores[0], abs=1e-4)
