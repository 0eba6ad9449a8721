"""Bootstrap intervals: what they hold, when they vanish, and that a seed fixes them."""

from dataclasses import replace

import numpy as np
import pytest

from boxray.errors import SettingError
from boxray.evaluation import score
from boxray.metrics.uncertainty import bootstrap
from metrics.official import random_set

CLASSES = ("ant", "bee", "cat", "dog")


def share_of(outcomes):
    """A metric that is a plain mean over images, whose spread is known."""

    def measure(weights):
        return {"share": (np.array(outcomes, float) @ weights) / weights.sum(axis=0)}

    return measure


def test_the_interval_of_a_mean_is_as_wide_as_theory_says():
    # 200 of 400 images: a standard error of sqrt(.5 · .5 / 400) = 0.025, so 0.5 ± 0.049
    low, high = bootstrap(share_of([0, 1] * 200), 400, resamples=2000)["share"]
    assert 0.451 == pytest.approx(low, abs=0.006)
    assert 0.549 == pytest.approx(high, abs=0.006)


@pytest.mark.parametrize("protocol", ["coco", "voc"])
def test_every_interval_holds_the_estimate_and_stays_within_0_and_1(protocol):
    truths, detections = random_set(3, images=12)
    ours = score(truths, detections, CLASSES, protocol=protocol, resamples=60)
    assert {name for name, value in ours.metrics.items() if value is not None} == set(
        ours.intervals
    )
    for name, (low, high) in ours.intervals.items():
        assert 0 <= low <= ours.metrics[name] <= high <= 1
    low, high = ours.intervals["AP50"]
    assert low < high


def test_images_that_are_all_alike_leave_no_doubt():
    truths, (found,) = random_set(1, images=1, most=20)
    # equal scores in one image would tie across its copies, whose order then matters
    found = replace(found, scores=np.linspace(1, 0, len(found)))
    ours = score(truths * 6, [found] * 6, CLASSES, protocol="voc", resamples=40)
    low, high = ours.intervals["AP50"]
    assert 0 < ours.metrics["AP50"] < 1
    assert 0 == pytest.approx(high - low, abs=1e-12)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    truths, detections = random_set(7, images=10)
    first, again, other = (
        score(truths, detections, CLASSES, protocol="voc", resamples=40, seed=seed).intervals
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_metrics_that_are_undefined_have_no_interval_and_undefined_resamples_are_left_out():
    def measure(weights):
        never = np.full(weights.shape[1], np.nan)
        only_with_the_first = np.where(weights[0] > 0, 0.5, np.nan)
        return {"never": never, "sometimes": only_with_the_first}

    assert {"sometimes": (0.5, 0.5)} == bootstrap(measure, 3)


def test_without_resamples_or_images_there_are_no_intervals():
    assert {} == bootstrap(share_of([1]), 1, resamples=0) == bootstrap(share_of([]), 0)
    with pytest.raises(SettingError, match="0 \\(no intervals\\) or more, got -1"):
        bootstrap(share_of([1]), 1, resamples=-1)
