"""Boxes that were listed come back as they were, in order, each with its place in the list."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from boxray.coders.listed_boxes import ListedBoxes, listed
from boxray.selection import Thresholds, select

EVERY = Thresholds(score_threshold=0.0, iou_threshold=1.0)
some_boxes = arrays.arrays(
    np.float32, st.tuples(st.integers(0, 40), st.just(4)), elements=st.floats(0, 384, width=32)
)


@given(some_boxes)
def test_a_list_is_selected_in_its_own_order(boxes):
    found = ListedBoxes().decode(listed(boxes))
    np.testing.assert_array_equal(boxes, found.boxes)
    np.testing.assert_array_equal(np.arange(len(boxes)), select(found, EVERY).kept)


@given(some_boxes)
def test_the_numbers_of_a_box_are_the_box(boxes):
    rows = np.arange(len(boxes))
    numbers = ListedBoxes().encode(boxes, rows, (384, 384))
    np.testing.assert_array_equal(boxes, ListedBoxes().decode(listed(numbers)).boxes)


def test_scores_are_an_order_from_nearly_1_to_nearly_0():
    # of 4: 1 - 1/8, then a quarter less each time
    found = ListedBoxes().decode(listed(np.tile([[0, 0, 9.0, 9.0]], (4, 1))))
    assert [0.875, 0.625, 0.375, 0.125] == pytest.approx(found.scores.tolist())


def test_a_trace_says_which_proposal_it_was_of_how_many():
    raw = listed(np.array([[0, 0, 9, 9], [2, 4, 12, 20], [1, 1, 2, 2]], np.float32))
    trace = ListedBoxes().trace(raw, 1)
    assert {"level": 0, "proposal": 1, "of": 3} == trace.where
    assert (2, 4, 12, 20) == trace.box == trace.start
    # centre (2 + 12)/2, (4 + 20)/2; size 12 - 2, 20 - 4
    assert [7, 12, 10, 16] == [step.value for step in trace.steps]
    assert (0.5,) == pytest.approx(trace.class_scores)


def test_the_nearest_box_is_what_stands_there():
    boxes = np.array([[0, 0, 9, 9], [2, 4, 12, 20]], np.float32)
    near = ListedBoxes().nearest(np.array([5, 5, 30, 30], np.float32), listed(boxes))
    np.testing.assert_array_equal(boxes, near)
