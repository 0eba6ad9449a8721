"""A file beside its network: near ties are no difference, whatever else they decide; faults are."""

from dataclasses import dataclass

import numpy as np
import pytest

from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.coders.listed_boxes import ListedBoxes
from boxray.detectors import OneStage, TwoStage
from boxray.export.comparison import Measured, measured
from boxray.selection import Thresholds

SIDE = 64
PHOTOS = [np.zeros((SIDE, SIDE, 3), np.uint8)]  # so that the canvas's pixels are the picture's
RIVALS = np.array([[10.0, 10, 50, 50], [14, 10, 54, 50]])  # IoU 36 / 44: one suppresses the other
APART = np.array([[2.0, 40, 12, 60]])
SUPPRESSING = Thresholds(score_threshold=0.0, iou_threshold=0.7)


@dataclass(frozen=True)
class Says:
    """What is said of every picture: logits of `boxes`; then, of any box, one class and `moved`.

    moved: by which share of its width the second stage moves a box, in the deltas' unit of a tenth.
    """

    boxes: np.ndarray
    logits: tuple[float, ...]
    moved: float = 0.0
    certain: float = 1.0

    def __call__(self, canvases):
        level = np.concatenate([self.boxes.T, [self.logits]])[None, :, :, None]
        return (np.repeat(level, len(canvases), 0).astype(np.float32),)

    def propose(self, canvases):
        return (), self(canvases)

    def refine(self, features, boxes):
        del features
        said = [0, 0, 0, 0, self.moved, 0, 0, 0, 0, self.certain]  # background's first
        return np.tile(np.float32(said), (len(boxes), 1))


def one_stage(says: Says) -> OneStage:
    return OneStage(says, ListedBoxes(), ("thing",), (SIDE, SIDE), SUPPRESSING)


def two_stages(says: Says) -> TwoStage:
    coders = ListedBoxes(), SUPPRESSING, ProposalDeltas(1)
    return TwoStage(says, *coders, ("thing",), (SIDE, SIDE), SUPPRESSING)


def beside(build, file: Says, network: Says) -> Measured:
    return measured(build(file), build(network), PHOTOS, ((SIDE, SIDE),))


BOXES = np.concatenate([RIVALS, APART])
FILE = Says(BOXES, (1.0, 1.0 - 1e-5, 0.5))
TIE = Says(BOXES, (1.0 - 1e-5, 1.0, 0.5))  # the other rival is ahead


@pytest.mark.parametrize("build", [one_stage, two_stages])
def test_two_that_say_the_same_are_nothing_apart(build):
    assert Measured(pixels=0.0, score=0.0, pairs=2, alone=0) == beside(build, FILE, FILE)


def test_the_winner_of_a_tie_is_shown_by_one_side_but_moves_nothing():
    found = beside(one_stage, FILE, TIE)
    assert 0 == found.pixels  # and not the rivals' 4
    assert found.score < 1e-5  # a logit's 1e-5, times at most a quarter
    assert (1, 2) == (found.pairs, found.alone)


def test_two_stages_look_at_the_same_proposals_whatever_a_tie_among_these_decides():
    shown = [two_stages(says).detect_array(PHOTOS[0]).boxes for says in (FILE, TIE)]
    assert 4 == np.abs(shown[0] - shown[1]).max()  # alone, they look at different ones
    found = beside(two_stages, FILE, TIE)
    assert (0, 2, 0) == (found.pixels, found.pairs, found.alone)
    assert found.score < 1e-5


@pytest.mark.parametrize("build", [one_stage, two_stages])
@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_box_that_moved_is_told_even_where_it_is_suppressed(build, row):
    moved = BOXES.copy()
    moved[row] += 0.5
    assert 0.5 == beside(build, FILE, Says(moved, FILE.logits)).pixels


@pytest.mark.parametrize("build", [one_stage, two_stages])
def test_a_score_that_changed_is_told_whichever_side_has_more(build):
    certain = Says(BOXES, (1.0, 1.0 - 1e-5, 1.5))
    expected = 1 / (1 + np.exp(-1.5)) - 1 / (1 + np.exp(-0.5))
    for pair in (FILE, certain), (certain, FILE):
        assert expected == pytest.approx(beside(build, *pair).score, abs=1e-6)


def test_what_only_the_second_stage_says_otherwise_is_told():
    # deltas are tenths of the proposal's width: 0.1 / 10 · 40
    moved = Says(BOXES, FILE.logits, moved=0.1)
    assert 0.4 == pytest.approx(beside(two_stages, FILE, moved).pixels, abs=1e-5)
    unsure = Says(BOXES, FILE.logits, certain=0.5)
    expected = 1 / (1 + np.exp(-1.0)) - 1 / (1 + np.exp(-0.5))
    assert expected == pytest.approx(beside(two_stages, FILE, unsure).score, abs=1e-6)


def test_a_candidate_that_only_one_side_has_is_as_far_as_its_narrower_side():
    best, lost = (Says(BOXES, (1.0, 1.0 - 1e-5, logit)) for logit in (1.5, np.nan))
    for pair in (best, lost), (lost, best):
        assert 10 == beside(one_stage, *pair).pixels
