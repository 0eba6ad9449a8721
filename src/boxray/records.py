"""The records that the parts of boxray hand to each other. All frozen; arrays are not changed.

Boxes are always `x0, y0, x1, y1` edges in pixels (see boxes.py).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array, has_inside
from boxray.errors import BoxError

FLAGS = ("difficult", "crowd", "group_of", "occluded", "truncated", "depiction", "inside")


@functools.cache
def _never(count: int) -> Bool[Array, "n"]:
    """A flag that no object has: one array for all that need it, which nobody may write to."""
    flag = np.zeros(count, bool)
    flag.flags.writeable = False
    return flag


@dataclass(frozen=True)
class Truths:
    """The annotated objects of one image, one row each.

    area: the object's area in square pixels as its file states it (COCO: of the segment),
    otherwise of the box. The seven flags are those of VOC, COCO and Open Images.
    lines: where each row was read (line, or position in its file), 0 where unknown.
    """

    boxes: Float[Array, "n 4"]
    labels: Int[Array, "n"]
    area: Float[Array, "n"]
    difficult: Bool[Array, "n"]
    crowd: Bool[Array, "n"]
    group_of: Bool[Array, "n"]
    occluded: Bool[Array, "n"]
    truncated: Bool[Array, "n"]
    depiction: Bool[Array, "n"]
    inside: Bool[Array, "n"]
    lines: Int[Array, "n"]
    source: str = ""

    @classmethod
    def of(
        cls,
        boxes: Float[Array, "n 4"],
        labels: Int[Array, "n"],
        *,
        area: Float[Array, "n"] | None = None,
        flags: dict[str, Bool[Array, "n"]] | None = None,
        lines: Int[Array, "n"] | None = None,
        source: str = "",
    ) -> Truths:
        """Truths from what is known; a flag not given is False everywhere.

        Raises BoxError for a box that is not finite or has no area: readers decide what happens
        to such boxes before they make a record.
        """
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        count = len(boxes)
        _refuse_empty_boxes(boxes, source)
        none = _never(count)
        known = dict.fromkeys(FLAGS, none)
        known.update({name: np.asarray(values, bool) for name, values in (flags or {}).items()})
        wh = boxes[:, 2:] - boxes[:, :2]
        return cls(
            boxes=boxes,
            labels=np.asarray(labels, np.int64).reshape(-1),
            area=wh[:, 0] * wh[:, 1] if area is None else np.asarray(area, np.float64),
            lines=np.zeros(count, np.int64) if lines is None else np.asarray(lines, np.int64),
            source=source,
            difficult=known["difficult"],
            crowd=known["crowd"],
            group_of=known["group_of"],
            occluded=known["occluded"],
            truncated=known["truncated"],
            depiction=known["depiction"],
            inside=known["inside"],
        )

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def taught(self) -> Bool[Array, "n"]:
        """Which rows a detector is to learn; the others count neither way."""
        return ~(self.difficult | self.crowd | self.group_of)

    def take(self, rows: Int[Array, "k"] | Bool[Array, "n"]) -> Truths:
        """These rows, in this order."""
        arrays = {f.name: getattr(self, f.name)[rows] for f in fields(self) if f.name != "source"}
        return replace(self, **arrays)


def _refuse_empty_boxes(boxes: Float[Array, "n 4"], source: str) -> None:
    good = np.isfinite(boxes).all(1) & has_inside(boxes)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BoxError(
            f"truth {row} of {source or 'this image'} has no area: "
            f"{tuple(boxes[row].tolist())}. A box needs x0 < x1 and y0 < y1."
        )


NO_TRUTHS = Truths.of(np.zeros((0, 4)), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Sample:
    """One image of a data set with what is known about it; the pixels are read when needed.

    size_hw: height and width in pixels as displayed (EXIF orientation applied), the frame of the
    truths' boxes. orientation: the EXIF value 1 to 8. verified_present and verified_absent:
    classes that a person looked for (Open Images). labelled: False for an image that nobody
    annotated, which is not the same as an image without objects.
    """

    path: Path
    size_hw: tuple[int, int]
    truths: Truths
    orientation: int = 1
    verified_present: frozenset[int] = frozenset()
    verified_absent: frozenset[int] = frozenset()
    labelled: bool = True


@dataclass(frozen=True)
class Candidates:
    """Everything one image's raw output could mean: one row per (box, class).

    row: which row of the raw output a candidate comes from (the coder's `trace` explains it);
    group: what a limit per group counts by (pyramid level, or class).
    """

    boxes: Float[Array, "n 4"]
    labels: Int[Array, "n"]
    scores: Float[Array, "n"]
    row: Int[Array, "n"]
    group: Int[Array, "n"]

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, rows: Int[Array, "k"] | Bool[Array, "n"]) -> Candidates:
        """These rows, in this order."""
        return Candidates(
            self.boxes[rows], self.labels[rows], self.scores[rows], self.row[rows], self.group[rows]
        )


@dataclass(frozen=True)
class Step:
    """One line of a decoding, written out with its numbers: `name` = `formula` = `value`."""

    name: str
    formula: str
    value: float


@dataclass(frozen=True)
class Trace:
    """Where one row of the raw output stands and what it said: one form for every coder.

    where: level, stride, cell and prior, or window, or proposal, in words that JSON can say.
    start: the box it is measured from (prior at its cell, anchor, window, proposal) and box: what
    it means, both in canvas pixels. raw: its numbers by name; class_logits: the rest of them.
    steps: the way from raw to box. objectness: None where the coder has none; a score is then
    a class score alone, else their product.
    """

    where: Mapping[str, Any]
    start: tuple[float, float, float, float]
    box: tuple[float, float, float, float]
    raw: Mapping[str, float]
    class_logits: tuple[float, ...]
    steps: tuple[Step, ...]
    objectness: float | None
    class_scores: tuple[float, ...]


@dataclass(frozen=True)
class Level:
    """One level of cells on the canvas, to be looked at; sizes in canvas pixels.

    cell_hw: of a cell. priors: (width, height) of each; prior_at: where in its cell a prior is
    centred, 0.5 in the middle, 0 at the top left corner. sureness: for each cell the highest that
    one of its priors says, 0 to 1, and says: what that is.
    """

    name: str
    cell_hw: tuple[int, int]
    priors: tuple[tuple[float, float], ...]
    prior_at: float
    says: str
    sureness: Float[Array, "rows columns"]


class Fate:
    """What became of a candidate, in the order in which selection decides."""

    KEPT = 0
    BELOW_SCORE = 1
    OVER_LIMIT = 2
    SUPPRESSED = 3
    OVER_MAX = 4


@dataclass(frozen=True)
class Outcome:
    """What suppression makes of n candidates that come best first; places count among these n.

    survivors: best first. beaten_by: who suppressed a candidate, took most of its score, or took
    it into its own box; -1 if nobody did. scores and boxes: what they are afterwards, lowered
    or averaged. members: for each survivor the places its box is made of, None if only its own.
    """

    survivors: Int[Array, "k"]
    beaten_by: Int[Array, "n"]
    scores: Float[Array, "n"]
    boxes: Float[Array, "n 4"]
    members: tuple[tuple[int, ...], ...] | None = None


@dataclass(frozen=True)
class Selection:
    """Which candidates were kept, best first, and the record of how; read only when asked for.

    boxes and scores: of those kept, as suppression left them. scored: the scores of all
    candidates. above: those that reach the score threshold. entered: those of them that the
    limits let into suppression, best first, and outcome, what became of these.
    """

    kept: Int[Array, "k"]
    boxes: Float[Array, "k 4"]
    scores: Float[Array, "k"]
    scored: Float[Array, "n"]
    above: Int[Array, "a"]
    entered: Int[Array, "e"]
    outcome: Outcome

    @cached_property
    def fate(self) -> Int[Array, "n"]:
        """What became of each candidate: one of `Fate`."""
        fate = np.full(len(self.scored), Fate.BELOW_SCORE, np.int64)
        fate[self.above] = Fate.OVER_LIMIT
        fate[self.entered] = Fate.SUPPRESSED
        fate[self.entered[self.outcome.survivors]] = Fate.OVER_MAX
        fate[self.kept] = Fate.KEPT
        return fate

    @cached_property
    def beaten_by(self) -> Int[Array, "n"]:
        """Who suppressed a candidate, took most of its score, or took it in; -1 if nobody did."""
        beaten_by = np.full(len(self.scored), -1, np.int64)
        # one more, at the end, for -1 to find
        beaten_by[self.entered] = np.append(self.entered, -1)[self.outcome.beaten_by]
        return beaten_by

    @cached_property
    def origins(self) -> tuple[tuple[int, ...], ...]:
        """For each kept box the candidates it was made of, the best of them first."""
        members = self.outcome.members
        if members is None:
            return tuple(zip(self.kept.tolist(), strict=True))
        made = {int(self.entered[one[0]]): self.entered[list(one)].tolist() for one in members}
        return tuple(tuple(made[first]) for first in self.kept.tolist())

    @cached_property
    def score_lost(self) -> Float[Array, "n"]:
        """What lowering or averaging took from each score; below 0 where an average gave."""
        lost = np.zeros_like(self.scored)
        lost[self.entered] = self.scored[self.entered] - self.outcome.scores
        return lost


@dataclass(frozen=True)
class Detections:
    """What a detector says about one image, best first.

    candidates and selection: the record of the decision, in canvas pixels; places: which of the
    boxes that selection kept each detection is. raw: what the network had said. proposals: of two
    stages, the same of the first, whose detections are what the second looked at.
    """

    boxes: Float[Array, "k 4"]
    labels: Int[Array, "k"]
    scores: Float[Array, "k"]
    places: Int[Array, "k"] | None = None
    candidates: Candidates | None = field(default=None, repr=False)
    selection: Selection | None = field(default=None, repr=False)
    raw: tuple[Array, ...] = field(default=(), repr=False)
    proposals: Detections | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.boxes)

    @property
    def origins(self) -> tuple[tuple[int, ...], ...]:
        """For each detection the candidates it was made from: one, or several if fused."""
        if self.selection is None or self.places is None:
            return ()
        return tuple(self.selection.origins[place] for place in self.places.tolist())
