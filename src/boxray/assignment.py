"""Which rows of the raw output answer for which truth, and which are not asked at all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from boxray.boxes import centre_size, iou, size_iou
from boxray.coders.yolo_grid import YoloGrid

REACH = 0.45  # of the stretch: how far, in cells, a centre may be from the middle of a cell
SHAPE_RATIO = 4.0  # a prior may answer for a truth up to 4 times wider, narrower, taller, flatter
IOU_COST = 3.0  # weight of -log IoU against the class term (Ge et al. 2021, section 2.3)
MOST_POSITIVES = 10  # the IoUs that decide how many rows a truth gets
NOBODY = -1  # in place of the truth that a row answers for
IGNORE_IOU = 0.5  # a row this near an ignored truth is not told that it is wrong


@dataclass(frozen=True)
class Assignment:
    """For one image: row `rows[i]` answers for truth `truths[i]`; `ignored` rows are not scored."""

    rows: Int[Tensor, "p"]
    truths: Int[Tensor, "p"]
    ignored: Bool[Tensor, "rows"]


@dataclass(frozen=True)
class Targets:
    """The truths of one image as a network is taught them, in canvas pixels.

    ignored: boxes of objects that count neither way (difficult, crowd, cut by augmentation).
    """

    boxes: Float[Tensor, "n 4"]
    labels: Int[Tensor, "n"]
    ignored: Float[Tensor, "m 4"]


def assign(
    targets: Targets,
    coder: YoloGrid,
    numbers: Float[Tensor, "rows numbers"],
    boxes: Float[Tensor, "rows 4"],
    size_hw: tuple[int, int],
) -> Assignment:
    """Give each truth the rows that already say it best, among those that can reach it.

    A row can reach a truth if its cell's stretched sigmoid covers the truth's centre and its
    prior's shape is within a factor 4. Among these the k cheapest by class and -log IoU answer,
    k being the sum of the truth's ten best IoUs. A row that two truths want goes to the cheaper;
    one that thereby lost all its rows gets the cheapest that is left, if any is.
    numbers and boxes: the raw rows and their decoded boxes, detached.
    Source: dynamic top-k of Ge et al. 2021 (YOLOX), section 2.3, with reach in place of centre.
    """
    ignored = _ignored(targets.ignored, boxes)
    if len(targets.boxes) == 0:
        empty = torch.zeros(0, dtype=torch.int64, device=boxes.device)
        return Assignment(rows=empty, truths=empty, ignored=ignored)
    reach = _reach(targets.boxes, coder, size_hw)
    rows = reach.any(0).nonzero()[:, 0]
    reach = reach[:, rows]
    overlap = iou(targets.boxes, boxes[rows]) * reach
    cost = _class_cost(numbers[rows], targets.labels) - IOU_COST * torch.log(overlap + 1e-8)
    cost = cost.masked_fill(~reach, torch.inf)
    chosen = _cheapest(cost, _how_many(overlap)) & reach
    best, winner = cost.masked_fill(~chosen, torch.inf).min(0)
    winner[best.isinf()] = NOBODY
    _serve_losers(winner, cost)
    positive = winner != NOBODY
    return Assignment(rows=rows[positive], truths=winner[positive], ignored=ignored)


def _ignored(regions: Float[Tensor, "m 4"], boxes: Float[Tensor, "rows 4"]) -> Bool[Tensor, "rows"]:
    if len(regions) == 0:
        return torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    near: Tensor = (iou(boxes, regions) > IGNORE_IOU).any(1)
    return near


def _reach(
    truths: Float[Tensor, "n 4"], coder: YoloGrid, size_hw: tuple[int, int]
) -> Bool[Tensor, "n rows"]:
    """Which rows can say which truth; a truth of a shape no prior comes near gets the best one."""
    cell, stride, prior = coder.places(coder.grid(size_hw), truths)
    x, y, width, height = centre_size(truths)[:, :, None].unbind(1)
    # the distance, in cells, of each truth's centre from each cell's, along the farther axis
    away = torch.maximum(
        (x / stride - (cell[:, 0] + 0.5)).abs(), (y / stride - (cell[:, 1] + 0.5)).abs()
    )
    wider, taller = width / prior[:, 0], height / prior[:, 1]
    unlike = torch.maximum(torch.maximum(wider, 1 / wider), torch.maximum(taller, 1 / taller))
    reach = (away < max(0.5, REACH * coder.stretch)) & (unlike < SHAPE_RATIO)
    lost = ~reach.any(1)
    if lost.any():
        fit = size_iou(torch.cat([width, height], 1)[lost], prior) * (away[lost] <= 0.5)
        reach[lost, fit.argmax(1)] = True
    return reach


def _class_cost(
    numbers: Float[Tensor, "k numbers"], labels: Int[Tensor, "n"]
) -> Float[Tensor, "n k"]:
    """Binary cross-entropy of each row's scores √(σ(to)·σ(tclass)) against each truth's class."""
    scores = (numbers[:, 4:5].sigmoid() * numbers[:, 5:].sigmoid()).sqrt().clamp(1e-6, 1 - 1e-6)
    says_no = -torch.log1p(-scores)
    says_yes = -torch.log(scores)
    return (says_no.sum(1)[:, None] + (says_yes - says_no)[:, labels]).T


def _how_many(overlap: Float[Tensor, "n k"]) -> Int[Tensor, "n"]:
    """At least one row per truth, more where more rows overlap it well."""
    best = overlap.topk(min(MOST_POSITIVES, overlap.shape[1]), dim=1).values
    return best.sum(1).long().clamp(min=1)


def _cheapest(cost: Float[Tensor, "n k"], how_many: Int[Tensor, "n"]) -> Bool[Tensor, "n k"]:
    most = min(int(how_many.max()), cost.shape[1])
    order = cost.topk(most, dim=1, largest=False).indices
    wanted = torch.arange(most, device=cost.device) < how_many[:, None]
    return torch.zeros_like(cost, dtype=torch.bool).scatter(1, order, wanted)


def _serve_losers(winner: Int[Tensor, "k"], cost: Float[Tensor, "n k"]) -> None:
    """Give a truth that others took every row from the cheapest that nobody took, in place."""
    rows_won = torch.bincount(winner[winner != NOBODY], minlength=len(cost))
    for loser in (rows_won == 0).nonzero()[:, 0].tolist():
        best, row = cost[loser].masked_fill(winner != NOBODY, torch.inf).min(0)
        if torch.isfinite(best):
            winner[row] = loser


def one_hot(labels: Int[Tensor, "p"], class_count: int) -> Float[Tensor, "p c"]:
    """Class labels as rows of zeros with a single one."""
    return functional.one_hot(labels, class_count).float()


# in place of a truth: no object; near one, and not asked; near an ignored one, and not asked
BACKGROUND, BETWEEN, SPARED = -1, -2, -3


def match_by_overlap(
    targets: Targets,
    boxes: Float[Tensor, "rows 4"],
    *,
    positive: float,
    negative: float,
    every_truth: bool,
) -> Int[Tensor, "rows"]:
    """For each row the truth it overlaps most, BACKGROUND, BETWEEN or SPARED.

    A row answers for its truth from IoU `positive` on, is background below `negative`, and between
    them not asked; a background row near an ignored object is spared. every_truth: the rows that
    overlap a truth most, all of them if they tie, answer too, however little it is, each for the
    truth that it overlaps most itself.
    Source: Ren et al. 2015, section 3.1.2; Lin et al. 2017 (focal loss), section 4.
    """
    match = torch.full((len(boxes),), BACKGROUND, device=boxes.device)
    if len(targets.boxes) > 0 and len(boxes) > 0:
        overlap = iou(targets.boxes, boxes)
        best, nearest = overlap.max(0)
        match = torch.where(best < positive, BETWEEN, nearest)
        match[best < negative] = BACKGROUND
        if every_truth:
            favourite = (overlap == overlap.max(1, keepdim=True).values).any(0)
            match[favourite] = nearest[favourite]
    match[(match == BACKGROUND) & _ignored(targets.ignored, boxes)] = SPARED
    return match


def balanced_sample(
    match: Int[Tensor, "rows"], count: int, positive_share: float
) -> Int[Tensor, "s"]:
    """At most `count` rows at random, of which at most this share answers for a truth, in order.

    Drawn by torch's own generator, which the training loop seeds anew for each step.
    Source: Ren et al. 2015, section 3.1.3; Girshick 2015, section 2.3.
    """
    (positive,), (negative,) = torch.where(match >= 0), torch.where(match == BACKGROUND)
    positive = positive[torch.randperm(len(positive), device=match.device)]
    positive = positive[: int(count * positive_share)]
    negative = negative[torch.randperm(len(negative), device=match.device)]
    return torch.cat([positive, negative[: count - len(positive)]]).sort().values
