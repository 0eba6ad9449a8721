"""Gradients say nothing of pixels that a network does not look at, and add up to what it says."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from boxray import images
from boxray.boxes import iou
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage
from boxray.engines.pytorch import TorchEngine, TorchStages
from boxray.explain.gradients import attribute, of_maps, of_proposals
from boxray.explain.picture import of_evidence
from boxray.explain.target import Target
from boxray.recipes.recipe import blueprint
from boxray.selection import Thresholds
from boxray.training.validation import staged

CANVAS_HW = (64, 64)
CODER = YoloGrid(2, (16,), (((16.0, 16.0),),))
IMAGE = np.random.default_rng(0).integers(0, 256, (48, 96, 3), np.uint8)  # 32 x 64, 16 from the top
IMAGE[10:30, 10:62] = IMAGE[10:30, 10:62] // 4 + np.array((0, 130, 180), np.uint8)
# row 5 of the grid is 16 to 32 both ways on the canvas; in the image that is 24 to 48, 0 to 24
TARGET = Target(box=np.array([26.0, 0.0, 50.0, 24.0]), label=1, name="dog")
LOOKED_AT = (slice(24, 34), slice(8, 40))  # rows and columns of the canvas


class Peeping(nn.Module):
    """Its only object is surer and wider, the brighter and less red one patch is."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([-1.0, 0.5, 1.5]))

    def forward(self, image):
        patch = image[:, :, *LOOKED_AT].mean((2, 3)) @ self.weight
        said = torch.full((len(image), 7, 4, 4), -4.0)
        said[:, 2:4] = 0.3 * patch[:, None, None, None].tanh()
        said[:, 4, 1, 1] = patch - 1
        said[:, 6, 1, 1] = 2 * patch
        return (said,)


@pytest.fixture
def engine():
    return TorchEngine(Peeping(), (127.0,) * 3, (64.0,) * 3)


def best(engine, canvas, target):
    """IoU · score in plain numbers, by the detector's own way."""
    detector = OneStage(
        engine, CODER, ("cat", "dog"), CANVAS_HW, Thresholds(score_threshold=0.0, iou_threshold=0.5)
    )
    (found,) = detector.candidates(canvas[None], 0.0)
    mine = found.labels == target.label
    placement = images.place(IMAGE.shape[:2], CANVAS_HW)
    boxes = placement.to_image(found.boxes[mine], clip=True)
    return float((iou(target.box[None], boxes)[0] * found.scores[mine]).max())


def test_pixels_that_nobody_looks_at_have_no_part_and_the_others_come_to_the_rise(engine):
    (found,) = attribute(of_maps(engine, CODER), IMAGE, CANVAS_HW, [TARGET], steps=200)
    outside = np.ones(CANVAS_HW, bool)
    outside[LOOKED_AT] = False
    assert (32, 64) == found.values.shape
    assert not found.values[outside[16:48]].any()
    assert (found.values[~outside[16:48]] != 0).mean() > 0.9
    canvas, _ = images.fit(IMAGE, CANVAS_HW)
    whole, grey = best(engine, canvas, TARGET), best(engine, np.full_like(canvas, 127), TARGET)
    assert abs(whole - grey) > 0.02
    assert whole == pytest.approx(found.unhidden, rel=1e-4)
    assert whole - grey == pytest.approx(found.values.sum(), rel=0.01)
    assert found.converged
    assert found.reliability > 0.99


def test_on_a_short_way_the_total_is_the_difference_that_the_way_makes(engine):
    # a picture that is hardly not grey: one step, and a finite difference
    faint = np.full((64, 64, 3), 127, np.uint8)
    faint[LOOKED_AT] = (127, 128, 129)
    target = replace(TARGET, box=np.array([16.0, 16.0, 32.0, 32.0]))
    (found,) = attribute(of_maps(engine, CODER), faint, CANVAS_HW, [target], steps=1)
    look = of_maps(engine, CODER)
    ends = []
    for away in (-0.5, 0.5):  # of the way, about its middle
        middle = 127 + (faint.astype(np.float32) - 127) * (0.5 + away)
        (said,) = look(torch.from_numpy(middle[None]))
        agreed = target.agreement(said, images.place((64, 64), CANVAS_HW))
        ends.append(float(agreed.max().detach()))
    assert ends[1] - ends[0] == pytest.approx(found.values.sum(), rel=1e-3)


def test_what_is_never_said_has_no_evidence(engine):
    unknown = replace(TARGET, label=-1, name="cow")
    (found,) = attribute(of_maps(engine, CODER), IMAGE, CANVAS_HW, [unknown], steps=2)
    assert not found.values.any()
    assert (0.0, 0.0, False) == (found.unhidden, found.reliability, found.converged)


def test_a_point_and_a_box_are_asked_about_together_as_alone(engine):
    point = Target(point=(36.0, 10.0))
    look = of_maps(engine, CODER)
    together = attribute(look, IMAGE, CANVAS_HW, [TARGET, point], steps=8)
    for one, target in zip(together, (TARGET, point), strict=True):
        (alone,) = attribute(look, IMAGE, CANVAS_HW, [target], steps=8)
        np.testing.assert_allclose(alone.values, one.values, atol=1e-9)
    assert together[1].inside is None
    told = together[0].to_dict()
    assert ("gradients", 8) == (told["method"], told["steps"])
    assert "masks" not in told
    assert together[0].values.sum() == pytest.approx(np.sum(told["map"]), abs=1e-6)
    assert IMAGE.shape == of_evidence(IMAGE, together[0]).shape


def test_of_two_stages_the_second_is_asked_about_the_proposals_of_the_whole_picture():
    found = blueprint("faster-rcnn-lite0")
    torch.manual_seed(0)
    sizes = np.geomspace((8, 10), (90, 70), 40)
    recipe = found.build(2, found.priors(sizes), CANVAS_HW, pretrained=False)
    engine = TorchStages(recipe.network, recipe.mean, recipe.std)
    detector = staged(recipe, engine, ("cat", "dog"))
    detections = detector.detect_array(IMAGE)
    target = Target(box=detections.boxes[0], label=int(detections.labels[0]), name="best")
    look = of_proposals(engine, detector.coder, detections.proposals.boxes)
    (evidence,) = attribute(look, IMAGE, CANVAS_HW, [target], steps=128)
    assert detections.scores[0] == pytest.approx(evidence.unhidden, rel=1e-3)  # IoU 1 with itself
    assert evidence.reliability > 0.8
    assert np.isfinite(evidence.values).all()
