"""Which detection claims which truth, case by case, under both protocols."""

from dataclasses import replace

import numpy as np
import pytest

from boxray.errors import BoxError, SettingError
from boxray.metrics import coco, voc
from boxray.metrics.matching import match
from boxray.records import NO_TRUTHS, Detections, Truths


def truths_of(*boxes, labels=None, **flags):
    labels = [0] * len(boxes) if labels is None else labels
    flags = {name: np.array(values) for name, values in flags.items()}
    return Truths.of(np.array(boxes, float).reshape(-1, 4), np.array(labels, int), flags=flags)


def detections_of(*rows, labels=None):
    """Rows of x0, y0, x1, y1, score."""
    table = np.array(rows, float).reshape(-1, 5)
    labels = np.zeros(len(table), np.int64) if labels is None else np.array(labels)
    return Detections(table[:, :4], labels, table[:, 4])


def outcome(truths, detections, policy, threshold=0):
    """For each detection, best first: claimed truth and whether it is ignored, over all areas."""
    (matches,) = match([truths], [detections], class_count=1, policy=policy)
    claimed, ignored = matches.claimed[0, threshold], matches.ignored[0, threshold]
    return claimed.tolist(), ignored.tolist()


SQUARE = (0, 0, 100, 100)


@pytest.mark.parametrize("policy", [coco.POLICY, voc.POLICY], ids=["coco", "voc"])
def test_an_overlap_of_exactly_the_threshold_is_enough(policy):
    # 100x50 inside 100x100: shared 5000, union 10000
    assert outcome(truths_of(SQUARE), detections_of((0, 0, 100, 50, 0.9)), policy)[0] == [0]


@pytest.mark.parametrize("policy", [coco.POLICY, voc.POLICY], ids=["coco", "voc"])
def test_the_second_detection_of_one_truth_is_a_false_alarm_even_if_it_fits_better(policy):
    detections = detections_of((0, 0, 100, 100, 0.5), (0, 0, 100, 90, 0.9))
    assert outcome(truths_of(SQUARE), detections, policy) == ([0, -1], [False, False])


def test_coco_gives_a_detection_the_next_best_truth_where_voc_calls_it_a_false_alarm():
    truths = truths_of(SQUARE, (0, 0, 100, 80))
    # second detection: 9000/10000 = 0.9 with truth 0, 8000/9000 = 0.889 with truth 1
    detections = detections_of((0, 0, 100, 100, 0.9), (0, 0, 100, 90, 0.8))
    assert outcome(truths, detections, coco.POLICY)[0] == [0, 1]
    assert outcome(truths, detections, voc.POLICY)[0] == [0, -1]


def test_of_two_equal_overlaps_coco_takes_the_last_truth_and_voc_the_first():
    truths = truths_of(SQUARE, SQUARE)
    assert outcome(truths, detections_of((0, 0, 100, 90, 1)), coco.POLICY)[0] == [1]
    assert outcome(truths, detections_of((0, 0, 100, 90, 1)), voc.POLICY)[0] == [0]


def test_equal_scores_choose_in_the_order_given():
    detections = detections_of((0, 0, 100, 90, 0.5), (0, 0, 100, 100, 0.5))
    assert outcome(truths_of(SQUARE), detections, coco.POLICY)[0] == [0, -1]


def test_many_detections_may_match_one_crowd_and_none_of_them_counts():
    crowd = truths_of((0, 0, 400, 400), crowd=[True])
    # each lies inside the crowd, so its share inside is 1, though the IoU is 1/16
    detections = detections_of((0, 0, 100, 100, 0.9), (50, 50, 150, 150, 0.8))
    assert outcome(crowd, detections, coco.POLICY) == ([0, 0], [True, True])


def test_coco_prefers_a_truth_that_counts_to_a_crowd_it_lies_in():
    truths = truths_of((0, 0, 400, 400), (0, 0, 100, 120), crowd=[True, False])
    # inside the crowd: 1.0; with the truth 10000/12000 = 0.83
    assert outcome(truths, detections_of((0, 0, 100, 100, 1)), coco.POLICY)[0] == [1]
    # at a threshold of 0.85 only the crowd is reached
    at_085 = coco.POLICY.iou_thresholds.index(pytest.approx(0.85))
    assert outcome(truths, detections_of((0, 0, 100, 100, 1)), coco.POLICY, at_085)[0] == [0]


def test_voc_leaves_every_detection_of_a_difficult_truth_out():
    truths = truths_of(SQUARE, difficult=[True])
    detections = detections_of((0, 0, 100, 100, 0.9), (0, 0, 100, 90, 0.8))
    assert outcome(truths, detections, voc.POLICY) == ([0, 0], [True, True])


def test_voc_looks_only_at_the_truth_it_overlaps_most_even_if_that_is_difficult():
    truths = truths_of(SQUARE, (0, 0, 100, 90), difficult=[True, False])
    assert outcome(truths, detections_of((0, 0, 100, 100, 1)), voc.POLICY) == ([0], [True])


def test_a_truth_outside_the_area_range_is_ignored_and_so_is_its_detection():
    # 20 x 20 = 400 is small (up to 1024); 100 x 100 is large (from 9216)
    truths = truths_of((0, 0, 20, 20), (200, 200, 300, 300))
    detections = detections_of(
        (0, 0, 20, 20, 0.9), (200, 200, 300, 300, 0.8), (500, 0, 600, 90, 0.7)
    )
    (matches,) = match([truths], [detections], class_count=1, policy=coco.POLICY)
    small, large = 1, 3
    assert matches.truth_counts[:, 0].tolist() == [2, 1, 0, 1]
    assert matches.ignored[small, 0].tolist() == [False, True, True]
    assert matches.ignored[large, 0].tolist() == [True, False, True]  # 100 x 90 = 9000 is medium


def test_area_ranges_look_at_the_stated_area_of_a_truth_not_at_its_box():
    truths = Truths.of(np.array([[0.0, 0, 100, 100]]), np.array([0]), area=np.array([1000.0]))
    (matches,) = match([truths], [detections_of()], class_count=1, policy=coco.POLICY)
    assert matches.truth_counts[:, 0].tolist() == [1, 1, 0, 0]


def test_a_truth_on_the_border_of_two_area_ranges_counts_in_both():
    truths = truths_of((0, 0, 32, 32))
    (matches,) = match([truths], [detections_of()], class_count=1, policy=coco.POLICY)
    assert matches.truth_counts[:, 0].tolist() == [1, 1, 1, 0]


def test_the_101st_detection_of_a_class_in_an_image_is_lost_but_not_that_of_another_class():
    rows = [(0, 0, 10, 10, 0.9)] * 100 + [(*SQUARE, 0.5)] * 2
    labels = [0] * 101 + [1]
    matches = match(
        [truths_of(SQUARE, SQUARE, labels=[0, 1])],
        [detections_of(*rows, labels=labels)],
        class_count=2,
        policy=coco.POLICY,
    )
    assert [len(one.scores) for one in matches] == [100, 1]
    assert not (matches[0].claimed[0, 0] >= 0).any()
    assert (matches[1].claimed[0, 0] >= 0).all()


def test_detections_of_all_images_come_by_score_and_equal_ones_by_image():
    first = detections_of((0, 0, 1, 1, 0.2), (0, 0, 2, 2, 0.7))
    second = detections_of((0, 0, 3, 3, 0.7), (0, 0, 4, 4, 0.9))
    (matches,) = match([NO_TRUTHS] * 2, [first, second], class_count=1, policy=coco.POLICY)
    assert matches.scores.tolist() == [0.9, 0.7, 0.7, 0.2]
    assert matches.image.tolist() == [1, 0, 1, 0]
    assert matches.rank.tolist() == [0, 0, 1, 1]


def test_nothing_at_all_matches_to_nothing():
    (matches,) = match([], [], class_count=1, policy=coco.POLICY)
    assert matches.scores.shape == (0,)
    assert matches.truth_counts.shape == (4, 0)


def test_an_image_without_detections_still_needs_a_record():
    with pytest.raises(SettingError, match="each of the 2 images, got 1"):
        match([NO_TRUTHS] * 2, [detections_of()], class_count=1, policy=coco.POLICY)


def test_a_label_beyond_the_classes_is_refused_with_its_place():
    with pytest.raises(SettingError, match="detection 0 of image 0 has label 3; expected 0 to 1"):
        match(
            [NO_TRUTHS],
            [detections_of((0, 0, 1, 1, 0.5), labels=[3])],
            class_count=2,
            policy=coco.POLICY,
        )


@pytest.mark.parametrize("broken", [(0, 0, 1, 1, np.nan), (0, 0, np.inf, 1, 0.5)])
def test_a_detection_that_is_not_finite_is_refused_with_its_place(broken):
    with pytest.raises(BoxError, match="detection 1 of image 0"):
        match(
            [NO_TRUTHS],
            [detections_of((0, 0, 1, 1, 0.5), broken)],
            class_count=1,
            policy=coco.POLICY,
        )


def test_a_policy_changes_by_its_arguments_alone():
    lenient = replace(voc.POLICY, iou_thresholds=(0.3,))
    # 100x40 inside 100x100: 0.4
    assert outcome(truths_of(SQUARE), detections_of((0, 0, 100, 40, 1)), voc.POLICY)[0] == [-1]
    assert outcome(truths_of(SQUARE), detections_of((0, 0, 100, 40, 1)), lenient)[0] == [0]
