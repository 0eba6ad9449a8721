"""COCO's numbers: by hand, and equal to pycocotools on sets made to find a difference."""

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from boxray import boxes as geometry
from boxray.evaluation import NO_DETECTIONS, score
from boxray.records import NO_TRUTHS, Detections, Truths
from metrics.official import NAMES, official, random_set

CLASSES = ("ant", "bee", "cat", "dog")
SQUARE = np.array([[0.0, 0, 100, 100]])


def assert_equal(expected, got, where):
    if expected is None or got is None:
        assert expected is got, where
    else:
        assert expected == pytest.approx(got, abs=1e-9), where


def compare(truths, detections, classes=CLASSES):
    """Our twelve numbers and AP per class against pycocotools'; returns ours."""
    numbers, per_class = official(truths, detections, len(classes))
    ours = score(truths, detections, classes, resamples=0)
    for name in NAMES:
        assert_equal(numbers[name], ours.metrics[name], name)
    for name, expected in zip(classes, per_class, strict=True):
        assert_equal(expected, ours.per_class[name]["AP"], name)
    return ours


@pytest.mark.parametrize("seed", range(16))
def test_all_numbers_equal_pycocotools_with_crowds_ties_and_empty_images(seed):
    ours = compare(*random_set(seed, grid=(1.0, 0.25)[seed % 2]))
    assert ours.per_class["dog"]["AP"] is None  # the class without truths


@pytest.mark.parametrize("seed", range(2))
def test_all_numbers_equal_pycocotools_with_more_than_100_detections(seed):
    truths, detections = random_set(seed, images=2, class_count=2, most=300)
    assert max(np.bincount(one.labels).max() for one in detections if len(one)) > 100
    compare(truths, detections, ("ant", "bee"))


@pytest.mark.parametrize("seed", range(3))
def test_all_numbers_equal_pycocotools_on_boxes_of_arbitrary_fractions(seed):
    compare(*random_set(seed, grid=0.01))


def test_one_perfect_detection_is_perfect_in_its_size_and_undefined_in_the_others():
    truths = [Truths.of(SQUARE, np.array([0]))]
    ours = compare(truths, [Detections(SQUARE, np.array([0]), np.array([0.9]))], ("ant",)).metrics
    assert [1.0] * 8 == [
        pytest.approx(ours[name])
        for name in ("AP", "AP50", "AP75", "APl", "AR1", "AR10", "AR100", "ARl")
    ]
    assert [None] * 4 == [ours[name] for name in ("APs", "APm", "ARs", "ARm")]


def test_an_overlap_of_three_quarters_counts_at_six_of_ten_thresholds():
    # 100 x 75 in 100 x 100: .50 .55 .60 .65 .70 .75 are reached
    found = Detections(np.array([[0.0, 0, 100, 75]]), np.array([0]), np.array([0.9]))
    ours = compare([Truths.of(SQUARE, np.array([0]))], [found], ("ant",)).metrics
    assert 6 / 10 == pytest.approx(ours["AP"])
    assert (1.0, 1.0) == (pytest.approx(ours["AP50"]), pytest.approx(ours["AP75"]))
    assert 6 / 10 == pytest.approx(ours["AR100"])


def test_no_detections_at_all_give_zero_and_no_truths_at_all_give_none():
    empty = compare([Truths.of(SQUARE, np.array([0]))], [NO_DETECTIONS], ("ant",)).metrics
    assert 0.0 == empty["AP"] == empty["AR100"]
    found = Detections(SQUARE, np.array([0]), np.array([0.9]))
    assert set(compare([NO_TRUTHS], [found], ("ant",)).metrics.values()) == {None}


def test_a_set_of_crowds_alone_has_no_ap():
    crowd = Truths.of(SQUARE, np.array([0]), flags={"crowd": np.array([True])})
    found = Detections(SQUARE, np.array([0]), np.array([0.9]))
    assert compare([crowd], [found], ("ant",)).metrics["AP"] is None


def test_real_detections_of_another_program_get_pycocotools_numbers(shared):
    folder = shared / "data/formats"
    if not (folder / "detections_coco/coco_dets.json").is_file():
        pytest.skip("needs shared/data/formats: real truths and detections in COCO files")
    truth_file = json.loads((folder / "coco/instances_default.json").read_text())
    found_file = json.loads((folder / "detections_coco/coco_dets.json").read_text())
    image_ids = sorted(image["id"] for image in truth_file["images"])
    classes = [one["name"] for one in sorted(truth_file["categories"], key=lambda one: one["id"])]
    truths = [_real_truths(truth_file, i, classes) for i in image_ids]
    names = {image["id"]: image["file_name"] for image in truth_file["images"]}
    found = _found_by_file(found_file, classes)
    detections = [found.get(names[i], NO_DETECTIONS) for i in image_ids]
    assert sum(len(one) for one in detections) > 400

    ours = score(truths, detections, classes, resamples=0)
    numbers = _official_from_files(truth_file, found_file)
    assert ours.metrics["AP"] > 0.05
    for name, expected in zip(NAMES, numbers, strict=True):
        assert_equal(None if expected == -1 else expected, ours.metrics[name], name)


def _real_truths(file, image_id, classes):
    names = {one["id"]: one["name"] for one in file["categories"]}
    rows = [one for one in file["annotations"] if one["image_id"] == image_id]
    return Truths.of(
        geometry.from_xywh(np.array([one["bbox"] for one in rows], float).reshape(-1, 4)),
        np.array([classes.index(names[one["category_id"]]) for one in rows], int),
        area=np.array([one["area"] for one in rows], float),
        flags={"crowd": np.array([one["iscrowd"] for one in rows], bool)},
    )


def _found_by_file(file, classes):
    names = {one["id"]: one["name"] for one in file["categories"]}
    found = {}
    for image in file["images"]:
        rows = [one for one in file["annotations"] if one["image_id"] == image["id"]]
        found[image["file_name"]] = Detections(
            geometry.from_xywh(np.array([one["bbox"] for one in rows], float).reshape(-1, 4)),
            np.array([classes.index(names[one["category_id"]]) for one in rows], int),
            np.array([one["score"] for one in rows], float),
        )
    return found


def _official_from_files(truth_file, found_file):
    """pycocotools on the same two files, their ids brought together by file and class names."""
    image_ids = {image["file_name"]: image["id"] for image in truth_file["images"]}
    category_ids = {one["name"]: one["id"] for one in truth_file["categories"]}
    files = {image["id"]: image["file_name"] for image in found_file["images"]}
    classes = {one["id"]: one["name"] for one in found_file["categories"]}
    results = [
        {
            "image_id": image_ids[files[one["image_id"]]],
            "category_id": category_ids[classes[one["category_id"]]],
            "bbox": one["bbox"],
            "score": one["score"],
        }
        for one in found_file["annotations"]
        if files[one["image_id"]] in image_ids
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = truth_file
        truth.createIndex()
        judge = COCOeval(truth, truth.loadRes(results), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return [float(value) for value in judge.stats]
