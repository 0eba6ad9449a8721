"""R-CNN learns on frozen features: two convex problems, and crops that are looked at once."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray import bundle
from boxray.boxes import softmax
from boxray.cli import run as command
from boxray.data import synthetic
from boxray.engines.crops import Crops
from boxray.errors import ModelError
from boxray.records import Sample, Truths
from boxray.regions import Regions
from boxray.training.frozen_features import CROPS, NEAR, Teacher, drawn
from boxray.training.linear import fit_boxes, fit_classes
from test_regions import PICTURE, SQUARE, colours, known


def said_twice(canvases):
    """The logits of colours, and again as features."""
    (said,) = colours().engine(canvases)
    return said, said


def refuse(canvases):
    raise AssertionError(f"{len(canvases)} crops are looked at again")


SAID = replace(colours(), engine=said_twice)


class TestLinear:
    def test_classes_that_a_line_separates_are_told_apart(self):
        random = np.random.default_rng(0)
        labels = random.integers(0, 3, 300)
        middles = np.array([[0, 0], [6, 0], [0, 6]], np.float32)
        features = middles[labels] + random.normal(size=(300, 2)).astype(np.float32)
        layer = fit_classes(features, labels, 3, decay=1e-3)
        assert (layer(features).argmax(1) == labels).mean() > 0.97

    def test_without_anything_to_go_by_scores_are_the_shares_of_the_classes(self):
        # a feature that is always the same: 3 of 4 are class 0
        layer = fit_classes(np.ones((8, 1), np.float32), np.array([0, 0, 0, 1] * 2), 2, decay=0.01)
        np.testing.assert_allclose(
            [[0.75, 0.25]], softmax(layer(np.ones((1, 1), np.float32))), atol=2e-3
        )

    def test_boxes_are_the_ridge_of_the_features(self):
        # one feature x in -1, 0, 1 and delta 2x + 5: weight Σxt / (Σx² + decay) = 4 / (2 + 2)
        features = np.array([[-1.0], [0.0], [1.0]], np.float32)
        layer = fit_boxes(features, np.tile(2 * features + 5, (1, 4)), decay=2.0)
        np.testing.assert_allclose(np.ones((4, 1)), layer.weights, rtol=1e-5)
        np.testing.assert_allclose(np.full(4, 5.0), layer.biases, rtol=1e-5)

    def test_a_class_without_crops_moves_nothing(self):
        layer = fit_boxes(np.zeros((0, 7), np.float32), np.zeros((0, 4), np.float32), decay=1.0)
        assert (4, 7) == layer.weights.shape
        assert not layer(np.ones((2, 7), np.float32)).any()


@given(st.lists(st.floats(0, 1), max_size=400), st.integers(0, 9))
def test_a_choice_of_crops_repeats_none_and_is_not_all_of_objects(overlaps, seed):
    overlap = np.array(overlaps)
    chosen = drawn(overlap, np.random.default_rng(seed))
    assert len(set(chosen.tolist())) == len(chosen) <= CROPS
    assert (overlap[chosen] >= 0.5).sum() == min(NEAR, (overlap >= 0.5).sum())


class TestLessons:
    @pytest.fixture
    def teacher(self, tmp_path):
        return Teacher(Crops(SAID), "digest", Regions(known), tmp_path)

    def sample(self, tmp_path, **flags) -> Sample:
        from PIL import Image

        path = tmp_path / "square.png"
        Image.fromarray(PICTURE).save(path)
        boxes = np.array([SQUARE, (250.0, 70.0, 340.0, 164.0)])
        return Sample(path, (288, 384), Truths.of(boxes, np.array([2, 1]), flags=flags))

    def test_a_crop_is_of_the_object_that_it_overlaps_most(self, teacher, tmp_path):
        lesson = teacher.lesson(self.sample(tmp_path), 0)
        # the two objects, then the proposals in some order: the square, one beside it, the whole
        assert (5, 3) == lesson.features.shape
        assert [2, 1] == lesson.labels[:2].tolist()
        assert [1, 1] == lesson.overlap[:2].tolist()
        order = np.argsort(lesson.overlap[2:])[::-1] + 2
        # 90 x 94 of the object are all of it, in a proposal of 100 x 100; of the whole, a tenth
        assert [1, 90 * 94 / 100**2, 120 * 100 / (288 * 384)] == pytest.approx(
            lesson.overlap[order].tolist()
        )
        assert [2, 1, 2] == lesson.labels[order].tolist()

    def test_what_overlaps_an_object_that_is_set_aside_teaches_nothing(self, teacher, tmp_path):
        sample = self.sample(tmp_path, difficult=np.array([False, True]))
        lesson = teacher.lesson(sample, 0)
        assert 3 == len(lesson.boxes)  # the one object, its proposal and the whole
        assert {2} == set(lesson.labels.tolist())

    def test_a_picture_without_objects_teaches_background(self, teacher, tmp_path):
        sample = self.sample(tmp_path)
        lesson = teacher.lesson(replace(sample, truths=sample.truths.take(np.zeros(0, int))), 0)
        assert 3 == len(lesson.boxes)
        assert {-1} == set(lesson.labels.tolist())
        assert not lesson.overlap.any()

    def test_a_picture_is_looked_at_once(self, teacher, tmp_path):
        sample = self.sample(tmp_path)
        first = teacher.lesson(sample, 0)
        blind = replace(teacher, crops=Crops(replace(SAID, engine=refuse)))
        again = blind.lesson(sample, 0)
        np.testing.assert_array_equal(first.boxes, again.boxes)
        np.testing.assert_allclose(first.features, again.features, rtol=1e-3)
        with pytest.raises(AssertionError):  # another place draws others, which nobody can look at
            blind.lesson(sample, 1)


def test_a_classifier_without_features_is_refused(tmp_path):
    teacher = Teacher(Crops(colours()), "digest", Regions(known), tmp_path)
    with pytest.raises(ModelError, match="logits alone"):
        teacher.lesson(TestLessons().sample(tmp_path), 0)


def test_from_annotated_pictures_to_a_model_that_can_be_judged(tmp_path, capfd):
    pytest.importorskip("cv2.ximgproc", reason="needs OpenCV: pip install 'boxray[proposals]'")
    data, run = tmp_path / "data", tmp_path / "run"
    synthetic.make(data, images=8, seed=0)
    arguments = ["fit", str(data), "--output", str(run), "--limit", "3", "--split", "train"]
    arguments += ["--threads", "1", "--json"]
    assert 0 == command(arguments)
    document = json.loads(capfd.readouterr().out)
    assert "boxray.fit/1" == document["schema"]
    assert 3 == document["images"]
    assert document["crops"] > document["crops_of_objects"] > 0
    told = bundle.described(run)
    assert ("run", ("data",)) == (told.name, told.training_data)
    detector = bundle.load(run, threads=1)
    assert told.classes == detector.classes
    kept = {path: path.stat().st_mtime_ns for path in (run / "features").iterdir()}
    assert 3 == len(kept)
    model = (run / "model.onnx").read_bytes()
    assert 0 == command(arguments)
    assert kept == {path: path.stat().st_mtime_ns for path in (run / "features").iterdir()}
    assert model == (run / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("output", "said"), [("data/inside", "which is only read"), ("other", "something else")]
)
def test_a_run_is_written_where_it_does_no_harm(tmp_path, capfd, output, said):
    synthetic.make(tmp_path / "data", images=4, seed=0)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "diary.txt").write_text("dear")
    arguments = ["fit", str(tmp_path / "data"), "--output", str(tmp_path / output)]
    assert 2 == command([*arguments, "--split", "train"])
    assert said in capfd.readouterr().err
