"""R-CNN's two steps: proposals on the picture alone, then what a classifier says of each crop."""

import numpy as np
import pytest

from boxray import images
from boxray.classification.classifier import Classifier
from boxray.classification.preprocessing import Preprocessing
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.coders.listed_boxes import ListedBoxes
from boxray.coders.windows import Meanings
from boxray.engines.crops import Crops
from boxray.engines.proposed_crops import (
    CONTEXT,
    AlignedHead,
    ProposedCrops,
    learned_head,
    proposed_on,
    widened,
)

PICTURE = np.random.default_rng(0).integers(0, 120, (20, 40, 3), np.uint8)


def whole(image):
    """Proposes the whole of what it is given, then its left half."""
    height, width = image.shape[:2]
    return np.array([[0.0, 0.0, width, height], [0.0, 0.0, width / 2, height]])


def engine(said, context: float = 0.0) -> ProposedCrops:
    preprocessing = Preprocessing((4, 4), (0.0,) * 3, (1.0,) * 3, fit="stretch")
    classifier = Classifier(said, ("red", "green", "blue"), preprocessing)
    head = AlignedHead(Meanings(2, (1, -1, 0)))
    return ProposedCrops(whole, Crops(classifier), head, ProposalDeltas(2), context)


def redness(canvases):
    return (canvases.mean((1, 2), np.float32) / 64,)


def test_nothing_is_proposed_in_the_padding_nor_along_its_edge():
    canvas, placement = images.fit(PICTURE, (48, 48))
    boxes = proposed_on(whole, canvas[None])
    np.testing.assert_array_equal(placement.to_canvas(whole(PICTURE)), boxes)


def test_a_canvas_of_nothing_but_padding_has_no_proposals():
    canvas = np.full((48, 48, 3), images.PADDING, np.uint8)
    features, raw = engine(redness).propose(canvas[None])
    assert 0 == len(ListedBoxes().decode((raw[0][0],)))
    assert (0, 15) == engine(redness).refine(features, np.zeros((0, 4))).shape


def test_proposals_are_read_by_their_coder_and_crops_are_cut_out_of_the_canvas():
    canvas, _ = images.fit(PICTURE, (48, 48))
    features, raw = engine(redness).propose(canvas[None])
    found = ListedBoxes().decode((raw[0][0],))
    np.testing.assert_array_equal(proposed_on(whole, canvas[None]), found.boxes)
    assert (2, 15) == engine(redness).refine(features, found.boxes).shape


def test_what_means_no_class_is_background_and_no_box_moves():
    # of e^0 + e^ln2 + e^ln5 = 8: red 1 is class 1, green 2 is nothing, blue 5 is class 0
    numbers = AlignedHead(Meanings(2, (1, -1, 0)))((np.log(np.array([[1, 2, 5]], np.float32)),))
    deltas, logits = ProposalDeltas(2).parts(numbers)
    assert not deltas.any()
    np.testing.assert_allclose([[2 / 8, 5 / 8, 1 / 8]], np.exp(logits), rtol=1e-6)
    placed = ProposalDeltas(2).at(np.array([[3, 4, 9, 8]], np.float32), (48, 48))
    found = placed.decode(numbers)
    np.testing.assert_allclose([5 / 8, 1 / 8], found.scores, rtol=1e-6)
    np.testing.assert_allclose([[3, 4, 9, 8]] * 2, found.boxes, rtol=1e-6)


def test_a_class_without_any_share_has_a_finite_logit():
    numbers = AlignedHead(Meanings(2, (1, -1, 0)))((np.array([[900, 0, 0]], np.float32),))
    assert np.isfinite(numbers).all()


def test_learned_logits_and_deltas_stand_where_their_coder_looks():
    logits, deltas = np.arange(3.0, dtype=np.float32)[None], np.arange(12.0, dtype=np.float32)[None]
    said_deltas, said_logits = ProposalDeltas(2).parts(learned_head((logits, deltas)))
    np.testing.assert_array_equal(logits, said_logits)
    np.testing.assert_array_equal(deltas.reshape(1, 3, 4), said_deltas)


def test_context_is_sixteen_of_the_pixels_that_a_crop_of_227_has():
    # 195 pixels of box and 16 on each side
    (box,) = widened(np.array([[100.0, 200.0, 295.0, 395.0]]), CONTEXT)
    assert [84, 184, 311, 411] == pytest.approx(box.tolist())


def test_a_crop_with_context_shows_what_is_around_the_box():
    canvas = np.zeros((1, 40, 40, 3), np.uint8)
    canvas[0, :, 20:] = (255, 0, 0)  # red, right of the box
    box = np.array([[0.0, 0.0, 20.0, 40.0]])
    seen = []

    def remember(canvases):
        seen.append(canvases.max())
        return redness(canvases)

    engine(remember).refine((canvas,), box)
    engine(remember, context=0.5).refine((canvas,), box)
    assert 0 == seen[0]
    assert seen[1] > 200
