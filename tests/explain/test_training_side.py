"""Training's side of a picture: what is taught, what is ignored, what is lost, and its price."""

import numpy as np
import pytest
import torch

from boxray.assignment import Targets
from boxray.augmentation import Picture
from boxray.coders.yolo_grid import YoloGrid
from boxray.explain.training import Known, Place, Stage, taught
from boxray.losses.darknet import DarknetLoss

SIDE = 64
PRIORS = ((16.0, 16.0), (40.0, 40.0))
CODER = YoloGrid(2, (16,), (PRIORS,))
LOSS = DarknetLoss(PRIORS, ((0, 1),), ignore_iou=0.7)
OBJECT, CUT = (16.0, 16.0, 32.0, 32.0), (0.0, 48.0, 16.0, 64.0)

OBJECTS = tuple(Known(name, 0) for name in ("cat", "cat", "dog"))


def explained():
    """Of three objects the second is not on the canvas, and hardly anything is of the third."""
    raw = tuple(np.zeros((channels, 4, 4), np.float32) for channels in CODER.channels)
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    boxes = np.array([OBJECT, CUT], np.float32)
    seen = Picture(image, boxes, np.array([0, 2]), np.array([False, True]))
    targets = Targets(torch.tensor([OBJECT]), torch.tensor([1]), torch.tensor([CUT]))
    (lesson,) = LOSS.lessons([torch.from_numpy(level)[None] for level in raw], [targets], CODER)

    def look(row, truth):
        trace = CODER.trace(raw, row)
        return Place(dict(trace.where), trace.start, trace.box)

    return taught([Stage("detections", lesson, look)], seen, OBJECTS)


def test_each_object_has_its_fate():
    truths = explained().truths
    assert ["taught", "lost", "ignored"] == [one.fate for one in truths]
    assert [OBJECT, None, CUT] == [one.box for one in truths]
    assert ["cat", "cat", "dog"] == [one.label for one in truths]


def test_the_cell_of_the_centre_answers_with_the_prior_of_its_size():
    (row,) = explained().truths[0].answering
    # centre 24, 24 in the second cell of 16 pixels, both ways
    assert ([1, 1], [16.0, 16.0]) == (row.where["cell"], row.where["prior"])
    assert OBJECT == pytest.approx(row.start)
    assert (0, "answers", True) == (row.truth, row.role, row.drawn)
    assert 1 == pytest.approx(row.overlap)
    # σ(0) = ½ and the prior are what is wanted: no box term; 1 is wanted of objectness: -ln ½;
    # of two classes one is wanted, one not, and both say ½: -2 ln ½
    expected = {"box": 0.0, "objectness": np.log(2), "class": 2 * np.log(2)}
    assert expected == pytest.approx(row.terms, abs=1e-5)


def test_rows_on_an_ignored_object_are_told_nothing_and_the_rest_is_background():
    told = explained()
    # at 0 each row says its prior in its cell's middle: the one of 16 pixels in the last line's
    # first cell is the ignored object itself
    assert [{}, {}, {"detections": 1}] == [one.left_alone for one in told.truths]
    (stage,) = told.stages
    assert (2 * 16, 1, 30, 0, 1) == (
        stage.rows, stage.answers, stage.background, stage.between, stage.spared
    )  # fmt: skip
    # all but the one that answers and the one on the ignored object are to be silent: -ln ½ each
    assert 30 * np.log(2) == pytest.approx(told.background["objectness"], rel=1e-5)
    whole = told.truths[0].terms["objectness"] + told.background["objectness"]
    assert whole == pytest.approx(told.terms["objectness"], rel=1e-5)
