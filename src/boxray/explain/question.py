"""Whether an object would be found if thresholds were turned, asked again and again.

What enters suppression at a lower score_threshold is known beforehand, since the limits go by rank;
so nothing is decoded again, and only what competes with the object's candidates is selected again,
unless there is more than may be shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array, distance_iou, iou
from boxray.explain.decision import Decision
from boxray.explain.target import ENOUGH, Target, claims
from boxray.records import Candidates, Fate
from boxray.selection import Thresholds

MOST_COMPARED = 300  # candidates that are all compared with each other, to try less
DROPPING = ("greedy", "diou")


@dataclass(frozen=True)
class Question:
    """Whether a target would be found if thresholds were turned.

    decision: what was decided. entering: all that enters suppression at a score_threshold of 0,
    best first; a higher one lets the first of them enter. targets: those of the target's class,
    that might claim its detection. thresholds: as they are turned.
    """

    decision: Decision
    entering: Candidates
    targets: Sequence[Target]
    which: int
    thresholds: Thresholds

    @property
    def target(self) -> Target:
        return self.targets[self.which]

    def with_score(self, value: float) -> Question:
        return replace(self, thresholds=replace(self.thresholds, score_threshold=value))

    def with_iou(self, value: float) -> Question:
        return replace(self, thresholds=replace(self.thresholds, iou_threshold=value))

    @cached_property
    def entered(self) -> Candidates:
        """All that enters suppression, best first."""
        return self.entering.take(self.entering.scores >= self.thresholds.score_threshold)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more survivors than are shown."""
        return len(self.entered) > self.thresholds.max_detections

    @cached_property
    def competing(self) -> Candidates:
        """Those of them that may meet the target's candidates."""
        if not self._is_of_class:
            return self.entered
        return self.entered.take(self.entered.labels == self.target.label)

    @property
    def _is_of_class(self) -> bool:
        return self.thresholds.suppress_within == "class" and self.target.label is not None

    @property
    def is_one_contest(self) -> bool:
        """Whether all of those meet each other."""
        return self._is_of_class or self.thresholds.suppress_within == "all"

    def overlap(self, a: Float[Array, "n 4"], b: Float[Array, "m 4"]) -> Float[Array, "n m"]:
        """As the method of suppression measures it."""
        return distance_iou(a, b) if self.thresholds.method == "diou" else iou(a, b)

    def _decided(self, candidates: Candidates, max_detections: int) -> Decision:
        """What would be decided if these were all there are."""
        limits = replace(self.thresholds, max_detections=max_detections)
        selection = self.decision.reselect(candidates, limits)
        return replace(self.decision, thresholds=limits, candidates=candidates, selection=selection)

    @cached_property
    def then(self) -> Decision:
        """What would be decided."""
        return self._decided(self.entered, self.thresholds.max_detections)

    @cached_property
    def alone(self) -> Decision:
        """What would be decided of those that compete, if all that survive were shown."""
        return self._decided(self.competing, max_detections=max(1, len(self.competing)))

    def is_found(self) -> bool:
        """Whether it would be found."""
        return self._claims_in(self.then)

    def survives(self) -> bool:
        """Whether it would be found if all that survive were shown: of few, and soon known."""
        return self._claims_in(self.alone)

    def _claims_in(self, decision: Decision) -> bool:
        boxes = decision.shown
        if not len(boxes) or self.target.overlap(boxes).max() < ENOUGH:
            return False  # the usual answer, at a fraction of the price
        return claims(decision, self.targets)[self.which] >= 0

    def own(self, candidates: Candidates) -> Int[Array, "c"]:
        """The candidates whose own class and box answer for the target, best first."""
        overlap = self.target.overlap(self.decision.in_image(candidates.boxes))
        answers = overlap >= ENOUGH
        if self.target.label is not None:
            answers &= candidates.labels == self.target.label
        return np.flatnonzero(answers)


class Trial:
    """Values of iou_threshold tried for a question, and as few of them as can be.

    Where boxes are dropped, two kinds need not be tried: those at which what surely stays, since
    nothing better overlaps it by more, drops all of the target's candidates; and those at which
    the same ones stay as at one that was tried, since they still drop all others.
    """

    def __init__(self, question: Question) -> None:
        some = question.competing
        self._question, self._own = question, question.own(some)
        self._lost: list[Bool[Array, "n"]] = []  # what stayed at values that did not find it
        self._overlap: Float[Array, "n n"] | None = None  # of better ones (rows) with worse ones
        if (
            question.thresholds.method in DROPPING
            and question.is_one_contest
            and len(some) <= MOST_COMPARED
        ):
            self._overlap = np.triu(question.overlap(some.boxes, some.boxes), 1)

    @property
    def least(self) -> float:
        """Of values that are higher than the question's, none below this finds the target."""
        if self._overlap is None:
            return 0.0
        surely = ~(self._overlap > self._question.thresholds.iou_threshold).any(0)
        return float(self._overlap[surely][:, self._own].max(0).min())

    def _may_find(self, overlap: Float[Array, "n n"], value: float) -> bool:
        """False if this value surely does not find the target."""
        over = overlap > value
        surely = ~over.any(0)
        if over[surely][:, self._own].any(0).all():
            return False
        return not any((over[stays].any(0) != stays).all() for stays in self._lost)

    def finds(self, value: float) -> bool:
        """Whether this value finds the target."""
        turned = self._question.with_iou(value)
        if self._overlap is None:
            return turned.is_found()
        if not self._may_find(self._overlap, value):
            return False
        if turned.survives():
            return not turned.is_cut or turned.is_found()
        self._lost.append(turned.alone.selection.fate == Fate.KEPT)
        return False
