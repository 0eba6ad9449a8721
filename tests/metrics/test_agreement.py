"""Two detectors on one picture: partners, their distance, and who has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.metrics.agreement import agree
from boxray.records import Detections

BOXES = np.array([[0.0, 0, 10, 10], [40, 40, 60, 70], [5, 5, 30, 30]])
LABELS = np.array([0, 1, 1])
SCORES = np.array([0.9, 0.8, 0.3])
THREE = Detections(BOXES, LABELS, SCORES)
NOTHING = Detections(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))


def test_a_detector_agrees_with_itself():
    found = agree(THREE, THREE)
    assert [[0, 0], [1, 1], [2, 2]] == found.pairs.tolist()
    assert (0.0, 0.0) == found.farthest


def test_half_a_pixel_and_a_hundredth_of_a_score_are_told():
    found = agree(THREE, Detections(BOXES + 0.5, LABELS, SCORES - 0.01))
    assert (0.5, pytest.approx(0.01)) == found.farthest


def test_another_class_is_no_partner():
    found = agree(THREE, Detections(BOXES, np.array([0, 0, 1]), SCORES))
    assert ([1], [1]) == tuple(rows.tolist() for rows in found.alone)
    assert (np.inf, np.inf) == found.farthest


def test_against_nothing_everything_is_alone():
    assert [0, 1, 2] == agree(THREE, NOTHING).alone[0].tolist()
    assert [0, 1, 2] == agree(NOTHING, THREE).alone[1].tolist()
    assert (0.0, 0.0) == agree(NOTHING, NOTHING).farthest


@given(st.permutations(range(3)), st.integers(0, 2))
def test_the_order_of_the_other_side_does_not_matter_and_what_it_lacks_is_alone(order, missing):
    kept = [row for row in order if row != missing]
    found = agree(THREE, Detections(BOXES[kept], LABELS[kept], SCORES[kept]))
    assert {(row, kept.index(row)) for row in kept} == set(map(tuple, found.pairs.tolist()))
    assert ([missing], []) == tuple(rows.tolist() for rows in found.alone)
