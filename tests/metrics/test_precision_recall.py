"""Curves and their averages, by hand and as laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.metrics.matching import Matches
from boxray.metrics.precision_recall import (
    RECALLS_11,
    RECALLS_101,
    area_under,
    curve,
    interpolated,
    interpolated_average,
    mean_over_classes,
    one_weighting,
    recall_within,
)


def matches_of(hits, truths, *, image=None, ignored=None):
    """Detections in falling score; one area range and one threshold; truths per image."""
    count = len(hits)
    return Matches(
        scores=np.linspace(1, 0.1, count),
        image=np.zeros(count, np.int64) if image is None else np.array(image),
        rank=np.arange(count),
        claimed=np.where(hits, 0, -1).reshape(1, 1, -1).astype(np.int64),
        ignored=np.zeros((1, 1, count), bool)
        if ignored is None
        else np.array(ignored).reshape(1, 1, -1),
        truth_counts=np.array([truths]),
    )


HIT_MISS_HIT = matches_of([True, False, True], [4])
# recall 1/4 at precision 1/1, then 2/4 at precision 2/3


def test_a_curve_has_a_point_per_hit():
    points = curve(HIT_MISS_HIT, one_weighting(1))
    assert [0.25, 0.5] == points.recall[:, 0].tolist()
    assert [1, 2 / 3] == pytest.approx(points.precision[:, 0].tolist())
    assert [1.0, 0.1] == pytest.approx(points.scores.tolist())


def test_the_area_is_the_sum_of_recall_steps_times_precision():
    points = curve(HIT_MISS_HIT, one_weighting(1))
    assert 0.25 * 1 + 0.25 * 2 / 3 == pytest.approx(area_under(points).item())


def test_101_points_count_the_recalls_that_were_reached():
    points = curve(HIT_MISS_HIT, one_weighting(1))
    # 0.00 … 0.25 are 26 recalls at precision 1; 0.26 … 0.50 are 25 at 2/3; 50 are never reached
    expected = (26 * 1 + 25 * 2 / 3) / 101
    assert expected == pytest.approx(interpolated_average(points, RECALLS_101).item())


def test_11_points_count_the_recalls_that_were_reached():
    points = curve(HIT_MISS_HIT, one_weighting(1))
    # 0, .1, .2 at precision 1; .3, .4, .5 at 2/3 (np.arange's .3 is .30000000000000004)
    assert (3 * 1 + 3 * 2 / 3) / 11 == pytest.approx(
        interpolated_average(points, RECALLS_11).item()
    )


def test_eleven_recalls_are_those_of_arange_so_that_ties_fall_as_in_the_reference():
    assert RECALLS_11[3] != 0.3
    # a recall of exactly 3/10 does not reach arange's .3: only 0, .1 and .2 are reached
    points = curve(matches_of([True] * 3, [10]), one_weighting(1))
    assert 3 / 11 == pytest.approx(interpolated_average(points, RECALLS_11).item())


def test_precision_is_the_best_at_this_recall_or_any_higher_one():
    # a false alarm first: precision 1/2 at recall 1/2, then 2/3 at recall 1
    points = curve(matches_of([False, True, True], [2]), one_weighting(1))
    assert [2 / 3] * 3 == pytest.approx(interpolated(points, np.array([0.0, 0.5, 1.0]))[:, 0])
    assert 2 / 3 == pytest.approx(area_under(points).item())


def test_an_ignored_detection_is_as_if_it_were_not_there():
    without = curve(matches_of([True, True], [2]), one_weighting(1))
    ignoring = matches_of([True, False, True], [2], ignored=[False, True, False])
    assert without.precision.tolist() == curve(ignoring, one_weighting(1)).precision.tolist()


def test_truths_without_any_detection_have_an_ap_of_zero():
    points = curve(matches_of([], [3]), one_weighting(1))
    assert (
        [0.0] == area_under(points).tolist() == interpolated_average(points, RECALLS_101).tolist()
    )


def test_without_truths_every_average_is_undefined():
    nothing = matches_of([False, False], [0])
    points = curve(nothing, one_weighting(1))
    assert np.isnan(area_under(points)).all()
    assert np.isnan(interpolated_average(points, RECALLS_101)).all()
    assert np.isnan(recall_within(nothing, one_weighting(1), 100)).all()


def test_recall_within_the_best_detection_sees_only_that():
    # hits are the images' 1st and 3rd detections, of 4 truths
    assert [0.25] == recall_within(HIT_MISS_HIT, one_weighting(1), 1).tolist()
    assert [0.5] == recall_within(HIT_MISS_HIT, one_weighting(1), 3).tolist()


def test_a_class_without_truths_is_left_out_of_the_mean():
    classes = [{"AP": np.array([0.5, np.nan])}, {"AP": np.array([np.nan, np.nan])}]
    (mean,) = mean_over_classes([*classes, {"AP": np.array([0.1, np.nan])}]).values()
    assert pytest.approx(0.3) == mean[0]
    assert np.isnan(mean[1])


outcomes = st.lists(
    st.tuples(st.sampled_from(["hit", "false alarm", "ignored"]), st.integers(0, 3)), max_size=30
)


@given(outcomes, st.lists(st.integers(0, 3), min_size=4, max_size=4))
def test_a_weight_of_k_is_the_same_as_k_copies_of_the_image(rows, weights):
    kinds = np.array([kind for kind, _ in rows])
    image = np.array([place for _, place in rows], np.int64)
    hits, ignored = kinds == "hit", kinds == "ignored"
    truths = np.bincount(image[hits], minlength=4) + 1
    weighted = matches_of(hits, truths, image=image, ignored=ignored)
    copies = np.repeat(np.arange(len(rows)), np.array(weights)[image])
    copied = matches_of(
        hits[copies], [int(truths @ weights)], image=0 * copies, ignored=ignored[copies]
    )
    ours = curve(weighted, np.array(weights)[:, None])
    theirs = curve(copied, one_weighting(1))
    for average in (area_under, lambda points: interpolated_average(points, RECALLS_101)):
        expected = pytest.approx(average(theirs)[0], abs=1e-12, nan_ok=True)
        assert expected == average(ours)[0]


@given(outcomes)
def test_averages_agree_with_the_curve_over_every_detection(rows):
    kinds = np.array([kind for kind, _ in rows if kind != "ignored"])
    hits = kinds == "hit"
    truths = int(hits.sum()) + 2
    points = curve(matches_of(hits, [truths]), one_weighting(1))
    found = np.cumsum(hits)
    recall, precision = found / truths, found / np.arange(1, len(hits) + 1)
    reached = [precision[recall >= level].max(initial=0) for level in RECALLS_101]
    assert np.mean(reached) == pytest.approx(interpolated_average(points, RECALLS_101).item())
