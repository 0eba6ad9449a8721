"""Training's side of a picture: which rows answer for which truth, and what each term came to.

Read from the lessons that the loss itself sums (losses/lesson.py), of raw output that some network
said; nothing is assigned or computed a second time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from boxray.augmentation import Picture
from boxray.boxes import Array, iou
from boxray.losses.lesson import NO_TRUTH, Lesson
from boxray.protocols import Raw, TrainedCoder

Box = tuple[float, float, float, float]
TAUGHT, IGNORED, LOST = "taught", "ignored", "lost"


@dataclass(frozen=True)
class Answering:
    """A row that answers for a truth: where it stands, what it says now, and what that cost it."""

    where: dict[str, Any]
    start: Box
    box: Box
    terms: dict[str, float]


@dataclass(frozen=True)
class TaughtTruth:
    """One annotated object and what training made of it.

    fate: taught; ignored, as it is difficult or too much of it was cut off; or lost, cut off
    wholly. box: in pixels of what the network sees, None if lost. terms: of all rows together.
    left_alone: rows near it that are not told anything.
    """

    label: str
    fate: str
    box: Box | None
    answering: tuple[Answering, ...]
    terms: dict[str, float]
    left_alone: int


@dataclass(frozen=True)
class Taught:
    """What one picture teaches. background: of each term what rows without a truth cost."""

    size_hw: tuple[int, int]
    truths: tuple[TaughtTruth, ...]
    background: dict[str, float]
    terms: dict[str, float]
    rows: int
    left_alone: int


def taught(
    lesson: Lesson, coder: TrainedCoder, raw: Raw, seen: Picture, names: Sequence[str]
) -> Taught:
    """The explanation of one image.

    raw: what the network said of it, in numpy. seen: the picture as the network sees it; its labels
    number the objects whose classes `names` tells, and those it has no more were lost.
    """
    shown = np.flatnonzero(~seen.ignored)
    alone = _left_alone(lesson, coder, raw, seen)
    truths = []
    for number, name in enumerate(names):
        (place,) = np.nonzero(seen.labels == number)
        if not len(place):
            truths.append(TaughtTruth(name, LOST, None, (), {}, 0))
            continue
        box = _box(seen.boxes[place[0]])
        (which,) = np.nonzero(shown == place[0])
        if not len(which):
            truths.append(TaughtTruth(name, IGNORED, box, (), {}, alone[int(place[0])]))
            continue
        rows, terms = _answering(lesson, int(which[0]), coder, raw)
        truths.append(TaughtTruth(name, TAUGHT, box, rows, terms, alone[int(place[0])]))
    whole = {name: float(told.values.sum()) for name, told in lesson.terms.items()}
    size_hw = (seen.image.shape[0], seen.image.shape[1])
    count, ignored = len(lesson.ignored), int(lesson.ignored.sum())
    background = _terms_of(lesson, NO_TRUTH)
    return Taught(size_hw, tuple(truths), background, whole, count, ignored)


def _terms_of(lesson: Lesson, truth: int) -> dict[str, float]:
    """Of each term the part for the sake of this truth."""
    return {
        name: float(told.values[told.truths == truth].sum()) for name, told in lesson.terms.items()
    }


def _answering(
    lesson: Lesson, truth: int, coder: TrainedCoder, raw: Raw
) -> tuple[tuple[Answering, ...], dict[str, float]]:
    by_row: dict[int, dict[str, float]] = {}
    for name, told in lesson.terms.items():
        mine = told.truths == truth
        for row, value in zip(told.rows[mine].tolist(), told.values[mine].tolist(), strict=True):
            terms = by_row.setdefault(row, {})
            terms[name] = terms.get(name, 0.0) + value
    rows = []
    for row, terms in by_row.items():
        trace = coder.trace(raw, row)
        rows.append(Answering(dict(trace.where), trace.start, trace.box, terms))
    return tuple(rows), _terms_of(lesson, truth)


def _left_alone(lesson: Lesson, coder: TrainedCoder, raw: Raw, seen: Picture) -> Counter[int]:
    """How many of the ignored rows are near each object: the one that their box overlaps most."""
    (rows,) = np.nonzero(lesson.ignored.numpy())
    if not len(rows) or not len(seen.boxes):
        return Counter()
    boxes = np.array([coder.trace(raw, int(row)).box for row in rows])
    return Counter(_nearest(boxes, seen.boxes).tolist())


def _nearest(boxes: Float[Array, "n 4"], others: Float[Array, "m 4"]) -> Int[Array, "n"]:
    return iou(boxes, others).argmax(1)


def _box(edges: Float[Array, "4"]) -> Box:
    x0, y0, x1, y1 = edges.tolist()
    return x0, y0, x1, y1
