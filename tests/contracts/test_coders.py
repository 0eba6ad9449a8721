"""What every coder holds: an inverse pair, the same in both libraries, calm at the extremes."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.boxes import centre_size, edges, sigmoid
from boxray.coders.yolo_grid import YoloGrid
from boxray.protocols import Coder

PRIORS = (
    ((10.0, 14.0), (23.0, 17.0)),
    ((37.0, 58.0), (81.0, 42.0)),
    ((135.0, 169.0), (244.0, 219.0)),
)
STRIDES = (8, 16, 32)
EVERY_CODER = [
    YoloGrid(3, STRIDES[-levels:], PRIORS[-levels:], stretch)
    for levels in (1, 2, 3)
    for stretch in (1.0, 2.0)
] + [YoloGrid(3, STRIDES[-1:], PRIORS[-1:], softmax=True, largest_log_scale=20.0)]  # YOLOv2's
SIZE_HW = (96, 160)
LIBRARIES = ["numpy", "torch"]


def name_of(coder: YoloGrid) -> str:
    kind = "-softmax" if coder.softmax else ""
    return f"{type(coder).__name__}-{len(coder.strides)}-levels-stretch-{coder.stretch:g}{kind}"


every_coder = pytest.mark.parametrize("coder", EVERY_CODER, ids=name_of)
every_library = pytest.mark.parametrize("library", LIBRARIES)


def in_library(library: str, array: np.ndarray):
    return torch.from_numpy(array) if library == "torch" else array


def raw_of(coder: YoloGrid, numbers: np.ndarray, size_hw=SIZE_HW) -> tuple[np.ndarray, ...]:
    """Maps (A·(5 + C), H, W) whose rows are `numbers`: `flatten` undone, by loops."""
    maps, start = [], 0
    for stride, priors in zip(coder.strides, coder.priors, strict=True):
        height, width = size_hw[0] // stride, size_hw[1] // stride
        level = np.zeros((len(priors), coder.numbers, height, width), numbers.dtype)
        for prior in range(len(priors)):
            for row in range(height):
                for column in range(width):
                    level[prior, :, row, column] = numbers[start]
                    start += 1
        maps.append(level.reshape(-1, height, width))
    assert len(numbers) == start
    return tuple(maps)


def row_count(coder: YoloGrid, size_hw=SIZE_HW) -> int:
    return len(coder.grid(size_hw).level)


def random_numbers(coder: YoloGrid, seed: int, spread: float = 2.0) -> np.ndarray:
    shape = (row_count(coder), coder.numbers)
    return np.random.default_rng(seed).normal(0, spread, shape).astype(np.float32)


def random_raw(coder: YoloGrid, seed: int, spread: float = 2.0) -> tuple[np.ndarray, ...]:
    return raw_of(coder, random_numbers(coder, seed, spread))


def reachable_boxes(coder: YoloGrid, rows: np.ndarray, seed: int, within: float) -> np.ndarray:
    """For each row a box it can say: a centre in its reach, a size within exp(±within)."""
    random = np.random.default_rng(seed)
    grid = coder.grid(SIZE_HW)
    share = random.uniform(0, 1, (len(rows), 2))
    share[: len(rows) // 10] = share[: len(rows) // 10].round()  # on the very edge of the reach
    reach = coder.stretch * share - (coder.stretch - 1) / 2
    centre = (grid.cell[rows] + reach) * grid.stride[rows, None]
    size = grid.prior[rows] * np.exp(random.uniform(-within, within, (len(rows), 2)))
    return edges(np.concatenate([centre, size], 1))


def decoded_rows(coder: YoloGrid, t, rows: np.ndarray):
    """Boxes of these rows from their four numbers, through the coder's equations."""
    cell, stride, prior = coder.places(coder.grid(SIZE_HW), t)
    return coder.boxes(t, cell[rows], stride[rows], prior[rows])


@every_coder
def test_it_is_a_coder(coder):
    assert isinstance(coder, Coder)


@every_coder
@every_library
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_decode_undoes_encode_to_a_thousandth_of_a_pixel(coder, library, precision):
    for seed in range(3):
        rows = np.random.default_rng(seed).integers(0, row_count(coder), 2000)
        boxes = reachable_boxes(coder, rows, seed, within=5.9).astype(precision)
        given_boxes = in_library(library, boxes)
        back = np.asarray(
            decoded_rows(coder, coder.encode(given_boxes, in_library(library, rows), SIZE_HW), rows)
        )
        rounding = 1e-6 * np.abs(boxes).max(1, keepdims=True) if precision == np.float32 else 0
        assert (np.abs(back - boxes) <= 1e-3 + rounding).all()


@every_coder
@settings(max_examples=15)
@given(data=st.data())
def test_decode_undoes_encode_through_the_whole_raw_output(coder, data):
    row = data.draw(st.integers(0, row_count(coder) - 1))
    seed = data.draw(st.integers(0, 10**6))
    box = reachable_boxes(coder, np.array([row]), seed, within=1.5).astype(np.float32)
    numbers = np.full((row_count(coder), coder.numbers), -20, np.float32)
    numbers[row] = 5
    numbers[row, :4] = coder.encode(box, np.array([row]), SIZE_HW)[0]
    found = coder.decode(raw_of(coder, numbers), 0.3)
    assert [row] * coder.class_count == found.row.tolist()
    assert list(range(coder.class_count)) == found.labels.tolist()
    np.testing.assert_allclose(found.boxes, np.repeat(box, coder.class_count, 0), atol=1.5e-3)


@every_coder
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.5, 2.0, 8.0]))
def test_numpy_and_torch_decode_the_same(coder, seed, spread):
    raw = random_raw(coder, seed, spread)
    ours = coder.decode(raw)
    theirs = coder.decode(tuple(torch.from_numpy(level) for level in raw))
    np.testing.assert_array_equal(ours.row, theirs.row.numpy())
    np.testing.assert_array_equal(ours.labels, theirs.labels.numpy())
    np.testing.assert_array_equal(ours.group, theirs.group.numpy())
    np.testing.assert_allclose(ours.scores, theirs.scores.numpy(), atol=1e-6)
    # float32: 1e-4 px, and a millionth where exp made a box of 100 000 px
    np.testing.assert_allclose(ours.boxes, theirs.boxes.numpy(), atol=1e-4, rtol=1e-6)


@every_coder
def test_numpy_and_torch_encode_the_same(coder):
    rows = np.random.default_rng(0).integers(0, row_count(coder), 3000)
    boxes = reachable_boxes(coder, rows, 0, within=3).astype(np.float32)
    ours = coder.encode(boxes, rows, SIZE_HW)
    theirs = coder.encode(torch.from_numpy(boxes), torch.from_numpy(rows), SIZE_HW).numpy()
    inner = np.abs(ours) < 5  # beyond, σ is so flat that a last digit of a pixel moves t
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-4)
    assert np.abs(decoded_rows(coder, ours, rows) - decoded_rows(coder, theirs, rows)).max() < 1e-3


@every_coder
def test_the_gradient_flows_through_the_boxes(coder):
    t = torch.randn(2, row_count(coder), 4, dtype=torch.float64, requires_grad=True)
    where = [part.double() for part in coder.places(coder.grid(SIZE_HW), t)]
    few = slice(0, 3)
    places = (where[0][few], where[1][few], where[2][few])
    assert torch.autograd.gradcheck(
        lambda x: coder.boxes(x, *places), t[:, few].detach().requires_grad_()
    )
    coder.boxes(t, *where).sum().backward()
    assert torch.isfinite(t.grad).all()


@every_coder
def test_the_equations_are_the_papers(coder):
    # tx = ty = 0: σ = ½, the cell's middle whatever the stretch; tw = ln 2 doubles, th = 0 keeps
    row = 1  # second cell of the first row, first prior of the finest level
    stride, (width, height) = coder.strides[0], coder.priors[0][0]
    t = np.array([[0, 0, math.log(2), 0]])
    expected = [1.5 * stride, 0.5 * stride, 2 * width, height]
    np.testing.assert_allclose(centre_size(decoded_rows(coder, t, np.array([row])))[0], expected)
    # σ(ln 3) = 3/4, stretched by s: s·3/4 - (s - 1)/2 from the cell's corner
    t = np.array([[math.log(3), 0, 0, 0]])
    x = (coder.stretch * 0.75 - (coder.stretch - 1) / 2 + 1) * stride
    assert x == pytest.approx(centre_size(decoded_rows(coder, t, np.array([row])))[0, 0])


class TestExtremes:
    @every_coder
    @every_library
    def test_a_size_that_would_overflow_is_clamped(self, coder, library):
        numbers = np.zeros((row_count(coder), coder.numbers), np.float32)
        numbers[:, 2:4] = 1000
        raw = tuple(in_library(library, level) for level in raw_of(coder, numbers))
        boxes = np.asarray(coder.decode(raw).boxes)
        assert np.isfinite(boxes).all()
        sizes = np.repeat(coder.grid(SIZE_HW).prior, coder.class_count, 0)
        expected = sizes * math.exp(coder.largest_log_scale)
        np.testing.assert_allclose(centre_size(boxes)[:, 2:], expected, rtol=1e-4)

    @every_coder
    @every_library
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("place", [0, 3, 4, 5])
    def test_a_row_that_is_not_finite_is_left_out_and_no_other(self, coder, library, bad, place):
        numbers = random_numbers(coder, 0)
        numbers[7, place] = bad
        raw = tuple(in_library(library, level) for level in raw_of(coder, numbers))
        found = coder.decode(raw)
        assert row_count(coder) - 1 == len(np.unique(found.row))
        assert 7 not in np.asarray(found.row)
        assert np.isfinite(np.asarray(found.boxes)).all()
        assert np.isfinite(np.asarray(found.scores)).all()

    @every_coder
    def test_confident_rows_score_one_and_hopeless_ones_zero(self, coder):
        numbers = np.zeros((row_count(coder), coder.numbers), np.float32)
        numbers[0, 4:], numbers[1, 4:] = 1e4, -1e4
        scores = coder.decode(raw_of(coder, numbers)).scores.reshape(-1, coder.class_count)
        # classes that exclude each other share what there is
        most = 1 / coder.class_count if coder.softmax else 1
        assert [most] * coder.class_count == pytest.approx(scores[0].tolist())
        assert [0.0] * coder.class_count == pytest.approx(scores[1].tolist())

    @every_coder
    @every_library
    def test_a_centre_on_the_edge_of_a_cell_or_of_the_canvas_is_encoded_finite(
        self, coder, library
    ):
        height, width = SIZE_HW
        stride = coder.strides[0]
        # the last cell of the first prior of the finest level; the canvas's far corner is its own
        last = (height // stride) * (width // stride) - 1
        boxes = np.array([[width - 5, height - 7, width + 5, height + 7]], np.float32)
        boxes = np.concatenate([boxes, boxes - stride])  # and its near corner
        rows = np.array([last, last])
        t = coder.encode(in_library(library, boxes), in_library(library, rows), SIZE_HW)
        assert np.isfinite(np.asarray(t)).all()
        assert np.abs(np.asarray(decoded_rows(coder, t, rows)) - boxes).max() < 1e-3

    @every_coder
    @every_library
    def test_a_box_without_area_is_encoded_as_the_smallest_size(self, coder, library):
        boxes = np.array([[12.0, 12.0, 12.0, 20.0]], np.float32)
        t = coder.encode(in_library(library, boxes), in_library(library, np.array([0])), SIZE_HW)
        assert -coder.largest_log_scale == pytest.approx(float(t[0, 2]), abs=1e-5)

    @every_coder
    def test_a_centre_out_of_reach_becomes_the_nearest_point_within_it(self, coder):
        boxes = np.array([[150.0, 90.0, 160.0, 96.0]])
        t = coder.encode(boxes, np.array([0]), SIZE_HW)
        x, y = centre_size(decoded_rows(coder, t, np.array([0])))[0, :2]
        # from the first cell's middle, half a stretch is the farthest
        farthest = (0.5 + coder.stretch / 2) * coder.strides[0]
        assert (farthest, farthest) == pytest.approx((x, y), abs=1e-3)

    @every_coder
    @every_library
    def test_no_box_at_all_encodes_to_nothing(self, coder, library):
        none = in_library(library, np.zeros((0, 4), np.float32))
        rows = in_library(library, np.zeros(0, np.int64))
        assert (0, 4) == tuple(coder.encode(none, rows, SIZE_HW).shape)


class TestRows:
    @every_coder
    def test_rows_come_level_by_level_prior_by_prior_and_in_reading_order(self, coder):
        numbers = np.arange(row_count(coder) * coder.numbers, dtype=np.float32)
        numbers = numbers.reshape(-1, coder.numbers)
        raw = raw_of(coder, numbers)
        np.testing.assert_array_equal(numbers, coder.flatten(raw))
        row = 0
        for level, (stride, priors) in enumerate(zip(coder.strides, coder.priors, strict=True)):
            for prior in priors:
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
                            assert numbers[row, :5].tolist() == list(trace.raw.values())
                            assert numbers[row, 5:].tolist() == list(trace.class_logits)
                        row += 1
        assert row_count(coder) == row

    @every_coder
    def test_a_trace_says_what_decode_made_of_the_row(self, coder):
        raw = random_raw(coder, 3)
        found = coder.decode(raw)
        for number in range(0, len(found), 97):
            trace = coder.trace(raw, int(found.row[number]))
            score = trace.objectness * trace.class_scores[found.labels[number]]
            assert score == pytest.approx(found.scores[number], rel=1e-5)
            assert trace.where["level"] == found.group[number]
            assert trace.box == pytest.approx(found.boxes[number].tolist(), abs=1e-3)

    @every_coder
    def test_the_steps_of_a_trace_can_be_followed_by_hand(self, coder):
        raw = random_raw(coder, 4)
        words = {"σ": lambda x: 1 / (1 + math.exp(-x)), "exp": math.exp}
        for row in range(0, row_count(coder), 41):
            trace = coder.trace(raw, row)
            for step in trace.steps:
                by_hand = eval(step.formula.replace("·", "*"), {}, words)
                assert by_hand == pytest.approx(step.value, rel=2e-3, abs=0.05)
            x, y, width, height = (step.value for step in trace.steps)
            assert trace.box == pytest.approx(
                (x - width / 2, y - height / 2, x + width / 2, y + height / 2), abs=1e-3
            )

    @every_coder
    def test_the_nearest_box_that_can_be_said_is_the_box_itself_where_the_row_reaches_it(
        self, coder
    ):
        raw = random_raw(coder, 6)
        rows = np.arange(0, row_count(coder), 53)
        for row, box in zip(rows, reachable_boxes(coder, rows, 6, within=3), strict=True):
            np.testing.assert_allclose(coder.nearest(box, raw)[row], box, atol=2e-3)

    @every_coder
    @every_library
    @settings(max_examples=8)
    @given(seed=st.integers(0, 10**6), score_floor=st.sampled_from([0.0, 1e-3, 0.25, 0.5, 0.999]))
    def test_a_score_floor_is_decoding_everything_and_then_filtering(
        self, coder, library, seed, score_floor
    ):
        raw = tuple(in_library(library, level) for level in random_raw(coder, seed))
        everything, few = coder.decode(raw), coder.decode(raw, score_floor)
        kept = everything.scores >= score_floor
        for name in ("boxes", "labels", "scores", "row", "group"):
            every, some = np.asarray(getattr(everything, name)), np.asarray(getattr(few, name))
            np.testing.assert_array_equal(every[np.asarray(kept)], some)

    @every_coder
    def test_scores_are_objectness_times_class(self, coder):
        numbers = random_numbers(coder, 5)
        found = coder.decode(raw_of(coder, numbers))
        powers = np.exp(numbers[:, 5:])
        shares = powers / powers.sum(1, keepdims=True)
        classes = shares if coder.softmax else sigmoid(numbers[:, 5:])
        expected = sigmoid(numbers[:, 4:5]) * classes
        np.testing.assert_allclose(expected.reshape(-1), found.scores, rtol=1e-6)

    @every_coder
    @every_library
    def test_a_batch_is_flattened_as_its_images_are(self, coder, library):
        images = [random_raw(coder, seed) for seed in range(3)]
        batch = tuple(in_library(library, np.stack(level)) for level in zip(*images, strict=True))
        flat = np.asarray(coder.flatten(batch))
        for number, image in enumerate(images):
            np.testing.assert_array_equal(coder.flatten(image), flat[number])
