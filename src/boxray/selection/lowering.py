"""Suppression that lowers the scores of overlapping candidates instead of dropping them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, iou
from boxray.records import Outcome
from boxray.selection.thresholds import Thresholds

SIGMA = 0.5  # of the Gaussian, as both papers use it (SOLOv2 writes its inverse, 2)
COLUMNS = 96  # of an IoU matrix at a time: bounds the memory

Share = Callable[[Array, float], Array]


def linear(overlap: Float[Array, "..."], iou_threshold: float) -> Float[Array, "..."]:
    """1 - IoU of the score is left where the overlap is above the threshold, else all of it."""
    return np.where(overlap > iou_threshold, 1 - overlap, np.ones_like(overlap))


def gaussian(overlap: Float[Array, "..."], iou_threshold: float) -> Float[Array, "..."]:
    """exp(-IoU² / σ) of the score is left, whatever the threshold."""
    del iou_threshold
    return np.exp(-(overlap**2) / SIGMA)


def soft(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, "n"],
    rivals: Int[Array, "n"],
    thresholds: Thresholds,
    share: Share,
) -> Outcome:
    """Soft-NMS: the best of what is left lowers the scores of all that overlap it, and so on.

    A candidate whose score falls below `score_threshold` is suppressed, by whoever took most.
    share: how much of a score an overlap leaves, `linear` or `gaussian`.
    Source: Bodla et al. 2017, section 4; here an overlap of exactly the threshold leaves all.
    """
    left, most = scores.copy(), np.zeros_like(scores)
    beaten_by = np.full(len(boxes), -1, np.int64)
    waiting = np.arange(len(boxes))
    survivors = []
    while len(waiting):
        first = int(left[waiting].argmax())  # of equals the one that was better before
        best = int(waiting[first])
        survivors.append(best)
        waiting = np.delete(waiting, first)
        others = waiting[rivals[waiting] == rivals[best]]
        overlap = _overlaps(boxes[[best]], boxes[others])[0]
        remaining = left[others] * share(overlap, thresholds.iou_threshold)
        taken = left[others] - remaining
        left[others] = remaining
        beaten_by[others[taken > most[others]]] = best
        most[others] = np.maximum(most[others], taken)
        waiting = waiting[left[waiting] >= thresholds.score_threshold]
    return Outcome(np.array(survivors, np.int64), beaten_by, left, boxes)


def matrix(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, "n"],
    rivals: Int[Array, "n"],
    thresholds: Thresholds,
) -> Outcome:
    """Matrix NMS: every better rival lowers a score, less so if it is itself overlapped.

    The score of j is multiplied by the smallest, over all better i, of f(IoU of i and j) divided
    by f(the largest IoU of i with one better still), with f(x) = exp(-x² / σ). A candidate
    whose score falls below `score_threshold` is suppressed.
    Source: Wang et al. 2020 (SOLOv2), section 3.3, equations 4 and 5.
    """
    worst = np.zeros_like(scores)  # the largest IoU with a better rival
    shares = np.ones_like(scores)
    beaten_by = np.full(len(boxes), -1, np.int64)
    for some, overlap in _better_overlaps(boxes, rivals):
        worst[some] = overlap.max(0, initial=0)
    for some, overlap in _better_overlaps(boxes, rivals):
        ratio = gaussian(overlap, 0.0) / gaussian(worst[: len(overlap), None], 0.0)
        strongest = ratio.argmin(0)
        shares[some] = np.minimum(ratio.min(0), 1)
        beaten_by[some] = np.where(shares[some] < 1, strongest, -1)
    left = scores * shares
    order = np.argsort(-left, kind="stable")
    return Outcome(order[left[order] >= thresholds.score_threshold], beaten_by, left, boxes)


def _better_overlaps(
    boxes: Float[Array, "n 4"], rivals: Int[Array, "n"]
) -> Iterator[tuple[slice, Float[Array, "m k"]]]:
    """Some columns at a time, with the IoU of each with all before it; 0 if they do not compete."""
    for start in range(0, len(boxes), COLUMNS):
        some = slice(start, start + COLUMNS)
        until = min(start + COLUMNS, len(boxes))
        overlap = _overlaps(boxes[:until], boxes[some])
        overlap[rivals[:until, None] != rivals[some]] = 0
        yield some, np.triu(overlap, 1 - start)


def _overlaps(a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
    with np.errstate(all="ignore"):  # an area may overflow: that overlaps nothing
        return np.nan_to_num(iou(a, b), nan=0.0)
