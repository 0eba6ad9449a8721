"""A bake-off's numbers are the evaluation's own, and its stages add up to what was waited for."""

import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray import bakeoff, bundle
from boxray.data import Dataset
from boxray.data.report import Report
from boxray.detectors import OneStage, TwoStage
from boxray.errors import SettingError
from boxray.evaluation import evaluate
from boxray.records import Sample, Truths


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> OneStage:
    return bundle.load(tiny_model.write(tmp_path_factory.mktemp("model")), threads=1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory) -> Dataset:
    """Four pictures; the third shows nothing, one object of the fourth is difficult."""
    folder, random = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    samples = []
    for number in range(4):
        path = folder / f"{number}.png"
        Image.fromarray(random.integers(0, 256, (40, 60, 3), np.uint8)).save(path)
        count = 0 if number == 2 else 2
        low = random.uniform(0, 20, (count, 2))
        boxes = np.concatenate([low, low + random.uniform(8, 20, (count, 2))], 1)
        flags = {"difficult": np.arange(count) + number == 4}
        samples.append(Sample(path, (40, 60), Truths.of(boxes, np.arange(count), flags=flags)))
    return Dataset("made up", tiny_model.CLASSES, tuple(samples), "val", Report())


class Slow:
    """An engine that takes its time."""

    def __init__(self, engine, seconds: float) -> None:
        self.engine, self.seconds = engine, seconds

    def __call__(self, canvases):
        time.sleep(self.seconds)
        return self.engine(canvases)


@pytest.mark.parametrize("protocol", ["coco", "voc"])
def test_it_judges_as_evaluate_does(detector, dataset, protocol):
    expected = evaluate(detector, dataset, protocol=protocol)
    found = bakeoff.measure(detector, dataset, protocol=protocol).evaluation
    assert expected.metrics == found.metrics
    assert expected.intervals == found.intervals
    assert (expected.split, expected.score_floor) == (found.split, found.score_floor)


def test_a_network_is_asked_once_a_picture_and_its_time_is_its_own(detector, dataset):
    slow = replace(detector, engine=Slow(detector.engine, 0.03))
    start = time.perf_counter()
    found = bakeoff.measure(slow, dataset, protocol="voc")
    waited_ms = 1000 * (time.perf_counter() - start)
    assert 1 == found.passes
    assert set(bakeoff.STAGES) == set(found.milliseconds)
    assert 30 <= found.milliseconds["network"] < 60
    assert all(value >= 0 for value in found.milliseconds.values())
    # four pictures and two to warm up
    assert 4 * sum(found.milliseconds.values()) < waited_ms
    assert 6 * 30 < waited_ms


def test_the_ceiling_counts_what_some_candidate_of_its_class_overlaps_by_half(detector, dataset):
    (sample, *_) = dataset.samples
    said = detector.detect_array(np.asarray(Image.open(sample.path)), score_threshold=0.0)
    boxes, labels = said.boxes[:1], said.labels[:1]
    other = (labels + 1) % 3
    for truths, reached in (
        (Truths.of(boxes, labels), 1),
        (Truths.of(boxes + np.array([200, 0, 200, 0]), labels), 0),
        (Truths.of(boxes, labels, flags={"difficult": np.array([True])}), None),
    ):
        one = replace(dataset, samples=(replace(sample, truths=truths),))
        assert reached == bakeoff.measure(detector, one, protocol="voc").recall_ceiling
    named = replace(detector, classes=("dog", "horse", tiny_model.CLASSES[int(other[0])]))
    one = replace(dataset, samples=(replace(sample, truths=Truths.of(boxes, labels)),))
    assert 0 == bakeoff.measure(named, one, protocol="voc").recall_ceiling


def test_a_picture_that_cannot_be_read_misses_all_and_is_named(detector, dataset, tmp_path):
    broken = replace(dataset.samples[0], path=tmp_path / "gone.png")
    found = bakeoff.measure(
        detector, replace(dataset, samples=(broken, *dataset.samples[1:])), protocol="voc"
    )
    (told,) = found.evaluation.errors
    assert "gone.png" in told
    assert 5 == found.truths  # six, one of them difficult


def test_detector_and_data_must_share_a_class(detector, dataset):
    with pytest.raises(SettingError, match="share no class name"):
        bakeoff.measure(replace(detector, classes=("a", "b", "c")), dataset)


def test_memory_is_this_processs_own():
    memory = bakeoff.peak_memory()
    assert memory is None or 20e6 < memory < 100e9


def test_two_stages_are_listened_to_at_both(dataset):
    torch = pytest.importorskip("torch")
    from boxray.engines.pytorch import TorchStages
    from boxray.recipes.recipe import blueprint

    torch.manual_seed(0)
    chosen = blueprint("faster-rcnn-lite0")
    recipe = chosen.build(3, chosen.priors(np.ones((1, 2))), (64, 96), pretrained=False)
    detector = TwoStage(
        TorchStages(recipe.network.eval(), recipe.mean, recipe.std),
        recipe.coder,
        recipe.second.proposals,
        recipe.second.coder,
        tiny_model.CLASSES,
        (64, 96),
        recipe.thresholds,
    )
    found = bakeoff.measure(detector, dataset, protocol="voc")
    assert 2 == found.passes
    assert 5 == found.truths
    assert evaluate(detector, dataset, protocol="voc").metrics == found.evaluation.metrics
