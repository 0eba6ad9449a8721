"""The record of one image's decisions, from which every explanation is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, has_inside
from boxray.images import Placement
from boxray.protocols import Explaining
from boxray.records import Candidates, Selection
from boxray.selection import Thresholds, select

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Said:
    """A candidate in plain words: a class, a score, a box in image pixels, and where it stands."""

    label: str
    score: float
    box: Box
    where: dict[str, Any]


@dataclass(frozen=True)
class Decision:
    """What was decided about one image, and all that is needed to decide again.

    raw and coder: what the learned step said, and what gives it meaning. candidates and selection:
    as detection had them, in canvas pixels. places: for each detection shown which of the kept
    boxes it is. proposals: of two stages, the decision of the first, whose kept boxes are the rows
    of the second, in this order. reselect: makes the selection again, with other thresholds.
    """

    raw: Any
    coder: Explaining
    thresholds: Thresholds
    placement: Placement
    classes: tuple[str, ...]
    candidates: Candidates
    selection: Selection
    places: Int[Array, "k"]
    proposals: Decision | None = None
    reselect: Callable[[Candidates, Thresholds], Selection] = select

    def again(self, thresholds: Thresholds) -> Decision:
        """What would be decided with other thresholds; the network is not asked again."""
        if thresholds == self.thresholds:
            return self
        same = thresholds.score_threshold == self.thresholds.score_threshold
        candidates = (
            self.candidates if same else self.coder.decode(self.raw, thresholds.score_threshold)
        )
        selection = self.reselect(candidates, thresholds)
        return replace(
            self,
            thresholds=thresholds,
            candidates=candidates,
            selection=selection,
            places=np.flatnonzero(has_inside(self.in_image(selection.boxes))),  # what is shown
        )

    @cached_property
    def everything(self) -> Decision:
        """The decision without a score threshold: its candidates are all there are."""
        return self.again(replace(self.thresholds, score_threshold=0.0))

    def in_image(self, boxes: Float[Array, "n 4"]) -> Float[Array, "n 4"]:
        """Boxes of the canvas as they are shown: in image pixels, clipped to it."""
        return self.placement.to_image(boxes, clip=True)

    @cached_property
    def shown(self) -> Float[Array, "k 4"]:
        """The boxes that selection kept, best first, in image pixels."""
        return self.in_image(self.selection.boxes)

    def drawn(self, which: Int[Array, "c"]) -> Float[Array, "c 4"]:
        """The boxes of these candidates in image pixels."""
        return self.in_image(self.candidates.boxes[which])

    def keys(self) -> Int[Array, "n"]:
        """A number for each candidate that it keeps whatever the thresholds: its row and class."""
        return self.candidates.row * len(self.classes) + self.candidates.labels

    def said(self, which: Int[Array, "c"]) -> tuple[Said, ...]:
        """These candidates, in plain words."""
        found = self.candidates.take(which)
        return tuple(
            Said(self.classes[label], score, as_box(box), self.coder.where(self.raw, row))
            for label, score, box, row in zip(
                found.labels.tolist(),
                found.scores.tolist(),
                self.in_image(found.boxes),
                found.row.tolist(),
                strict=True,
            )
        )


def as_box(box: Float[Array, "4"]) -> Box:
    """Four plain numbers."""
    x0, y0, x1, y1 = np.asarray(box, np.float64).tolist()
    return x0, y0, x1, y1
