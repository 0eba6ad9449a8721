"""Weighted box fusion: overlapping candidates become one box, each with the weight of its score."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, iou
from boxray.records import Outcome
from boxray.selection.thresholds import Thresholds


def fusion(
    boxes: Float[Array, "n 4"],
    scores: Float[Array, "n"],
    rivals: Int[Array, "n"],
    thresholds: Thresholds,
) -> Outcome:
    """Each candidate, best first, joins the fused box it overlaps most, or founds a new one.

    It joins if it overlaps by more than `iou_threshold`. A fused box is the mean of its members'
    edges, weighted by their scores; its score is their mean score.
    Source: Solovyev et al. 2021, section 2, for a single model (its step 6 then changes nothing).
    """
    fused, left = boxes.astype(np.float64), scores.astype(np.float64)
    weight, count = left.copy(), np.ones(len(boxes), np.int64)
    beaten_by = np.full(len(boxes), -1, np.int64)
    for place in range(1, len(boxes)):
        before = slice(0, place)
        founders = np.flatnonzero((beaten_by[before] < 0) & (rivals[before] == rivals[place]))
        with np.errstate(all="ignore"):  # an area may overflow: that overlaps nothing
            overlap = iou(boxes[[place]].astype(np.float64), fused[founders])[0]
        best = int(np.nan_to_num(overlap, nan=0.0).argmax()) if len(founders) else -1
        if best >= 0 and overlap[best] > thresholds.iou_threshold:
            founder = founders[best]
            beaten_by[place] = founder
            count[founder] += 1
            weight[founder] += left[place]
            share = left[place] / weight[founder] if weight[founder] > 0 else 0.0
            fused[founder] += share * (boxes[place] - fused[founder])  # the mean, as it grows
    founder_of = np.where(beaten_by < 0, np.arange(len(boxes)), beaten_by)
    mean = (weight / count)[founder_of].astype(scores.dtype)
    survivors = np.flatnonzero(beaten_by < 0)
    order = survivors[np.argsort(-mean[survivors], kind="stable")]
    members = tuple(
        (place, *np.flatnonzero(beaten_by == place).tolist()) for place in order.tolist()
    )
    return Outcome(order, beaten_by, mean, fused[founder_of].astype(boxes.dtype), members)
