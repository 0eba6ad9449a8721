"""How many annotated objects the first n proposals reach: what a second stage can find at most.

Source: Hosang, Benenson, Dollár & Schiele 2016, "What makes for effective detection proposals?".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped

from boxray import boxes as geometry
from boxray.boxes import Array
from boxray.records import Truths

COUNTS = (10, 30, 100, 300, 1000, 2000)
IOU_THRESHOLDS = tuple(share / 100 for share in range(50, 100, 5))


@dataclass(frozen=True)
class Reach:
    """The best overlap that each object has with the first proposals of its image.

    labels: the class of each object. overlaps: IoU, one column for each of `counts`, the numbers
    of proposals looked at. proposals: how many each image had.
    """

    labels: Int[Array, "t"]
    overlaps: Float[Array, "t counts"]
    counts: tuple[int, ...]
    proposals: Int[Array, "images"]

    def recall(self, iou_threshold: float) -> Float[Array, "counts"]:
        """The share of objects reached with at least this overlap; nan if there is no object."""
        return _mean(self.overlaps >= iou_threshold)

    def mean_of_classes(self, iou_threshold: float) -> Float[Array, "counts"]:
        """The mean over the classes that have objects of each one's recall."""
        reached = self.overlaps >= iou_threshold
        classes = np.unique(self.labels)
        shares = [reached[self.labels == label].mean(0) for label in classes]
        return _mean(np.array(shares).reshape(-1, len(self.counts)))

    def average_recall(self) -> Float[Array, "counts"]:
        """Recall averaged over the overlaps from 0.5 to 1. Source: Hosang et al., section 5.3."""
        return _mean(2 * (self.overlaps - 0.5).clip(0))


def reach(
    truths: Sequence[Truths],
    proposals: Sequence[Float[Array, "_ 4"]],
    counts: tuple[int, ...] = COUNTS,
) -> Reach:
    """The overlaps of each image's objects with its proposals, which come best first.

    Difficult objects, crowds and groups are left out. counts: any increasing numbers.
    """
    labels, overlaps = [np.zeros(0, np.int64)], [np.zeros((0, len(counts)))]
    for known, proposed in zip(truths, proposals, strict=True):
        counting = known.take(known.taught)
        labels.append(counting.labels)
        overlaps.append(_best_of_first(counting.boxes, proposed, counts))
    return Reach(
        labels=np.concatenate(labels),
        overlaps=np.concatenate(overlaps),
        counts=counts,
        proposals=np.array([len(proposed) for proposed in proposals], np.int64),
    )


def _best_of_first(
    truths: Float[Array, "t 4"], proposed: Float[Array, "n 4"], counts: tuple[int, ...]
) -> Float[Array, "t counts"]:
    if not len(proposed):
        return np.zeros((len(truths), len(counts)))
    best = np.maximum.accumulate(geometry.iou(truths, proposed), 1)
    return best[:, np.minimum(counts, len(proposed)) - 1]


def _mean(values: Shaped[Array, "k counts"]) -> Float[Array, "counts"]:
    return values.mean(0) if len(values) else np.full(values.shape[1:], np.nan)
