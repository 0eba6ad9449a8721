"""Recall of proposals: the first n of each image against its objects."""

import numpy as np
import pytest

from boxray.metrics.proposal_recall import reach
from boxray.records import Truths

SQUARE = [0.0, 0.0, 10.0, 10.0]
HALF = [0.0, 0.0, 10.0, 5.0]  # IoU with the square: 50 / 100
MOST = [0.0, 0.0, 10.0, 8.0]  # 80 / 100
FAR = [50.0, 50.0, 60.0, 60.0]


def truths(*boxes: list[float], labels: list[int], **flags: list[bool]) -> Truths:
    known = {name: np.array(values) for name, values in flags.items()}
    return Truths.of(np.array(boxes).reshape(-1, 4), np.array(labels, np.int64), flags=known)


def test_the_best_of_the_first_n_counts():
    found = reach([truths(SQUARE, labels=[0])], [np.array([FAR, HALF, MOST])], (1, 2, 3, 9))
    assert [0, 0.5, 0.8, 0.8] == pytest.approx(found.overlaps[0].tolist())
    assert [0, 1, 1, 1] == found.recall(0.5).tolist()
    assert [0, 0, 1, 1] == found.recall(0.75).tolist()
    # 2 · (IoU - 0.5): 0, 0, 0.6, 0.6
    assert [0, 0, 0.6, 0.6] == pytest.approx(found.average_recall().tolist())


def test_the_mean_of_classes_gives_a_rare_class_its_full_weight():
    images = [truths(SQUARE, SQUARE, SQUARE, labels=[0, 0, 0]), truths(SQUARE, labels=[4])]
    found = reach(images, [np.array([SQUARE]), np.array([FAR])], (1,))
    assert [3 / 4] == found.recall(0.5).tolist()
    assert [(1 + 0) / 2] == found.mean_of_classes(0.5).tolist()
    assert [1, 1] == found.proposals.tolist()


@pytest.mark.parametrize("flag", ["difficult", "crowd", "group_of"])
def test_what_no_metric_counts_is_not_asked_for(flag):
    image = truths(SQUARE, FAR, labels=[0, 1], **{flag: [False, True]})
    assert [0] == reach([image], [np.array([SQUARE])], (1,)).labels.tolist()


def test_an_image_without_proposals_reaches_nothing_and_no_object_is_undefined():
    none = np.zeros((0, 4))
    assert [0, 0] == reach([truths(SQUARE, labels=[0])], [none], (1, 5)).recall(0.5).tolist()
    empty = reach([truths(labels=[])], [np.array([SQUARE])], (1, 5))
    assert np.isnan(empty.recall(0.5)).all()
    assert np.isnan(empty.mean_of_classes(0.5)).all()
