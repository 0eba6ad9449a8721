"""What is asked about: an annotated object, or a point in the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from boxray.boxes import Array, iou, like, namespace
from boxray.explain.decision import Decision
from boxray.images import Placement
from boxray.metrics.matching import MatchPolicy, claim
from boxray.records import Candidates, Truths

ENOUGH = 0.5  # of overlap: what VOC asks of a detection

# The simplest of rules: every truth counts, each detection takes the free one it overlaps most.
POLICY = MatchPolicy(
    iou_thresholds=(ENOUGH,),
    area_ranges=((0.0, float("inf")),),
    max_detections=None,
    set_aside=(),
    crowds_by_detection_area=False,
    counting_first=False,
    if_claimed="next best",
    equal_overlaps="first",
)


@dataclass(frozen=True)
class Target:
    """An object with a box in image pixels, or a point.

    label: of its class among the detector's, -1 for a class that the detector does not know,
    None for any class. name: of the class, as people call it.
    """

    box: Float[Array, "4"] | None = None
    point: tuple[float, float] | None = None
    label: int | None = None
    name: str | None = None

    def agreement(self, found: Candidates, placement: Placement) -> Float[Array, "k"]:
        """IoU · score of every candidate of its class, in the canvas's pixels; in their library."""
        of_class = slice(None) if self.label is None else found.labels == self.label
        boxes = placement.to_image(found.boxes[of_class], clip=True)
        agreed: Array = self.overlap(boxes) * found.scores[of_class]
        return agreed

    def overlap(self, boxes: Float[Array, "n 4"]) -> Float[Array, "n"]:
        """How well boxes of the image answer: their IoU, or 1 for those around the point."""
        if self.box is not None:
            overlap: Array = iou(like(self.box, boxes)[None], boxes)[0]
            return overlap
        assert self.point is not None
        x, y = self.point
        around = (boxes[:, 0] <= x) & (x < boxes[:, 2]) & (boxes[:, 1] <= y) & (y < boxes[:, 3])
        return namespace(boxes).asarray(around, dtype=boxes.dtype)


def targets_of(truths: Truths, names: Sequence[str], classes: Sequence[str]) -> tuple[Target, ...]:
    """One target per truth; `names` are what the truths' labels index, `classes` the detector's."""
    known = {name: label for label, name in enumerate(classes)}
    return tuple(
        Target(box=box, label=known.get(names[label], -1), name=names[label])
        for box, label in zip(truths.boxes, truths.labels.tolist(), strict=True)
    )


def claims(decision: Decision, targets: Sequence[Target]) -> list[int]:
    """Which kept box answers for each target, -1 for none.

    Of truths, one box for each, best first; of points, the smallest box around it.
    """
    boxes, labels = decision.shown, decision.candidates.labels[decision.selection.kept]
    places = [-1] * len(targets)
    for label in {target.label for target in targets if target.box is not None}:
        asked = [i for i, target in enumerate(targets) if target.label == label]
        there = np.flatnonzero(labels == label)
        if not len(there):
            continue
        overlap = iou(boxes[there], np.array([targets[i].box for i in asked]))
        nothing = np.zeros(len(asked), bool)
        claimed = claim(overlap, nothing[None], nothing, POLICY)[0, 0]
        for place, got in zip(there.tolist(), claimed.tolist(), strict=True):
            if got >= 0:
                places[asked[got]] = place
    for i, target in enumerate(targets):
        if target.box is None:
            around = np.flatnonzero(target.overlap(boxes) >= ENOUGH)
            width, height = (boxes[around, 2:] - boxes[around, :2]).T
            places[i] = int(around[(width * height).argmin()]) if len(around) else -1
    return places
