"""Evidence from pixels points where the detector looks, says when it is enough, and stays small."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

import tiny_model
from boxray import bundle
from boxray.errors import SettingError
from boxray.explain import Hiding, Looking, occlude
from boxray.explain.occlusion import _masks
from boxray.explain.target import Target
from boxray.records import Candidates

IMAGE = np.full((60, 120, 3), 250, np.uint8)  # on a canvas of 64 x 64: 32 rows, 16 from the top
TARGET = Target(box=np.array([20.0, 10.0, 60.0, 50.0]), label=0, name="cat")


class Peeping:
    """Says the target with a score that rises with one patch and falls with another."""

    canvas_hw = (64, 64)

    def __init__(self, chance=None):
        self.chance = chance

    def candidates(self, canvases, score_floor):
        found = []
        for canvas in canvases:
            seen = (canvas.astype(float) - 127) / 123
            # in image pixels: 30 to 50 across and 20 to 40 down; 90 to 110, 10 to 50
            score = 0.3 + 0.6 * seen[27:37, 16:27].mean() - 0.2 * seen[21:43, 48:59].mean()
            if self.chance is not None:
                score = self.chance.uniform(0.1, 0.9)
            boxes = np.array([[10.7, 21.3, 32.0, 42.7], [0, 0, 64, 64]])  # the target, and another
            scores = np.array([score, 0.5])
            labels = np.array([0, 1])
            found.append(Candidates(boxes, labels, scores, row=labels, group=labels))
        return found


def test_a_detector_need_only_say_its_candidates():
    assert isinstance(Peeping(), Looking)


def test_a_detector_says_of_several_canvases_what_it_says_of_each():
    detector = bundle.from_bytes(tiny_model.sealed(), "tiny", threads=1)
    canvases = np.random.default_rng(0).integers(0, 256, (3, *detector.canvas_hw, 3), np.uint8)
    together = detector.candidates(canvases, 0.3)
    assert 3 == len(together)
    for canvas, found in zip(canvases, together, strict=True):
        (alone,) = detector.candidates(canvas[None], 0.3)
        assert alone.row.tolist() == found.row.tolist()
        assert alone.boxes == pytest.approx(found.boxes, abs=1e-3)
        assert len(found)


def test_the_map_points_where_the_detector_looks():
    (found,) = occlude(Peeping(), IMAGE, [TARGET])
    x, y = found.peak
    assert 30 <= x < 50
    assert 20 <= y < 40
    assert 0.7 == pytest.approx(found.unhidden, abs=0.02)  # all visible: 0.3 + 0.6 - 0.2
    assert found.inside > 0.6
    assert (32, 64) == found.values.shape  # as fine as the canvas shows the picture


def test_what_lowers_the_score_speaks_against_it():
    (found,) = occlude(Peeping(), IMAGE, [TARGET])
    # the patch 90 to 110, 10 to 50 in the map's own pixels
    assert found.values[6:26, 49:58].mean() < -0.02
    assert found.values[6:26, 49:58].min() == found.values.min()


def test_it_stops_when_two_halves_agree_and_says_so_when_they_never_do():
    (enough,) = occlude(Peeping(), IMAGE, [TARGET], Hiding(reliability=0.8))
    assert enough.converged
    assert enough.masks < Hiding().most
    assert enough.reliability >= 0.8
    noise = Peeping(np.random.default_rng(0))
    (never,) = occlude(noise, IMAGE, [TARGET], Hiding(most=320, reliability=0.95))
    assert not never.converged
    assert 320 == never.masks


def test_what_is_never_said_has_no_evidence():
    unknown = replace(TARGET, label=7, name="cow")
    (found,) = occlude(Peeping(), IMAGE, [unknown], Hiding(most=64))
    assert not found.values.any()
    assert (0.0, 0.0, False) == (found.unhidden, found.reliability, found.converged)


def test_the_same_seed_gives_the_same_map_and_another_another():
    maps = [
        occlude(Peeping(), IMAGE, [TARGET], Hiding(most=64, seed=seed))[0].values
        for seed in (1, 1, 2)
    ]
    assert np.array_equal(maps[0], maps[1])
    assert not np.array_equal(maps[0], maps[2])


def test_targets_watched_together_are_seen_as_each_alone():
    point = Target(point=(100.0, 5.0))
    hiding = Hiding(most=128)
    together = occlude(Peeping(), IMAGE, [TARGET, point], hiding)
    for one, alone in zip(together, (TARGET, point), strict=True):
        (expected,) = occlude(Peeping(), IMAGE, [alone], hiding)
        assert expected.values == pytest.approx(one.values, abs=1e-12)
    assert together[1].inside is None
    assert 0.5 == together[1].unhidden  # of the other box, which is around the point


def test_memory_does_not_grow_with_the_masks():
    peaks = []
    for most in (64, 640):
        tracemalloc.start()
        occlude(Peeping(), IMAGE, [TARGET], Hiding(most=most, reliability=0.999999))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("size_hw", [(32, 64), (7, 300), (1, 1)])
def test_masks_are_shares_and_their_mean_is_what_was_asked_for(size_hw):
    masks = _masks(np.random.default_rng(0), 600, size_hw, Hiding(visible=0.3))
    assert (600, *size_hw) == masks.shape
    assert 0 <= masks.min()
    assert masks.max() <= 1
    assert 0.3 == pytest.approx(masks.mean(), abs=0.03)


def test_a_document_has_the_map_in_few_cells():
    (found,) = occlude(Peeping(), IMAGE, [TARGET], Hiding(most=64))
    told = found.to_dict()
    assert "cat" == told["label"]
    assert (16, 32) == np.array(told["map"]).shape  # blocks of 2: 64 would be over 40
    assert found.values[:2, :2].mean() == pytest.approx(told["map"][0][0], abs=1e-5)


@pytest.mark.parametrize(
    "wrong", [{"cells": 1}, {"most": 0}, {"visible": 0.0}, {"reliability": 1.0}, {"seed": -1}]
)
def test_a_setting_out_of_range_is_refused_by_name(wrong):
    with pytest.raises(SettingError, match=next(iter(wrong))):
        Hiding(**wrong)
