"""R-CNN without box labels: what is proposed and named is found where it was proposed."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import boxray
from boxray import bakeoff, bundle
from boxray.boxes import iou
from boxray.classification import alignment
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Preprocessing
from boxray.coders.listed_boxes import ListedBoxes
from boxray.data import Dataset
from boxray.data.report import Report
from boxray.detectors import TwoStage
from boxray.errors import MissingExtra, SettingError
from boxray.protocols import Coder, StagedEngine
from boxray.records import Sample, Truths
from boxray.regions import PROPOSALS, rcnn

PLAIN = Preprocessing((14, 14), (0.0,) * 3, (1.0,) * 3)
# blue on grey, on a canvas of 384 as it is
PICTURE = np.full((288, 384, 3), 90, np.uint8)
PICTURE[64:164, 80:200] = (90, 90, 255)
SQUARE = (80.0, 64.0, 200.0, 164.0)


def colours() -> Classifier:
    """Sure of the colour of a patch, if it has one: of grey all three are as probable."""

    def engine(canvases):
        means = canvases.mean((1, 2), np.float32)
        return (4 * (means - means.mean(1, keepdims=True)) / (means.std(1, keepdims=True) + 1),)

    return Classifier(engine, ("red", "green", "blue"), PLAIN, name="colours")


def known(image):
    """The square, a box beside it, and the whole picture, whatever it shows."""
    height, width = image.shape[:2]
    return np.array([SQUARE, (240, 64, 340, 164), (0, 0, width, height)], np.float64)


@pytest.fixture
def detector() -> TwoStage:
    found = rcnn(colours(), ("blue", "red")).with_thresholds(score_threshold=0.9)
    return replace(found, engine=replace(found.engine, proposer=known, context=0.0))


def test_a_coloured_square_is_found_where_it_was_proposed(detector):
    ((box, score, name), *_) = detector.detect(PICTURE)
    assert ("blue", SQUARE) == (name, box)
    assert score > 0.9


def test_edge_boxes_proposes_what_is_then_found():
    pytest.importorskip("cv2.ximgproc", reason="needs OpenCV: pip install 'boxray[proposals]'")
    found = rcnn(colours(), ("blue", "red")).detect(PICTURE)
    assert {"blue"} == set(found.names)
    assert iou(found.boxes, np.array([SQUARE])).max() > 0.4


def test_without_proposals_there_is_nothing(detector):
    nowhere = replace(detector.engine, proposer=lambda image: np.zeros((0, 4)))
    assert 0 == len(replace(detector, engine=nowhere).detect(PICTURE))


def test_its_parts_keep_their_contracts(detector):
    assert isinstance(detector.proposal_coder, Coder)
    assert isinstance(detector.proposal_coder, ListedBoxes)
    assert isinstance(detector.engine, StagedEngine)


def test_all_that_is_proposed_is_looked_at(detector):
    # none is suppressed by another, whatever they share
    assert PROPOSALS == detector.proposal_thresholds.max_detections
    assert 1.0 == detector.proposal_thresholds.iou_threshold


def test_classes_that_the_classifier_does_not_know_are_refused():
    with pytest.raises(SettingError, match="none of the classes unicorn"):
        rcnn(colours(), ("unicorn",))


def test_its_name_is_enough_and_says_what_it_is_made_of():
    detector = boxray.load("rcnn", threads=1, size=320)
    assert isinstance(detector, TwoStage)
    assert ("rcnn", alignment.names("voc")) == (detector.name, detector.classes)
    assert (320, 320) == detector.canvas_hw
    told = bundle.described("rcnn")
    assert detector.classes == told.classes
    assert {"classifier": "lite0-imagenet"} == told.recipe


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(MissingExtra, match=r"boxray\[proposals\]"):
        rcnn(colours(), ("blue", "red")).detect(PICTURE)


def test_a_bake_off_counts_its_crops_and_times_its_proposals(detector, tmp_path):
    path = tmp_path / "square.png"
    Image.fromarray(PICTURE).save(path)
    sample = Sample(path, (288, 384), Truths.of(np.array([SQUARE]), np.array([0])))
    data = Dataset("made up", ("blue", "red"), (sample,), "val", Report())
    found = bakeoff.measure(detector, data, protocol="voc")
    assert 3 == found.passes  # one for each proposal
    assert pytest.approx(1.0) == found.evaluation.metrics["AP50"]
    assert 1.0 == found.recall_ceiling
    assert found.milliseconds["proposals"] > 0
    assert found.milliseconds["network"] > 0
