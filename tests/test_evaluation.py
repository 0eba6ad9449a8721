"""From a detector and a data set to numbers, with nothing left out in silence."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.errors import SettingError
from boxray.evaluation import SCORE_FLOOR, evaluate, score
from boxray.metrics import coco
from boxray.records import NO_TRUTHS, Detections, Sample, Truths

BOX = np.array([[4.0, 4, 20, 20]])


@dataclass(frozen=True)
class Pictures:
    """The least a data set can be."""

    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    split: str = "val"


@dataclass(frozen=True)
class Always:
    """A detector that says the same of every picture, and notes what it was asked for."""

    classes: tuple[str, ...]
    labels: tuple[int, ...]
    asked: list

    def detect_array(self, image, *, score_threshold=None, max_detections=None) -> Detections:
        assert image.dtype == np.uint8
        self.asked.append((image.shape, score_threshold, max_detections))
        boxes = np.repeat(BOX, len(self.labels), axis=0).astype(np.float32)
        scores = np.linspace(0.9, 0.5, len(self.labels)).astype(np.float32)
        return Detections(boxes, np.array(self.labels, np.int64), scores)


def always(classes, labels):
    return Always(tuple(classes), tuple(labels), [])


def pictures(folder: Path, *labels, classes=("cat", "dog"), **options) -> Pictures:
    """One 32 x 24 picture per label, with one object at BOX; None for a picture without any."""
    samples = []
    for place, label in enumerate(labels):
        path = folder / f"{place}.png"
        Image.new("RGB", (32, 24)).save(path)
        truths = NO_TRUTHS if label is None else Truths.of(BOX, np.array([label]))
        samples.append(Sample(path, (24, 32), truths, **options))
    return Pictures(tuple(classes), tuple(samples))


def test_classes_are_brought_together_by_name(tmp_path):
    data = pictures(tmp_path, 0, 1)  # a cat, a dog
    detector = always(("dog", "cat"), [0, 1])  # the other way round; finds both everywhere
    ours = evaluate(detector, data, protocol="voc")
    # each class: 1 hit and 1 false alarm of equal score. Cat: hit first, 1; dog: 1/2
    assert pytest.approx(1.0) == ours.per_class["cat"]["AP50"]
    assert pytest.approx(0.5) == ours.per_class["dog"]["AP50"]
    assert pytest.approx(0.75) == ours.metrics["AP50"]
    assert () == ours.unmatched_classes


def test_a_class_the_detector_does_not_know_counts_as_missed_and_is_named(tmp_path):
    ours = evaluate(always(("cat",), [0]), pictures(tmp_path, 0, 1), protocol="voc")
    assert ("dog",) == ours.unmatched_classes
    assert 0.0 == ours.per_class["dog"]["AP50"]


def test_detections_of_a_class_the_data_lacks_are_left_out(tmp_path):
    data = pictures(tmp_path, 0, classes=("cat",))
    ours = evaluate(always(("fox", "cat"), [0, 1]), data, protocol="voc")
    assert pytest.approx(1.0) == ours.metrics["AP50"]
    assert ["cat"] == list(ours.per_class)


def test_no_class_in_common_is_an_error_that_shows_both_lists(tmp_path):
    with pytest.raises(SettingError, match=r"(?s)knows: fox, hen\..*has: cat, dog\."):
        evaluate(always(("fox", "hen"), [0]), pictures(tmp_path, 0))


@pytest.mark.parametrize(("protocol", "limit"), [("coco", 100), ("voc", 300)])
def test_the_detector_is_asked_for_all_above_the_floor_up_to_the_protocols_limit(
    tmp_path, protocol, limit
):
    detector = always(("cat",), [0])
    ours = evaluate(detector, pictures(tmp_path, 0), protocol=protocol, resamples=0)
    assert [((24, 32, 3), SCORE_FLOOR, limit)] == detector.asked
    assert (SCORE_FLOOR, limit) == (ours.score_floor, ours.max_detections)


def test_an_unreadable_image_counts_as_missed_and_is_reported(tmp_path):
    data = pictures(tmp_path, 0, 0)
    data.samples[1].path.write_bytes(b"not a picture")
    seen = []
    ours = evaluate(always(("cat",), [0]), data, protocol="voc", on_image=lambda: seen.append(1))
    assert 2 == ours.images == len(seen)
    assert pytest.approx(0.5) == ours.metrics["AP50"]  # one of two truths, no false alarm
    (error,) = ours.errors
    assert "1.png" in error


def test_an_unlabelled_image_is_not_a_negative_one(tmp_path):
    labelled = pictures(tmp_path, 0)
    (tmp_path / "more").mkdir()
    unlabelled = pictures(tmp_path / "more", None, None, labelled=False)
    data = Pictures(("cat",), (*unlabelled.samples, *labelled.samples))
    ours = evaluate(always(("cat",), [0]), data, protocol="voc")
    assert (1, 2) == (ours.images, ours.unlabelled)
    assert pytest.approx(1.0) == ours.metrics["AP50"]


def test_the_json_document_has_exactly_its_keys_and_no_number_that_json_lacks(tmp_path):
    ours = evaluate(always(("cat",), [0]), pictures(tmp_path, 0, 0, None), resamples=20)
    document = json.loads(json.dumps(ours.to_json(), allow_nan=False))
    assert set(document) == {
        "schema",
        "protocol",
        "split",
        "images",
        "metrics",
        "intervals",
        "per_class",
        "score_floor",
        "max_detections",
    }
    assert "boxray.evaluate/1" == document["schema"]
    assert ("coco", "val", 3) == (document["protocol"], document["split"], document["images"])
    assert document["metrics"]["APl"] is None  # 16 x 16 = 256 square pixels is small
    low, high = document["intervals"]["AP"]
    assert low <= document["metrics"]["AP"] <= high


def test_the_split_is_the_data_sets_own_unless_another_name_is_given(tmp_path):
    data = pictures(tmp_path, 0)
    test = Pictures(data.classes, data.samples, "test")
    detector = always(("cat",), [0])
    assert "test" == evaluate(detector, test, resamples=0).split
    assert "holdout" == evaluate(detector, test, split="holdout", resamples=0).split


def test_the_same_evaluation_twice_is_the_same(tmp_path):
    data, detector = pictures(tmp_path, 0, 1, None), always(("cat", "dog"), [0, 1])
    first, again = (evaluate(detector, data, protocol="voc") for _ in range(2))
    assert first.to_json() == again.to_json()


def test_a_misspelt_protocol_gets_a_suggestion():
    with pytest.raises(SettingError, match="Did you mean 'coco'"):
        score([], [], ("cat",), protocol="COCO ")


def test_no_images_and_no_classes_are_undefined_and_not_an_error():
    ours = score([], [], ("cat",))
    assert {None} == set(ours.metrics.values())
    assert {} == ours.intervals
    assert {} == score([], [], ()).metrics


def test_metrics_come_in_cocos_order():
    expected = ["AP", "AP50", "AP75", "APs", "APm", "APl"]
    expected += ["AR1", "AR10", "AR100", "ARs", "ARm", "ARl"]
    assert expected == list(score([], [], ("cat",)).metrics)
    assert 10 == len(coco.POLICY.iou_thresholds)
