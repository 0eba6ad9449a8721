"""Greedy suppression: what overlaps a better kept box by more than the threshold is dropped."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, iou
from boxray.records import Outcome
from boxray.selection.thresholds import Thresholds

JUDGES = 96  # rows of an IoU matrix: bounds the memory, and a thousand boxes stay in the cache


def greedy(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, "n"],
    rivals: Int[Array, "n"],
    thresholds: Thresholds,
    overlap: Callable[[Array, Array], Array] = iou,
) -> Outcome:
    """The best stays and drops what it overlaps by more than `iou_threshold`, and so on.

    An overlap of exactly the threshold is kept. overlap: IoU, or for DIoU-NMS `distance_iou`.
    In steps of a few judges, rivals side by side, so that memory stays bounded; each judge meets
    the rivals that no earlier one has suppressed.
    Source: Felzenszwalb et al. 2010, section 5.2, with IoU for the overlap; Zheng et al. 2020,
    section 3.4, for DIoU-NMS.
    """
    order = np.argsort(rivals, kind="stable")
    rivals, arranged = rivals[order], boxes[order]
    beaten_by, beaten = np.full((2, len(boxes)), -1, np.int64)  # beaten: by a place in this order
    for start in range(0, len(boxes) if thresholds.iou_threshold < 1 else 0, JUDGES):
        end = np.searchsorted(rivals, rivals[start : start + JUDGES][-1], side="right")
        alive = start + np.flatnonzero(beaten[start:end] < 0)
        judges = alive[alive < start + JUDGES]
        with np.errstate(all="ignore"):  # an area may overflow; NaN suppresses nothing
            over = overlap(arranged[judges], arranged[alive]) > thresholds.iou_threshold
        over = np.triu(over & (rivals[judges, None] == rivals[alive]), 1)  # only later ones lose
        for i in np.flatnonzero(over.any(1)):
            if beaten[judges[i]] < 0:
                victims = alive[over[i]]
                beaten[victims[beaten[victims] < 0]] = judges[i]
    beaten_by[order] = np.where(beaten < 0, -1, order[beaten])
    return Outcome(np.flatnonzero(beaten_by < 0), beaten_by, scores, boxes)
