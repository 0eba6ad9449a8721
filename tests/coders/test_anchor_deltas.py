"""Deltas from anchors and proposals: torchvision's arithmetic, an inverse pair, twice the same."""

import math

import numpy as np
import pytest
import torch

from boxray.boxes import centre_size, clip, sigmoid, softmax
from boxray.coders.anchor_deltas import (
    LARGEST_LOG_SCALE,
    AnchorDeltas,
    ProposalDeltas,
    deltas_between,
    moved,
)
from boxray.coders.anchors import scaled
from boxray.recipes.retinanet import PAPER_SIDE, anchors

ONES, TENS = (1.0,) * 4, (10.0, 10.0, 5.0, 5.0)
every_weighting = pytest.mark.parametrize("weights", [ONES, TENS], ids=str)
every_library = pytest.mark.parametrize("library", ["numpy", "torch"])


def in_library(library: str, array: np.ndarray):
    return torch.from_numpy(array) if library == "torch" else array


def boxes(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    low = random.uniform(-50, 400, (count, 2))
    return np.concatenate([low, low + np.exp(random.uniform(0, 6, (count, 2)))], 1).astype("f4")


@pytest.fixture(scope="module")
def torchvisions(shared) -> dict[str, np.ndarray]:
    with np.load(shared / "oracles" / "fixtures" / "tv_ops.npz") as stored:
        return dict(stored)


class TestDeltas:
    def test_by_hand(self):
        # 10 right of and level with an anchor of 20x40, twice as wide, as tall: 10/20, 0, ln 2, 0
        anchor = np.array([[0.0, 0.0, 20.0, 40.0]])
        box = np.array([[0.0, 0.0, 40.0, 40.0]])
        expected = np.array([[0.5, 0, math.log(2), 0]])
        np.testing.assert_allclose(expected, deltas_between(box, anchor, ONES), atol=1e-7)
        np.testing.assert_allclose(expected * TENS, deltas_between(box, anchor, TENS), atol=1e-6)
        np.testing.assert_allclose(box, moved(expected, anchor, ONES))

    def test_they_are_torchvisions(self, torchvisions):
        a, b, numbers = torchvisions["a"], torchvisions["b"], torchvisions["logits"][:, :4]
        np.testing.assert_allclose(torchvisions["encode"], deltas_between(a, b, ONES), atol=1e-5)
        np.testing.assert_allclose(torchvisions["decode"], moved(numbers, b, ONES), atol=1e-3)

    @every_weighting
    @every_library
    def test_moving_undoes_what_is_between(self, weights, library):
        references, targets = boxes(5000, 0), boxes(5000, 1)
        ratio = centre_size(targets)[:, 2:] / centre_size(references)[:, 2:]
        reachable = (np.log(ratio) < LARGEST_LOG_SCALE - 1e-3).all(1)
        given, wanted = (in_library(library, x[reachable]) for x in (references, targets))
        back = np.asarray(moved(deltas_between(wanted, given, weights), given, weights))
        assert 4000 < reachable.sum()
        # float32: a millionth of the farthest number in the sum, the shift
        assert np.abs(back - targets[reachable]).max() < 2e-3

    @every_weighting
    def test_the_gradient_flows(self, weights):
        deltas = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
        references = torch.from_numpy(boxes(6, 2)).double()
        assert torch.autograd.gradcheck(lambda d: moved(d, references, weights), deltas)

    @every_library
    def test_a_size_that_would_overflow_is_clamped_to_a_thousand_sixteenths(self, library):
        reference = in_library(library, np.array([[0, 0, 16, 16]], np.float32))
        found = moved(
            in_library(library, np.array([[0, 0, 1e4, -1e4]], np.float32)), reference, ONES
        )
        width, height = np.asarray(centre_size(found))[0, 2:]
        assert (1000, 0) == pytest.approx((width, height), rel=1e-5)

    def test_a_box_without_area_has_finite_deltas(self):
        found = deltas_between(np.array([[3.0, 3, 3, 9]]), np.array([[0.0, 0, 4, 4]]), ONES)
        assert np.isfinite(found).all()


class TestAnchors:
    def test_the_papers_are_torchvisions_to_the_pixel(self, torchvisions):
        coder = AnchorDeltas(1, (8, 16, 32, 64, 128), anchors(PAPER_SIDE))
        expected = torchvisions["retina_anchors_160x224"]
        np.testing.assert_array_equal(expected, coder.anchors((160, 224)).boxes)

    def test_ratios_keep_the_area_and_sides_keep_the_order(self):
        # side 32, ratio 1/2: 32·√2 = 45.25 wide, halved and rounded 23, so 46; 22.63 tall, so 22
        assert (((46.0, 22.0), (32.0, 32.0), (22.0, 46.0)),) == scaled(((32,),), (0.5, 1.0, 2.0))
        two = scaled(((32, 64),), (1.0, 2.0))[0]
        assert ((32.0, 32.0), (64.0, 64.0), (22.0, 46.0), (46.0, 90.0)) == two


CODER = AnchorDeltas(3, (8, 16, 32, 64), scaled(((12,), (24,), (48,), (96,)), (0.5, 1.0)))
SIZE_HW = (96, 160)  # of which 64 does not divide


def random_raw(seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    shapes = [
        (c, -(-96 // s), -(-160 // s)) for c, s in zip(CODER.channels, CODER.strides, strict=True)
    ]
    return tuple(random.normal(0, 1, shape).astype(np.float32) for shape in shapes)


class TestAnchorDeltas:
    def test_rows_come_level_by_level_cell_by_cell_anchor_by_anchor(self):
        raw, row = random_raw(0), 0
        numbers = CODER.flatten(raw)
        for level in raw:
            for line in range(level.shape[1]):
                for column in range(level.shape[2]):
                    for anchor in range(2):
                        said = level[:, line, column]
                        expected = [*said[4 * anchor : 4 * anchor + 4]]
                        expected += [*said[8 + 3 * anchor : 11 + 3 * anchor]]
                        assert expected == numbers[row].tolist()
                        row += 1
        assert row == len(numbers) == len(CODER.anchors(SIZE_HW).boxes)

    def test_numpy_and_torch_decode_the_same_and_clip_to_the_canvas(self):
        raw = random_raw(1)
        ours, theirs = CODER.decode(raw), CODER.decode(tuple(map(torch.from_numpy, raw)))
        for name in ("row", "labels", "group"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name).numpy())
        np.testing.assert_allclose(ours.scores, theirs.scores.numpy(), atol=1e-6)
        np.testing.assert_allclose(ours.boxes, theirs.boxes.numpy(), atol=1e-4)
        assert (0, 0) == tuple(ours.boxes.min(0)[:2])
        assert (160, 96) == tuple(ours.boxes.max(0)[2:])

    def test_a_trace_says_what_decode_made_of_the_row(self):
        raw = random_raw(4)
        found = CODER.decode(raw)
        for number in range(0, len(found), 53):
            trace = CODER.trace(raw, int(found.row[number]))
            level = trace.where["level"]
            assert level == found.group[number]
            assert trace.class_scores[found.labels[number]] == pytest.approx(found.scores[number])
            start = np.array([trace.start])
            box = clip(moved(np.array([list(trace.raw.values())]), start, ONES), SIZE_HW)
            np.testing.assert_allclose(box[0], found.boxes[number], atol=1e-3)
            np.testing.assert_allclose(trace.box, found.boxes[number], atol=1e-3)
            step_x, step_y = 160 // raw[level].shape[2], 96 // raw[level].shape[1]
            corner = (trace.where["cell"][0] * step_x, trace.where["cell"][1] * step_y)
            assert corner == pytest.approx(tuple(centre_size(start)[0, :2]))
            for step in trace.steps:
                by_hand = eval(step.formula.replace("·", "*"), {}, {"exp": math.exp})
                assert by_hand == pytest.approx(step.value, rel=2e-3, abs=0.1)


PICTURE_HW = (500, 600)


class TestProposalDeltas:
    CODER = ProposalDeltas(3)
    PROPOSALS = clip(boxes(40, 5), PICTURE_HW)

    def numbers(self, seed: int) -> np.ndarray:
        shape = (len(self.PROPOSALS), self.CODER.numbers)
        return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)

    def test_scores_are_the_classes_shares_without_the_backgrounds(self):
        numbers = self.numbers(0)
        found = self.CODER.at(self.PROPOSALS, PICTURE_HW).decode(numbers)
        powers = np.exp(numbers[:, 16:])
        expected = (powers / powers.sum(1, keepdims=True))[found.row, found.labels + 1]
        np.testing.assert_allclose(expected, found.scores, rtol=1e-5)
        assert {0, 1, 2} == set(found.labels.tolist())

    def test_boxes_are_of_the_classes_own_deltas(self):
        numbers = self.numbers(1)
        found = self.CODER.at(self.PROPOSALS, PICTURE_HW).decode(numbers)
        row, label = found.row[7], found.labels[7]
        deltas = numbers[row : row + 1, 4 + 4 * label : 8 + 4 * label]
        expected = clip(moved(deltas, self.PROPOSALS[row : row + 1], TENS), PICTURE_HW)
        np.testing.assert_allclose(expected[0], found.boxes[7], rtol=1e-6)

    def test_what_is_narrower_than_the_smallest_is_left_out(self):
        proposals = np.array([[0.0, 0, 0.005, 40], [0, 0, 40, 40]], np.float32)
        found = self.CODER.at(proposals, PICTURE_HW).decode(np.zeros((2, 20), np.float32))
        assert [1, 1, 1] == found.row.tolist()

    def test_no_proposal_at_all_decodes_to_nothing(self):
        placed = self.CODER.at(np.zeros((0, 4), np.float32), PICTURE_HW)
        assert 0 == len(placed.decode(np.zeros((0, 20), np.float32)))

    def test_a_trace_says_what_decode_made_of_the_row_for_each_class(self):
        placed, numbers = self.CODER.at(self.PROPOSALS, PICTURE_HW), self.numbers(4)
        found = placed.decode(numbers)
        for number, (row, label) in enumerate(zip(found.row, found.labels, strict=True)):
            trace = placed.trace(numbers, int(row), int(label))
            assert trace.class_scores[label] == pytest.approx(found.scores[number])
            assert found.boxes[number] == pytest.approx(trace.box)
            assert self.PROPOSALS[row].tolist() == list(trace.start)
            assert {"proposal": row} == trace.where
            # Pr(background) is what the classes leave
            logits = np.array([trace.raw["background"], *trace.class_logits])
            background = np.exp(logits[0]) / np.exp(logits).sum()
            assert 1 == pytest.approx(background + sum(trace.class_scores), rel=1e-5)


@every_library
def test_a_softmax_of_huge_logits_is_finite(library):
    found = np.asarray(softmax(in_library(library, np.array([[1e4, 0, -1e4]], np.float32))))
    assert [[1, 0, 0]] == found.tolist()
    assert 0.5 == sigmoid(np.zeros(1))[0]
