"""Precision and recall at falling scores, and the averages taken over them.

Images may carry weights: an image of weight 2 counts as if it were in the data set twice, one of
weight 0 as if it were not. A plain evaluation has one column of ones; a bootstrap has a column per
resample, and both run through the same lines.

Shapes: n images, r weightings, h hits of one class, in the order of their scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.metrics.matching import Matches

RECALLS_101: Float[Array, "101"] = np.linspace(0.0, 1.0, 101)
# np.arange as in py-faster-rcnn: its values are not exactly .3, .6 and .7, and ties show it.
RECALLS_11: Float[Array, "11"] = np.arange(0.0, 1.1, 0.1)


@dataclass(frozen=True)
class Curve:
    """The points of a precision-recall curve at which recall rises: one per hit, best score first.

    Between hits recall stands still and precision falls, so the points left out change no average.
    truths: how many could be found, under each weighting; where 0, recall means nothing.
    """

    scores: Float[Array, "h"]
    recall: Float[Array, "h r"]
    precision: Float[Array, "h r"]
    truths: Float[Array, "r"]


def one_weighting(images: int) -> Int[Array, "n 1"]:
    """Every image once."""
    return np.ones((images, 1), np.int32)


def curve(
    matches: Matches, weights: Int[Array, "n r"], *, area_range: int = 0, threshold: int = 0
) -> Curve:
    """The curve of one class at the policy's `threshold`-th IoU threshold and `area_range`.

    Detections enter in the order of `matches`: by score, equal scores as they came.
    """
    counted = np.flatnonzero(~matches.ignored[area_range, threshold])
    hits = np.flatnonzero(matches.claimed[area_range, threshold, counted] >= 0)
    truths = _weighted(matches.truth_counts[area_range], weights)
    if not len(hits):
        nothing = np.zeros((0, weights.shape[1]))
        return Curve(np.zeros(0), nothing, nothing, truths)
    counted = counted[: hits[-1] + 1]
    up_to_hit = np.concatenate([[0], hits[:-1] + 1])  # each hit ends a run of false alarms
    runs = np.add.reduceat(weights[matches.image[counted]], up_to_hit, axis=0)
    found = np.cumsum(weights[matches.image[counted[hits]]], axis=0).astype(np.float64)
    detected = np.cumsum(runs, axis=0)
    return Curve(
        scores=matches.scores[counted[hits]],
        recall=found / np.maximum(truths, 1),
        precision=found / (detected + np.spacing(1)),  # pycocotools' guard against 0 / 0
        truths=truths,
    )


def interpolated(points: Curve, recalls: Float[Array, "k"]) -> Float[Array, "k r"]:
    """The best precision at each of these recalls or any higher one; 0 beyond the last hit.

    `recalls` must rise. Source: Everingham et al. 2010, section 4.2, equation 2.
    """
    best = np.zeros((len(recalls) + 1, len(points.truths)))
    reached = np.searchsorted(recalls, points.recall, side="right")  # so many of them, h r
    columns = np.broadcast_to(np.arange(len(points.truths)), reached.shape)
    np.maximum.at(best, (reached, columns), points.precision)
    return np.maximum.accumulate(best[:0:-1], axis=0)[::-1]


def interpolated_average(points: Curve, recalls: Float[Array, "k"]) -> Float[Array, "r"]:
    """Mean interpolated precision: AP of COCO (101 recalls) and VOC 2007 (11); NaN if no truths."""
    return _defined(interpolated(points, recalls).mean(axis=0), points)


def area_under(points: Curve) -> Float[Array, "r"]:
    """The area under the curve made monotone, AP of VOC 2010 and later; NaN if no truths.

    Source: VOC devkit 2012, VOCap.m.
    """
    monotone = np.maximum.accumulate(points.precision[::-1], axis=0)[::-1]
    steps = np.diff(points.recall, axis=0, prepend=0.0)
    return _defined((steps * monotone).sum(axis=0), points)


def recall_within(
    matches: Matches,
    weights: Int[Array, "n r"],
    max_detections: int,
    *,
    area_range: int = 0,
    threshold: int = 0,
) -> Float[Array, "r"]:
    """The share of truths found by each image's best `max_detections`; NaN if no truths."""
    hit = matches.claimed[area_range, threshold] >= 0
    hit &= ~matches.ignored[area_range, threshold] & (matches.rank < max_detections)
    per_image = np.bincount(matches.image[hit], minlength=len(weights))
    truths = _weighted(matches.truth_counts[area_range], weights)
    found = _weighted(per_image, weights)
    return np.where(truths > 0, found / np.maximum(truths, 1), np.nan)


def mean_over_classes(
    per_class: Sequence[dict[str, Float[Array, "r"]]],
) -> dict[str, Float[Array, "r"]]:
    """The mean of each metric over the classes in which it is defined; NaN where it is in none."""
    return {
        name: mean_defined(np.stack([values[name] for values in per_class]))
        for name in (per_class[0] if per_class else ())
    }


def mean_defined(values: Float[Array, "k r"]) -> Float[Array, "r"]:
    """The mean of the numbers in each column that are not NaN; NaN if all are."""
    defined = ~np.isnan(values)
    count = defined.sum(axis=0)
    return np.where(
        count > 0, np.where(defined, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan
    )


def _weighted(per_image: Int[Array, "n"], weights: Int[Array, "n r"]) -> Float[Array, "r"]:
    return per_image.astype(np.float64) @ weights.astype(np.float64)


def _defined(averages: Float[Array, "r"], points: Curve) -> Float[Array, "r"]:
    return np.where(points.truths > 0, averages, np.nan)
