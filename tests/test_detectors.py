"""A one-stage detector: every kind of source, boxes in the picture's pixels, and their record."""

from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray import bundle
from boxray.detectors import OneStage
from boxray.errors import ImageError, SettingError
from boxray.records import Candidates, Fate


@pytest.fixture(scope="module")
def detector() -> OneStage:
    return bundle.from_bytes(tiny_model.sealed(), "tiny", threads=1)


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (75, 110, 3), dtype=np.uint8)


@dataclass(frozen=True)
class Saying:
    """A coder that says the same boxes, in canvas pixels, whatever the engine says."""

    boxes: tuple[tuple[float, float, float, float], ...]
    strides = (32,)
    channels = (1,)
    canvas_multiple = 32

    def encode(self, boxes, rows, size_hw):
        raise NotImplementedError

    def where(self, raw, row):
        raise NotImplementedError

    def trace(self, raw, row, label=0):
        raise NotImplementedError

    def nearest(self, box, raw):
        raise NotImplementedError

    def decode(self, raw, score_floor=0.0) -> Candidates:
        count = len(self.boxes)
        return Candidates(
            boxes=np.array(self.boxes, np.float32).reshape(-1, 4),
            labels=np.arange(count),  # all different, so that none suppresses another
            scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
            row=np.arange(count),
            group=np.zeros(count, np.int64),
        )


def saying(*boxes: tuple[float, float, float, float]) -> OneStage:
    return OneStage(
        engine=lambda canvases: (np.zeros((len(canvases), 1, 1, 1), np.float32),),
        coder=Saying(boxes),
        classes=tiny_model.CLASSES,
        canvas_hw=(64, 96),
        thresholds=tiny_model.THRESHOLDS,
    )


def test_boxes_come_back_in_the_pixels_of_the_picture():
    # a picture of 128x128 on a canvas of 64x96: half size, 16 pixels of padding left and right
    found = saying((16, 0, 48, 32)).detect_array(np.zeros((128, 128, 3), np.uint8))
    assert [[0, 0, 64, 64]] == found.boxes.tolist()


def test_boxes_are_clipped_to_the_picture():
    found = saying((0, -5, 48, 200)).detect_array(np.zeros((128, 128, 3), np.uint8))
    assert [[0, 0, 64, 128]] == found.boxes.tolist()


def test_a_box_that_lies_wholly_in_the_padding_is_left_out_and_the_others_keep_their_origin():
    found = saying((0, 0, 10, 10), (16, 0, 48, 32)).detect_array(np.zeros((128, 128, 3), np.uint8))
    assert 1 == len(found)
    assert ((1,),) == found.origins


def test_no_candidates_are_no_detections():
    found = saying().detect_array(np.zeros((128, 128, 3), np.uint8))
    assert (0, 4) == found.boxes.shape
    assert () == found.origins


def test_path_bytes_picture_and_array_are_the_same_to_a_detector(detector, pixels, tmp_path):
    path = tmp_path / "photo.png"
    picture = Image.fromarray(pixels)
    picture.save(path)
    encoded = BytesIO()
    picture.save(encoded, "PNG")
    results = [detector.detect(s) for s in (path, str(path), encoded.getvalue(), picture, pixels)]
    assert len(results[0]) > 0
    for result in results[1:]:
        np.testing.assert_array_equal(results[0].boxes, result.boxes)
        np.testing.assert_array_equal(results[0].scores, result.scores)
    assert [path, path, None, None, None] == [result.path for result in results]
    assert {"tiny"} == {result.model for result in results}


def test_a_list_gives_a_list_and_a_tuple_too(detector, pixels):
    for sources in ([pixels, pixels], (pixels, pixels)):
        results = detector.detect(sources)
        assert isinstance(results, list)
        assert 2 == len(results)


def test_any_other_iterable_is_read_one_picture_at_a_time(detector, pixels):
    taken = []

    def pictures():
        for number in range(3):
            taken.append(number)
            yield pixels

    results = detector.detect(pictures())
    assert [] == taken
    next(results)
    assert [0] == taken
    assert 2 == len(list(results))


def test_an_open_file_is_refused_and_not_read_line_by_line(detector, tmp_path):
    (tmp_path / "a.txt").write_bytes(b"one\ntwo\n")
    told = pytest.raises(ImageError, match=r"expected a path, .* got BufferedReader.*file\.read")
    with (tmp_path / "a.txt").open("rb") as file, told:
        detector.detect(file)


def test_what_is_no_picture_is_an_image_error(detector, tmp_path):
    for source in (tmp_path / "absent.jpg", b"text", np.zeros((3, 3), np.uint8), [b"text"]):
        with pytest.raises(ImageError):
            detector.detect(source)


def test_every_detection_knows_the_candidate_it_was_made_from(detector, pixels):
    found = detector.detect_array(pixels)
    rows = [row for (row,) in found.origins]
    np.testing.assert_array_equal(found.labels, found.candidates.labels[rows])
    np.testing.assert_array_equal(found.scores, found.candidates.scores[rows])
    assert {Fate.KEPT} == set(found.selection.fate[rows].tolist())
    assert len(found.candidates) == len(found.selection.fate)


def test_scores_fall_and_boxes_are_inside_the_picture_and_not_empty(detector, pixels):
    found = detector.detect_array(pixels)
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes <= (110, 75, 110, 75)).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


def test_a_lower_score_threshold_for_one_call_only_adds_candidates(detector, pixels):
    usual, more = detector.detect_array(pixels), detector.detect_array(pixels, score_threshold=0.01)
    assert len(more.candidates) > len(usual.candidates)
    assert 0.25 == detector.thresholds.score_threshold


def test_max_detections_for_one_call_keeps_the_best(detector, pixels):
    best = detector.detect_array(pixels, max_detections=1)
    np.testing.assert_array_equal(detector.detect_array(pixels).boxes[:1], best.boxes)


def test_with_thresholds_changes_a_copy(detector):
    changed = detector.with_thresholds(score_threshold=0.5, iou_threshold=0.7, max_detections=7)
    expected = replace(
        detector.thresholds, score_threshold=0.5, iou_threshold=0.7, max_detections=7
    )
    assert expected == changed.thresholds
    assert tiny_model.THRESHOLDS == detector.thresholds
    assert detector.with_thresholds() == detector


@pytest.mark.parametrize(
    "wrong", [{"score_threshold": 2.0}, {"iou_threshold": -0.1}, {"max_detections": 0}]
)
def test_a_threshold_out_of_range_is_named(detector, wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        detector.with_thresholds(**wrong)
