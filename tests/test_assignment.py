"""Which row answers for which truth: every truth is served, no row twice, none out of reach."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from boxray import assignment
from boxray.assignment import SHAPE_RATIO, Assignment, Targets, assign
from boxray.boxes import centre_size, edges, size_iou
from boxray.coders.yolo_grid import YoloGrid

SIZE_HW = (96, 128)
PRIORS = (((10.0, 14.0), (23.0, 17.0)), ((37.0, 58.0), (61.0, 42.0)), ((90.0, 80.0), (110.0, 60.0)))
PLAIN, STRETCHED = (YoloGrid(3, (8, 16, 32), PRIORS, stretch) for stretch in (1.0, 2.0))
both = pytest.mark.parametrize("coder", [PLAIN, STRETCHED], ids=["stretch-1", "stretch-2"])


def targets_of(boxes, labels=None, ignored=()) -> Targets:
    boxes = torch.tensor(np.array(boxes), dtype=torch.float32).reshape(-1, 4)
    labels = torch.zeros(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    regions = torch.tensor(np.array(ignored), dtype=torch.float32).reshape(-1, 4)
    return Targets(boxes, labels, regions)


def random_targets(seed: int, count: int) -> Targets:
    random = np.random.default_rng(seed)
    size = np.exp(random.uniform(np.log(6), np.log(80), (count, 2)))
    centre = random.uniform(0, 1, (count, 2)) * (SIZE_HW[1], SIZE_HW[0])
    return targets_of(edges(np.concatenate([centre, size], 1)), random.integers(0, 3, count))


def said(coder: YoloGrid, seed: int = 0, spread: float = 0.5) -> tuple[Tensor, Tensor]:
    """Raw numbers of an untrained network, and their boxes."""
    rows = len(coder.grid(SIZE_HW).level)
    numbers = torch.randn(rows, coder.numbers, generator=torch.Generator().manual_seed(seed))
    numbers *= spread
    return numbers, coder.boxes(numbers[:, :4], *coder.places(coder.grid(SIZE_HW), numbers))


def assigned(targets: Targets, coder: YoloGrid, seed: int = 0) -> Assignment:
    return assign(targets, coder, *said(coder, seed), SIZE_HW)


@both
@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), count=st.integers(1, 12))
def test_every_truth_is_served_and_no_row_answers_twice(coder, seed, count):
    found = assigned(random_targets(seed, count), coder, seed)
    assert set(range(count)) == set(found.truths.tolist())
    assert len(found.rows) == len(found.rows.unique()) == len(found.truths)


@both
@settings(max_examples=15)
@given(seed=st.integers(0, 10**6))
def test_only_rows_that_can_say_a_truth_answer_for_it(coder, seed):
    targets = random_targets(seed, 6)
    found = assigned(targets, coder, seed)
    grid = coder.grid(SIZE_HW)
    truths = centre_size(targets.boxes).numpy()[found.truths]
    rows = found.rows.numpy()
    from_middle = truths[:, :2] / grid.stride[rows, None] - (grid.cell[rows] + 0.5)
    assert np.abs(from_middle).max() <= coder.stretch / 2
    ratio = truths[:, 2:] / grid.prior[rows]
    unlike = np.maximum(ratio, 1 / ratio).max(1)
    for truth in range(6):
        worst = unlike[found.truths.numpy() == truth].max()
        # a truth that no prior comes near has the best prior's row alone, or its twin's
        fits_any = (
            np.maximum(
                centre_size(targets.boxes).numpy()[truth, 2:] / grid.prior,
                grid.prior / centre_size(targets.boxes).numpy()[truth, 2:],
            )
            .max(1)
            .min()
            < SHAPE_RATIO
        )
        assert worst < SHAPE_RATIO or not fits_any


@both
def test_a_shape_like_no_prior_gets_the_best_one_in_its_own_cell(coder):
    # 120 x 2 pixels: against 110x60 thirty times too flat
    found = assigned(targets_of([[4, 47, 124, 49]]), coder)
    assert [0] == found.truths.tolist()
    grid, row = coder.grid(SIZE_HW), int(found.rows[0])
    best = size_iou(np.array([[120.0, 2.0]]), grid.prior.astype(float))[0]
    assert best.max() == pytest.approx(best[row])
    assert np.abs(np.array([64, 48]) / grid.stride[row] - (grid.cell[row] + 0.5)).max() <= 0.5


@both
@pytest.mark.parametrize("centre", [(128, 96), (0, 0), (128, 0), (64, 48), (8, 16)])
def test_a_centre_on_the_edge_of_a_cell_or_of_the_canvas_is_served(coder, centre):
    x, y = centre
    for width, height in ((10, 14), (60, 40), (3, 90)):
        box = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
        assert len(assigned(targets_of([box]), coder).rows) >= 1


@both
def test_a_row_that_two_truths_want_goes_to_the_cheaper(coder):
    # one row says exactly the first truth; the second, a little off, wants it as well
    first, second = [40.0, 40.0, 50.0, 54.0], [42.0, 40.0, 52.0, 54.0]
    numbers, _ = said(coder, spread=0.0)
    grid = coder.grid(SIZE_HW)
    row = int(np.flatnonzero((grid.cell == [5, 5]).all(1) & (grid.stride == 8))[0])
    numbers[row, :4] = coder.encode(torch.tensor([first]), torch.tensor([row]), SIZE_HW)[0]
    boxes = coder.boxes(numbers[:, :4], *coder.places(grid, numbers))
    for order in ([first, second], [second, first]):
        found = assign(targets_of(order), coder, numbers, boxes, SIZE_HW)
        answers_for = found.truths[found.rows == row].tolist()
        assert [order.index(first)] == answers_for
        assert {0, 1} == set(found.truths.tolist())


def test_a_truth_that_lost_every_row_gets_the_cheapest_that_is_left():
    # costs of two truths; both want row 0 alone, the second is dearer and falls back to row 2
    cost = torch.tensor([[1.0, 5.0, 6.0], [2.0, torch.inf, 4.0]])
    winner = torch.tensor([0, assignment.NOBODY, assignment.NOBODY])
    assignment._serve_losers(winner, cost)
    assert [0, assignment.NOBODY, 1] == winner.tolist()


def test_a_truth_whose_only_rows_are_all_taken_goes_without():
    cost = torch.tensor([[1.0, torch.inf], [2.0, torch.inf]])
    winner = torch.tensor([0, assignment.NOBODY])
    assignment._serve_losers(winner, cost)
    assert [0, assignment.NOBODY] == winner.tolist()


@both
def test_two_truths_in_one_place_each_get_a_row(coder):
    box = [40.0, 40.0, 60.0, 60.0]
    found = assigned(targets_of([box, box, box]), coder)
    assert {0, 1, 2} == set(found.truths.tolist())


@both
def test_without_truths_nothing_is_assigned(coder):
    found = assigned(targets_of([]), coder)
    assert (0, 0) == (len(found.rows), len(found.truths))
    assert not found.ignored.any()


@both
def test_rows_that_say_an_ignored_object_are_ignored_and_only_these(coder):
    numbers, boxes = said(coder)
    region = boxes[200].tolist()
    found = assign(targets_of([], ignored=[region]), coder, numbers, boxes, SIZE_HW)
    assert found.ignored[200]
    overlap = assignment.iou(boxes, torch.tensor([region]))[:, 0]
    assert torch.equal(overlap > assignment.IGNORE_IOU, found.ignored)


def test_better_overlap_earns_more_rows():
    # sums of the best overlaps: 2.7 counts as 2 rows, 0.3 still as one, and never beyond ten best
    overlap = torch.tensor([[0.9, 0.9, 0.9, 0.0], [0.3, 0.0, 0.0, 0.0]])
    assert [2, 1] == assignment._how_many(overlap).tolist()
    assert [9] == assignment._how_many(torch.full((1, 50), 0.99)).tolist()


def test_the_class_cost_is_the_cross_entropy_of_the_scores():
    # σ(0) = ½ for objectness and each class: scores √¼ = ½, so 3 classes cost 3 ln 2 each way
    cost = assignment._class_cost(torch.zeros(1, 8), torch.tensor([0, 2]))
    np.testing.assert_allclose(cost, 3 * np.log(2), rtol=1e-5)
    # sure of class 1: cheap for a truth of class 1, dear for the others
    sure = torch.tensor([[0.0, 0, 0, 0, 9, -9, 9, -9]])
    costs = assignment._class_cost(sure, torch.tensor([0, 1]))[:, 0]
    assert costs[1] < 0.1 < 5 < costs[0]
