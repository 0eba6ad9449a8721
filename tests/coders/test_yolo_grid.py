"""The grid coder: the papers' equations, its rows in their order, and what a cell cannot reach."""

import math

import numpy as np
import pytest

from boxray.boxes import centre_size, sigmoid
from boxray.coders.yolo_grid import YoloGrid

PRIORS = (
    ((10.0, 14.0), (23.0, 17.0)),
    ((37.0, 58.0), (81.0, 42.0)),
)
STRIDES = (8, 16)
SIZE_HW = (96, 160)
PLAIN = YoloGrid(3, STRIDES, PRIORS)
STRETCHED = YoloGrid(3, STRIDES, PRIORS, 2.0)
EXCLUSIVE = YoloGrid(3, STRIDES, PRIORS, softmax=True, largest_log_scale=20.0)  # YOLOv2's
every_coder = pytest.mark.parametrize(
    "coder", [PLAIN, STRETCHED, EXCLUSIVE], ids=["plain", "stretched", "exclusive"]
)


def boxes(coder: YoloGrid, t: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """What these rows mean by their four numbers."""
    cell, stride, prior = coder.places(coder.grid(SIZE_HW), t)
    return coder.boxes(t, cell[rows], stride[rows], prior[rows])


def random_raw(coder: YoloGrid, seed: int) -> tuple[np.ndarray, ...]:
    random = np.random.default_rng(seed)
    shapes = [
        (channels, SIZE_HW[0] // stride, SIZE_HW[1] // stride)
        for channels, stride in zip(coder.channels, STRIDES, strict=True)
    ]
    return tuple(random.normal(0, 2, shape).astype(np.float32) for shape in shapes)


@every_coder
def test_the_equations_are_the_papers(coder):
    # tx = ty = 0: σ = ½, the cell's middle whatever the stretch; tw = ln 2 doubles, th = 0 keeps
    row = np.array([1])  # second cell of the first row, first prior of the finest level
    t = np.array([[0, 0, math.log(2), 0]])
    np.testing.assert_allclose([1.5 * 8, 0.5 * 8, 20, 14], centre_size(boxes(coder, t, row))[0])
    # σ(ln 3) = 3/4, stretched by s: s·3/4 - (s - 1)/2 from the cell's corner
    t = np.array([[math.log(3), 0, 0, 0]])
    x = (coder.stretch * 0.75 - (coder.stretch - 1) / 2 + 1) * 8
    assert x == pytest.approx(centre_size(boxes(coder, t, row))[0, 0])


@every_coder
def test_rows_come_level_by_level_prior_by_prior_and_in_reading_order(coder):
    raw, row = random_raw(coder, 0), 0
    for level, (stride, priors) in enumerate(zip(coder.strides, coder.priors, strict=True)):
        for slot, prior in enumerate(priors):
            numbers = raw[level][slot * coder.numbers :][: coder.numbers]
            for line in range(SIZE_HW[0] // stride):
                for column in range(SIZE_HW[1] // stride):
                    if row % 17 == 0:
                        trace = coder.trace(raw, row)
                        assert trace.where == {
                            "level": level,
                            "stride": stride,
                            "cell": [column, line],
                            "prior": list(prior),
                        }
                        said = [*trace.raw.values(), *trace.class_logits]
                        assert numbers[:, line, column].tolist() == said
                    row += 1
    assert row == len(coder.grid(SIZE_HW).level)


@every_coder
def test_scores_are_objectness_times_class(coder):
    raw = random_raw(coder, 5)
    numbers = coder.flatten(raw)
    powers = np.exp(numbers[:, 5:])
    shares = powers / powers.sum(1, keepdims=True)
    classes = shares if coder.softmax else sigmoid(numbers[:, 5:])
    expected = sigmoid(numbers[:, 4:5]) * classes
    np.testing.assert_allclose(expected.reshape(-1), coder.decode(raw).scores, rtol=1e-5)


@every_coder
def test_a_centre_out_of_reach_becomes_the_nearest_point_within_it(coder):
    row = np.array([0])
    t = coder.encode(np.array([[150.0, 90.0, 160.0, 96.0]]), row, SIZE_HW)
    x, y = centre_size(boxes(coder, t, row))[0, :2]
    # from the first cell's middle, half a stretch is the farthest
    farthest = (0.5 + coder.stretch / 2) * 8
    assert (farthest, farthest) == pytest.approx((x, y), abs=1e-3)


@every_coder
def test_a_size_beyond_the_bound_becomes_the_bound(coder):
    row = np.array([0])
    for side, bound in ((1e-9, -coder.largest_log_scale), (1e12, coder.largest_log_scale)):
        t = coder.encode(np.array([[4.0, 4, 4 + side, 4 + side]]), row, SIZE_HW)
        assert (bound, bound) == pytest.approx(tuple(t[0, 2:]), abs=1e-5)
