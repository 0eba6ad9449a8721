"""What every coder holds: an inverse pair, the same in both libraries, calm at the extremes."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.boxes import centre_size, clip, edges, like
from boxray.bundle.coders import KINDS
from boxray.coders.anchor_deltas import (
    LARGEST_LOG_SCALE,
    AnchorDeltas,
    PlacedProposalDeltas,
    ProposalDeltas,
    moved,
)
from boxray.coders.listed_boxes import ListedBoxes
from boxray.coders.windows import Meanings, WindowCoder
from boxray.coders.yolo_grid import YoloGrid
from boxray.protocols import Coder, Layered, TrainedCoder
from boxray.selection import Thresholds, select

PRIORS = (
    ((10.0, 14.0), (23.0, 17.0)),
    ((37.0, 58.0), (81.0, 42.0)),
    ((135.0, 169.0), (244.0, 219.0)),
)
STRIDES = (8, 16, 32)
CLASSES = 3
SIZE_HW = (96, 160)
FAR_HW = (192, 320)  # a canvas on which no box of these tests is cut
LIBRARIES = ["numpy", "torch"]


def in_library(library: str, array: np.ndarray):
    return torch.from_numpy(array) if library == "torch" else array


@dataclass(frozen=True)
class Subject:
    """A coder on a canvas, and what its laws are tried with.

    size_hw: of the canvas. starts: the box that each row starts from. reach: how far the centre may
    be from the start's, in pixels. raw: its raw output from one row of numbers each. boxes: what
    four numbers mean, before the canvas cuts them off. say, sure: write four numbers, or an equal
    logit for every class, into rows of numbers. Windows do not move: no numbers mean their boxes.
    """

    name: str
    coder: Any
    size_hw: tuple[int, int]
    numbers: int
    starts: np.ndarray
    reach: np.ndarray
    largest_log_scale: float
    smallest_log_scale: float
    raw: Callable[[np.ndarray], tuple[np.ndarray, ...]]
    boxes: Callable[[Any, np.ndarray], Any]
    say: Callable[[np.ndarray, Any, Any], None]
    sure: Callable[[np.ndarray, Any, float], None]

    def __str__(self) -> str:
        return self.name

    def __len__(self) -> int:
        return len(self.starts)

    def encode(self, boxes, rows):
        if isinstance(self.coder, PlacedProposalDeltas):
            return self._placed(boxes).encode(boxes, rows)
        return self.coder.encode(boxes, rows, self.size_hw)

    def decode(self, raw, score_floor: float = 0.0):
        if isinstance(self.coder, PlacedProposalDeltas):
            return self._placed(raw[0]).decode(raw[0], score_floor)
        return self.coder.decode(raw, score_floor)

    def trace(self, raw, row: int):
        said = raw[0] if isinstance(self.coder, PlacedProposalDeltas) else raw
        return self.coder.trace(said, row)

    def _placed(self, array) -> PlacedProposalDeltas:
        return self.coder.of.at(like(self.coder.proposals, array), self.size_hw)


def maps(coder: Any, rows: np.ndarray, layout: Callable[..., np.ndarray], size_hw) -> tuple:
    """Rows of numbers as one map per level, each laid out by `layout`."""
    found, start = [], 0
    for stride, priors in zip(coder.strides, coder.priors, strict=True):
        height, width = size_hw[0] // stride, size_hw[1] // stride
        count = height * width * len(priors)
        found.append(layout(rows[start : start + count], len(priors), height, width))
        start += count
    assert len(rows) == start
    return tuple(found)


def prior_by_prior(rows: np.ndarray, priors: int, height: int, width: int) -> np.ndarray:
    """(A·N, H, W) of rows that come prior by prior, in each the cells in reading order."""
    return rows.reshape(priors, height, width, -1).transpose(0, 3, 1, 2).reshape(-1, height, width)


def cell_by_cell(rows: np.ndarray, priors: int, height: int, width: int) -> np.ndarray:
    """(A·4 + A·C, H, W) of rows that come cell by cell, in each the anchors."""
    cells = rows.reshape(height, width, priors, -1)
    parts = (cells[..., :4], cells[..., 4:])
    flat = np.concatenate([part.reshape(height, width, -1) for part in parts], -1)
    return np.ascontiguousarray(flat.transpose(2, 0, 1))


def in_columns(place: slice, repeats: int, rows: np.ndarray, which: Any, value: Any) -> None:
    """Write a value, or four, into these columns of rows, as often as they hold it."""
    rows[which, place] = np.tile(value, repeats) if np.ndim(value) == 1 else value


def yolo_grid(coder: YoloGrid, name: str) -> Subject:
    grid = coder.grid(SIZE_HW)
    centre = (grid.cell + 0.5) * grid.stride[:, None]

    def boxes(t, rows):
        cell, stride, prior = coder.places(grid, t)
        return coder.boxes(t, cell[rows], stride[rows], prior[rows])

    return Subject(
        name,
        coder,
        SIZE_HW,
        coder.numbers,
        edges(np.concatenate([centre, grid.prior], 1)),
        coder.stretch / 2 * grid.stride,
        coder.largest_log_scale,
        -coder.largest_log_scale,
        lambda rows: maps(coder, rows, prior_by_prior, SIZE_HW),
        boxes,
        partial(in_columns, slice(0, 4), 1),
        partial(in_columns, slice(4, None), 1),
    )


def anchor_deltas(coder: AnchorDeltas, name: str) -> Subject:
    starts = coder.anchors(FAR_HW).boxes

    def boxes(t, rows):
        return moved(t, like(starts, t)[rows], coder.weights)

    return Subject(
        name,
        coder,
        FAR_HW,
        coder.numbers,
        starts,
        np.full(len(starts), 24.0),
        LARGEST_LOG_SCALE,
        -math.inf,
        lambda rows: maps(coder, rows, cell_by_cell, FAR_HW),
        boxes,
        partial(in_columns, slice(0, 4), 1),
        partial(in_columns, slice(4, None), 1),
    )


def proposal_deltas(coder: ProposalDeltas, name: str) -> Subject:
    random = np.random.default_rng(0)
    low = random.uniform(0, 100, (300, 2))
    starts = np.concatenate([low, low + np.exp(random.uniform(2, 4.5, (300, 2)))], 1)
    starts = starts.astype(np.float32)

    def boxes(t, rows):
        return moved(t, like(starts, t)[rows], coder.weights)

    return Subject(
        name,
        coder.at(starts, FAR_HW),
        FAR_HW,
        coder.numbers,
        starts,
        np.full(len(starts), 24.0),
        LARGEST_LOG_SCALE,
        -math.inf,
        lambda rows: (rows,),
        boxes,
        partial(in_columns, slice(4, 4 + 4 * CLASSES), CLASSES),
        partial(in_columns, slice(-CLASSES, None), 1),
    )


def windows(coder: WindowCoder, name: str) -> Subject:
    counts = coder.counts(FAR_HW)
    starts, _ = coder.windows(counts)
    of = np.array(coder.meanings.of)

    def raw(rows):
        places = np.cumsum([down * across for down, across in counts])[:-1]
        levels = zip(np.split(rows, places), counts, strict=True)
        return tuple(np.ascontiguousarray(level.T).reshape(-1, *count) for level, count in levels)

    def sure(numbers, rows, logit):
        numbers[rows, np.flatnonzero(of >= 0)] = logit

    return Subject(
        name,
        coder,
        FAR_HW,
        len(of),
        starts,
        np.zeros(len(starts)),
        0.0,
        0.0,
        raw,
        lambda t, rows: like(starts, t)[rows],
        lambda numbers, rows, four: None,
        sure,
    )


def listed_boxes(coder: ListedBoxes, name: str) -> Subject:
    low = np.random.default_rng(0).integers(0, 100, (60, 2))
    starts = np.concatenate([low, low + np.array([40, 24])], 1).astype(np.float32)

    def raw(rows):
        # what is listed stays as it is; what is not finite stays so, too
        boxes = np.where(np.isfinite(rows[:, :4]), starts, rows[:, :4])
        return (np.concatenate([boxes, rows[:, 4:]], 1).T[:, :, None],)

    return Subject(
        name,
        coder,
        FAR_HW,
        5,
        starts,
        np.zeros(len(starts)),
        0.0,
        0.0,
        raw,
        lambda t, rows: like(starts, t)[rows],
        lambda numbers, rows, four: None,
        partial(in_columns, slice(4, 5), 1),
    )


EVERY_SUBJECT = [
    yolo_grid(
        YoloGrid(CLASSES, STRIDES[-levels:], PRIORS[-levels:], stretch),
        f"grid-{levels}-levels-stretch-{stretch:g}",
    )
    for levels in (1, 2, 3)
    for stretch in (1.0, 2.0)
] + [
    yolo_grid(
        YoloGrid(CLASSES, STRIDES[-1:], PRIORS[-1:], softmax=True, largest_log_scale=20.0),
        "grid-of-yolov2",
    ),
    anchor_deltas(AnchorDeltas(CLASSES, STRIDES, PRIORS), "anchors"),
    anchor_deltas(AnchorDeltas(1, STRIDES, PRIORS, (2.0, 2.0, 1.0, 1.0)), "anchors-of-proposals"),
    proposal_deltas(ProposalDeltas(CLASSES), "proposals"),
    windows(
        WindowCoder(
            Meanings(CLASSES, (2, -1, 0, 1, 0, -1, 1, 2)),
            sizes=((56, 56), (56, 112), (112, 112)),
            steps=((16, 16), (16, 32), (32, 32)),
        ),
        "windows",
    ),
    listed_boxes(ListedBoxes(), "listed-boxes"),
]
MOVING = [s for s in EVERY_SUBJECT if not isinstance(s.coder, WindowCoder | ListedBoxes)]
every_moving_subject = pytest.mark.parametrize("subject", MOVING, ids=str)
every_subject = pytest.mark.parametrize("subject", EVERY_SUBJECT, ids=str)
every_library = pytest.mark.parametrize("library", LIBRARIES)


def test_every_coder_that_a_model_file_can_hold_is_tried_here():
    tried = {type(getattr(subject.coder, "of", subject.coder)) for subject in EVERY_SUBJECT}
    assert {kind.of for kind in KINDS.values()} | {ProposalDeltas} <= tried


@pytest.mark.parametrize(
    "subject", [s for s in EVERY_SUBJECT if not isinstance(s.coder, PlacedProposalDeltas)], ids=str
)
def test_what_reads_a_networks_maps_is_a_coder(subject):
    assert isinstance(subject.coder, Coder)
    assert len(subject.coder.strides) == len(subject.coder.channels)


def random_numbers(subject: Subject, seed: int, spread: float = 2.0) -> np.ndarray:
    shape = (len(subject), subject.numbers)
    return np.random.default_rng(seed).normal(0, spread, shape).astype(np.float32)


def random_raw(subject: Subject, seed: int, spread: float = 2.0) -> tuple[np.ndarray, ...]:
    return subject.raw(random_numbers(subject, seed, spread))


def reachable_boxes(subject: Subject, rows: np.ndarray, seed: int, within: float) -> np.ndarray:
    """For each row a box it can say: a centre in its reach, a size within exp(±within)."""
    random = np.random.default_rng(seed)
    start = centre_size(subject.starts[rows])
    share = random.uniform(-1, 1, (len(rows), 2))
    share[: len(rows) // 10] = np.sign(share[: len(rows) // 10])  # on the very edge of the reach
    size = start[:, 2:] * np.exp(random.uniform(-within, within, (len(rows), 2)))
    centre = start[:, :2] + share * subject.reach[rows, None]
    return edges(np.concatenate([centre, size], 1))


@every_moving_subject
@every_library
@pytest.mark.parametrize("precision", [np.float32, np.float64])
def test_decode_undoes_encode_to_a_thousandth_of_a_pixel(subject, library, precision):
    for seed in range(3):
        rows = np.random.default_rng(seed).integers(0, len(subject), 2000)
        within = min(5.9, subject.largest_log_scale - 1e-3)
        boxes = reachable_boxes(subject, rows, seed, within).astype(precision)
        t = subject.encode(in_library(library, boxes), in_library(library, rows))
        back = np.asarray(subject.boxes(t, rows))
        # float32: a millionth of the largest number in the sums
        rounding = 1e-6 * np.abs(boxes).max(1, keepdims=True)
        assert (np.abs(back - boxes) <= 1e-3 + rounding).all()


@every_moving_subject
@settings(max_examples=15)
@given(data=st.data())
def test_decode_undoes_encode_through_the_whole_raw_output(subject, data):
    row = data.draw(st.integers(0, len(subject) - 1))
    seed = data.draw(st.integers(0, 10**6))
    box = reachable_boxes(subject, np.array([row]), seed, within=1.5).astype(np.float32)
    numbers = np.full((len(subject), subject.numbers), -20, np.float32)
    subject.sure(numbers, row, 5)
    subject.say(numbers, row, subject.encode(box, np.array([row]))[0])
    found = subject.decode(subject.raw(numbers), 0.3)
    assert set(found.row.tolist()) == {row}
    assert sorted(set(found.labels.tolist())) == found.labels.tolist()
    if not isinstance(subject.coder, YoloGrid):
        box = clip(box, subject.size_hw)
    np.testing.assert_allclose(found.boxes, np.repeat(box, len(found), 0), atol=1.5e-3)


@every_subject
@settings(max_examples=12)
@given(seed=st.integers(0, 10**6), spread=st.sampled_from([0.5, 2.0, 8.0]))
def test_numpy_and_torch_decode_the_same(subject, seed, spread):
    numbers = random_numbers(subject, seed, spread)
    raw = subject.raw(numbers)
    ours = subject.decode(raw)
    theirs = subject.decode(tuple(torch.from_numpy(level) for level in raw))
    np.testing.assert_array_equal(ours.row, theirs.row.numpy())
    np.testing.assert_array_equal(ours.labels, theirs.labels.numpy())
    np.testing.assert_array_equal(ours.group, theirs.group.numpy())
    np.testing.assert_allclose(ours.scores, theirs.scores.numpy(), atol=1e-6)
    # float32: an edge is a centre minus half a side, so a last digit of the side, which exp makes
    # up to 62.5 times the start's before the canvas cuts it off, is an error of the edge
    side = centre_size(subject.starts)[ours.row, 2:].max(1)
    side *= np.exp(np.minimum(numbers[ours.row].max(1), subject.largest_log_scale))
    within = 1e-4 + np.finfo(np.float32).eps * side[:, None]
    assert (np.abs(ours.boxes - theirs.boxes.numpy()) <= within).all()


@every_moving_subject
def test_numpy_and_torch_encode_the_same(subject):
    rows = np.random.default_rng(0).integers(0, len(subject), 3000)
    boxes = reachable_boxes(subject, rows, 0, within=3).astype(np.float32)
    ours = subject.encode(boxes, rows)
    theirs = subject.encode(torch.from_numpy(boxes), torch.from_numpy(rows)).numpy()
    inner = np.abs(ours) < 5  # beyond, σ is so flat that a last digit of a pixel moves t
    np.testing.assert_allclose(ours[inner], theirs[inner], atol=1e-4)
    assert np.abs(subject.boxes(ours, rows) - subject.boxes(theirs, rows)).max() < 1e-3


@every_moving_subject
def test_the_gradient_flows_through_the_boxes(subject):
    rows = np.arange(len(subject))
    t = torch.randn(len(subject), 4, dtype=torch.float64, requires_grad=True)
    few = t[:3].detach().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: subject.boxes(x, rows[:3]), few)
    subject.boxes(t, rows).sum().backward()
    assert torch.isfinite(t.grad).all()


class TestExtremes:
    @every_subject
    @every_library
    def test_a_size_that_would_overflow_is_clamped(self, subject, library):
        rows = np.arange(len(subject))
        sizes = centre_size(subject.starts)[:, 2:]
        largest = math.exp(subject.largest_log_scale)
        t = np.tile(np.array([0, 0, 1000, 1000], np.float32), (len(subject), 1))
        boxes = np.asarray(subject.boxes(in_library(library, t), rows))
        np.testing.assert_allclose(centre_size(boxes)[:, 2:], sizes * largest, rtol=1e-4)
        numbers = np.zeros((len(subject), subject.numbers), np.float32)
        subject.say(numbers, rows, np.array([0, 0, 1000, 1000]))
        raw = tuple(in_library(library, level) for level in subject.raw(numbers))
        found = subject.decode(raw)
        assert len(subject) == len(np.unique(found.row))
        assert np.isfinite(np.asarray(found.boxes)).all()

    @every_subject
    @every_library
    @pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
    @pytest.mark.parametrize("place", [0, 3, 4, -1])
    def test_a_row_that_is_not_finite_is_left_out_and_no_other(self, subject, library, bad, place):
        numbers = random_numbers(subject, 0, spread=0.5)
        numbers[7, place] = bad
        raw = tuple(in_library(library, level) for level in subject.raw(numbers))
        with np.errstate(invalid="ignore"):
            found = subject.decode(raw)
        assert set(range(len(subject))) - {7} == set(np.asarray(found.row).tolist())
        assert np.isfinite(np.asarray(found.boxes)).all()
        assert np.isfinite(np.asarray(found.scores)).all()

    @every_subject
    def test_confident_rows_share_a_score_of_one_and_hopeless_ones_have_none(self, subject):
        numbers = np.zeros((len(subject), subject.numbers), np.float32)
        subject.sure(numbers, 0, 1e4)
        subject.sure(numbers, 1, -1e4)
        found = subject.decode(subject.raw(numbers))
        # classes that exclude each other share what there is
        one_of_them = isinstance(subject.coder, PlacedProposalDeltas | WindowCoder) or getattr(
            subject.coder, "softmax", False
        )
        sure, hopeless = found.scores[found.row == 0], found.scores[found.row == 1]
        assert sure.tolist() == pytest.approx([1 / len(sure) if one_of_them else 1] * len(sure))
        assert hopeless.tolist() == pytest.approx([0.0] * len(hopeless))

    @every_moving_subject
    @every_library
    def test_a_centre_on_the_canvas_far_edge_is_encoded_finite_and_comes_back(
        self, subject, library
    ):
        # the row that starts nearest to the corner, which no cell lies beyond
        height, width = subject.size_hw
        corner = np.array([width, height], np.float32)
        far = np.abs(centre_size(subject.starts)[:, :2] - corner).max(1)
        row = np.array([int((far - subject.reach).argmin())])
        box = edges(np.array([[width, height, 10.0, 14.0]])).astype(np.float32)
        t = subject.encode(in_library(library, box), in_library(library, row))
        assert np.isfinite(np.asarray(t)).all()
        assert np.abs(np.asarray(subject.boxes(t, row)) - box).max() < 1e-3

    @every_moving_subject
    @every_library
    def test_a_box_without_area_is_encoded_finite_and_as_small_as_can_be_said(
        self, subject, library
    ):
        boxes = np.array([[12.0, 12.0, 12.0, 20.0]], np.float32)
        row = np.array([0])
        t = subject.encode(in_library(library, boxes), in_library(library, row))
        assert np.isfinite(np.asarray(t)).all()
        width = centre_size(np.asarray(subject.boxes(t, row)))[0, 2]
        smallest = centre_size(subject.starts)[0, 2] * math.exp(subject.smallest_log_scale)
        assert width == pytest.approx(smallest, rel=1e-4, abs=1e-4)

    @every_moving_subject
    @every_library
    def test_no_box_at_all_encodes_to_nothing(self, subject, library):
        none = in_library(library, np.zeros((0, 4), np.float32))
        rows = in_library(library, np.zeros(0, np.int64))
        assert (0, 4) == tuple(subject.encode(none, rows).shape)

    @every_subject
    def test_rows_that_say_the_same_score_the_same_and_the_first_of_them_is_kept(self, subject):
        # every row is told the one box: they tie, and a tie goes to the lower class and row
        numbers = np.zeros((len(subject), subject.numbers), np.float32)
        found = subject.decode(subject.raw(numbers))
        assert 1 == len(set(found.scores.tolist()))
        kept = select(
            found, Thresholds(score_threshold=0.0, iou_threshold=0.0, max_detections=1)
        ).kept
        order = sorted(zip(found.labels.tolist(), found.row.tolist(), strict=True))
        assert order[0] == (found.labels[kept[0]], found.row[kept[0]])


class TestReading:
    @every_subject
    def test_a_trace_says_what_decode_made_of_the_row(self, subject):
        raw = random_raw(subject, 3, spread=1.0)
        found = subject.decode(raw)
        for number in range(0, len(found), 97):
            trace = subject.trace(raw, int(found.row[number]))
            objectness = getattr(trace, "objectness", None)
            score = trace.class_scores[found.labels[number]]
            score *= 1 if objectness is None else objectness
            assert score == pytest.approx(found.scores[number], rel=1e-5)

    @every_subject
    @every_library
    @settings(max_examples=8)
    @given(seed=st.integers(0, 10**6), score_floor=st.sampled_from([0.0, 1e-3, 0.25, 0.5, 0.999]))
    def test_a_score_floor_is_decoding_everything_and_then_filtering(
        self, subject, library, seed, score_floor
    ):
        raw = tuple(in_library(library, level) for level in random_raw(subject, seed))
        everything, few = subject.decode(raw), subject.decode(raw, score_floor)
        kept = everything.scores >= score_floor
        for name in ("boxes", "labels", "scores", "row", "group"):
            every, some = np.asarray(getattr(everything, name)), np.asarray(getattr(few, name))
            np.testing.assert_array_equal(every[np.asarray(kept)], some)


LAYERED = [s for s in EVERY_SUBJECT if isinstance(s.coder, Layered)]
# what is listed is no map of places: tests/coders/test_listed_boxes.py reads its traces
ON_MAPS = [s for s in EVERY_SUBJECT if not isinstance(s.coder, PlacedProposalDeltas | ListedBoxes)]
every_subject_on_maps = pytest.mark.parametrize("subject", ON_MAPS, ids=str)
every_moving_subject_on_maps = pytest.mark.parametrize(
    "subject", [s for s in ON_MAPS if s in MOVING], ids=str
)


class TestMaps:
    @every_subject_on_maps
    def test_the_rows_of_its_maps_are_the_rows_that_were_laid_out(self, subject):
        numbers = np.arange(len(subject) * subject.numbers, dtype=np.float32)
        numbers = numbers.reshape(-1, subject.numbers)
        np.testing.assert_array_equal(numbers, subject.coder.flatten(subject.raw(numbers)))

    @every_subject_on_maps
    @every_library
    def test_a_batch_is_flattened_as_its_images_are(self, subject, library):
        images = [random_raw(subject, seed) for seed in range(3)]
        batch = tuple(in_library(library, np.stack(level)) for level in zip(*images, strict=True))
        flat = np.asarray(subject.coder.flatten(batch))
        for number, image in enumerate(images):
            np.testing.assert_array_equal(subject.coder.flatten(image), flat[number])

    @pytest.mark.parametrize("subject", LAYERED, ids=str)
    def test_its_levels_have_a_cell_for_every_row_and_the_surest_of_its_rows(self, subject):
        raw = random_raw(subject, 4)
        levels = subject.coder.levels(raw)
        assert len(subject) == sum(level.sureness.size * len(level.priors) for level in levels)
        traces = [subject.coder.trace(raw, row) for row in range(len(subject))]
        for number, level in enumerate(levels):
            told = np.zeros(level.sureness.shape)
            for trace in (one for one in traces if one.where["level"] == number):
                column, row = trace.where["cell"]
                objectness = trace.objectness
                sure = max(trace.class_scores) if objectness is None else objectness
                told[row, column] = max(told[row, column], sure)
                (x0, y0, x1, y1), (high, wide) = trace.start, level.cell_hw
                assert (column + level.prior_at) * wide == pytest.approx((x0 + x1) / 2, abs=1e-3)
                assert (row + level.prior_at) * high == pytest.approx((y0 + y1) / 2, abs=1e-3)
            np.testing.assert_allclose(told, level.sureness, rtol=1e-5)

    @every_subject_on_maps
    def test_a_trace_tells_where_the_row_starts_and_what_it_said(self, subject):
        raw = random_raw(subject, 3, spread=1.0)
        found, rows = subject.decode(raw), subject.coder.flatten(raw)
        if isinstance(subject.coder, TrainedCoder):
            starts = subject.coder.starts(subject.size_hw)
            np.testing.assert_allclose(starts, subject.starts, atol=1e-3)
        for number in range(0, len(found), 97):
            row = int(found.row[number])
            trace = subject.trace(raw, row)
            assert trace.where["level"] == found.group[number]
            assert trace.start == pytest.approx(subject.starts[row].tolist(), abs=1e-3)
            assert trace.box == pytest.approx(found.boxes[number].tolist(), abs=1e-3)
            assert rows[row].tolist() == [*trace.raw.values(), *trace.class_logits]

    @every_subject_on_maps
    def test_the_steps_of_a_trace_can_be_followed_by_hand(self, subject):
        raw = random_raw(subject, 4)
        words = {"σ": lambda x: 1 / (1 + math.exp(-x)), "exp": math.exp}
        for row in range(0, len(subject), 41):
            trace = subject.trace(raw, row)
            for step in trace.steps:
                by_hand = eval(step.formula.replace("·", "*"), {}, words)
                assert by_hand == pytest.approx(step.value, rel=2e-3, abs=0.1)
            (box,) = edges(np.array([[step.value for step in trace.steps]])).tolist()
            if not isinstance(subject.coder, YoloGrid):
                box = clip(np.array([box]), subject.size_hw)[0].tolist()
            assert trace.box == pytest.approx(box, abs=1e-2)

    @every_moving_subject_on_maps
    def test_the_nearest_box_that_can_be_said_is_the_box_itself_where_the_row_reaches_it(
        self, subject
    ):
        raw = random_raw(subject, 6)
        rows = np.arange(0, len(subject), 53)
        for row, box in zip(rows, reachable_boxes(subject, rows, 6, within=3), strict=True):
            np.testing.assert_allclose(subject.coder.nearest(box, raw)[row], box, atol=2e-3)
