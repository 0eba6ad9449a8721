"""VOC's average precision: by hand, and equal to a plain reading of the devkit."""

import numpy as np
import pytest

from boxray import boxes as geometry
from boxray.evaluation import NO_DETECTIONS, score
from boxray.metrics import voc
from boxray.metrics.matching import match
from boxray.metrics.precision_recall import one_weighting
from boxray.records import Detections, Truths
from metrics.official import random_set

CLASSES = ("ant", "bee", "cat", "dog")
SQUARE = np.array([[0.0, 0, 100, 100]])


def devkit_curve(truths, detections, label):
    """VOCevaldet.m, line by line: recall and precision after every detection."""
    rows = [
        (-float(one.scores[k]), i, k)
        for i, one in enumerate(detections)
        for k in np.flatnonzero(one.labels == label)
    ]
    used, hits, alarms = set(), [], []
    for _, i, k in sorted(rows, key=lambda row: row[0]):
        best, best_overlap = None, -np.inf
        for g in np.flatnonzero(truths[i].labels == label):
            overlap = geometry.iou(detections[i].boxes[k][None], truths[i].boxes[g][None])[0, 0]
            if overlap > best_overlap:
                best, best_overlap = g, overlap
        aside = best is not None and bool(truths[i].difficult[best] or truths[i].crowd[best])
        reached = best_overlap >= 0.5
        hits.append(reached and not aside and (i, best) not in used)
        alarms.append(not reached or (not aside and (i, best) in used))
        used |= {(i, best)} if hits[-1] else set()
    count = sum(int(((t.labels == label) & ~t.difficult & ~t.crowd).sum()) for t in truths)
    found, alarmed = np.cumsum(hits), np.cumsum(alarms)
    return count, found / max(count, 1), found / np.maximum(found + alarmed, 1)


def devkit_area(recall, precision):
    """VOCap.m."""
    recall, precision = np.concatenate([[0], recall, [1]]), np.concatenate([[0], precision, [0]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return ((recall[steps] - recall[steps - 1]) * precision[steps]).sum()


def devkit_eleven_points(recall, precision):
    """VOC 2007, as py-faster-rcnn has it."""
    levels = np.arange(0.0, 1.1, 0.1)
    return sum(precision[recall >= level].max(initial=0) / 11 for level in levels)


@pytest.mark.parametrize("seed", range(20))
def test_ap_equals_the_devkits_with_difficult_truths_and_ties(seed):
    truths, detections = random_set(seed, grid=0.25)
    ours = score(truths, detections, CLASSES, protocol="voc", resamples=0)
    matches = match(truths, detections, class_count=4, policy=voc.POLICY)
    for label, name in enumerate(CLASSES):
        count, recall, precision = devkit_curve(truths, detections, label)
        if count == 0:
            assert ours.per_class[name]["AP50"] is None
            continue
        expected = devkit_area(recall, precision)
        assert expected == pytest.approx(ours.per_class[name]["AP50"], abs=1e-9)
        eleven = voc.measure(matches[label], one_weighting(len(truths)), eleven_points=True)
        assert devkit_eleven_points(recall, precision) == pytest.approx(eleven["AP50"][0], abs=1e-9)


def test_a_difficult_truth_is_neither_a_hit_nor_a_miss():
    truths = Truths.of(
        np.concatenate([SQUARE, SQUARE + 200]),
        np.array([0, 0]),
        flags={"difficult": np.array([True, False])},
    )
    # the better scored detection lies on the difficult truth: only the other counts, 1 of 1
    found = Detections(truths.boxes, np.array([0, 0]), np.array([0.9, 0.5]))
    assert pytest.approx(1.0) == score([truths], [found], ("ant",), protocol="voc").metrics["AP50"]


def test_two_of_three_truths_with_one_false_alarm_between():
    truths = Truths.of(np.concatenate([SQUARE, SQUARE + 200, SQUARE + 400]), np.zeros(3, int))
    found = Detections(
        np.concatenate([SQUARE, SQUARE + 600, SQUARE + 200]),
        np.zeros(3, int),
        np.array([0.9, 0.8, 0.7]),
    )
    # recall 1/3 at precision 1, 2/3 at precision 2/3: 1/3 · 1 + 1/3 · 2/3 = 5/9
    ours = score([truths], [found], ("ant",), protocol="voc", resamples=0)
    assert {"AP50": pytest.approx(5 / 9)} == ours.metrics


def test_a_class_of_difficult_truths_alone_is_undefined_and_left_out_of_the_mean():
    truths = Truths.of(
        np.concatenate([SQUARE, SQUARE]),
        np.array([0, 1]),
        flags={"difficult": np.array([True, False])},
    )
    ours = score([truths], [NO_DETECTIONS], ("ant", "bee"), protocol="voc")
    assert {"ant": {"AP50": None}, "bee": {"AP50": 0.0}} == ours.per_class
    assert {"AP50": 0.0} == ours.metrics
