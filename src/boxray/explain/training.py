"""Training's side of a picture: which rows answer for which truth, and what each term came to.

Read from the lessons that the losses themselves sum (losses/lesson.py), of raw output that some
network said; nothing is assigned or computed a second time.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.assignment import BACKGROUND, BETWEEN, SPARED
from boxray.augmentation import Picture
from boxray.boxes import Array, iou
from boxray.explain.decision import Box, as_box
from boxray.losses.lesson import Lesson

Terms = dict[str, float]
TAUGHT, IGNORED, LOST = "taught", "ignored", "lost"
ANSWERS = "answers"
ROLES = {BACKGROUND: "background", BETWEEN: "between", SPARED: "spared"}
MOST_COSTLY = 10  # rows of the background, of those that are too many to name


@dataclass(frozen=True)
class Place:
    """Where a row stands, the box it starts from, and the one it says; None if it was not asked."""

    where: dict[str, Any]
    start: Box
    box: Box | None


@dataclass(frozen=True)
class Stage:
    """One stage's lesson of a picture, and how its rows are looked at.

    look: at a row, as one that answers for the object of a number, or for none. every: its rows
    are few, so that each of the background is told, too.
    """

    name: str
    lesson: Lesson
    look: Callable[[int, int | None], Place]
    every: bool = False


@dataclass(frozen=True)
class Known:
    """An annotated object: its class, and in which of the pictures that are shown it is."""

    label: str
    picture: int


@dataclass(frozen=True)
class TaughtRow:
    """A row of a stage: what it was to say, what it says now, and what that cost it.

    role: it answers for an object, is background, lies between the two or is spared, as it is near
    an ignored object; of the last two nothing is told. truth: the number of the object it answers
    for or is nearest to, None if it touches none; overlap: the IoU by which this was decided. With
    it was compared where the row starts (anchors, proposals) or what it says (cells of a grid).
    drawn: into the sample that is asked, where there is one.
    """

    stage: str
    where: dict[str, Any]
    start: Box
    box: Box | None
    role: str
    truth: int | None
    overlap: float
    drawn: bool
    terms: Terms


@dataclass(frozen=True)
class TaughtTruth:
    """One annotated object and what training made of it.

    picture: of a mosaic or a mixup, in which of its pictures it is; 0 for the one asked about.
    fate: taught; ignored, as it is difficult or too much of it was cut off; or lost, cut off
    wholly. box: in pixels of what the network sees, None if lost. terms: of all rows together.
    left_alone: by stage, how many rows near it are not told anything, between or spared.
    """

    label: str
    picture: int
    fate: str
    box: Box | None
    answering: tuple[TaughtRow, ...]
    terms: Terms
    left_alone: dict[str, int]


@dataclass(frozen=True)
class TaughtStage:
    """How many rows of a stage have which role, and how many of them were not drawn.

    others: rows that answer for no object, dearest first: of a second stage all, else the dearest.
    """

    name: str
    rows: int
    answers: int
    background: int
    between: int
    spared: int
    undrawn: int
    others: tuple[TaughtRow, ...]


@dataclass(frozen=True)
class Taught:
    """What one picture teaches. background: of each term what rows without a truth cost."""

    size_hw: tuple[int, int]
    truths: tuple[TaughtTruth, ...]
    background: Terms
    terms: Terms
    stages: tuple[TaughtStage, ...]


def taught(stages: Sequence[Stage], seen: Picture, objects: Sequence[Known]) -> Taught:
    """The explanation of one image.

    seen: the picture as the network sees it; its labels number the `objects`, and those it has
    no more were lost.
    """
    readings = [_Reading(stage, seen) for stage in stages]
    truths = []
    for number, one in enumerate(objects):
        (place,) = np.nonzero(seen.labels == number)
        if not len(place):
            truths.append(TaughtTruth(one.label, one.picture, LOST, None, (), {}, {}))
            continue
        at = int(place[0])
        alone = {by.stage.name: count for by in readings if (count := by.left_alone[at])}
        rows = tuple(row for by in readings for row in by.answering(at))
        fate = IGNORED if seen.ignored[at] else TAUGHT
        terms = {} if seen.ignored[at] else _summed(by.terms_of(at) for by in readings)
        truths.append(
            TaughtTruth(one.label, one.picture, fate, as_box(seen.boxes[at]), rows, terms, alone)
        )
    return Taught(
        size_hw=(seen.image.shape[0], seen.image.shape[1]),
        truths=tuple(truths),
        background=_summed(one.terms_of(None) for one in readings),
        terms=_summed(one.whole() for one in readings),
        stages=tuple(one.told() for one in readings),
    )


def _summed(parts: Iterable[Terms]) -> Terms:
    """Of all stages together; no two call a term the same."""
    return {name: value for part in parts for name, value in part.items()}


class _Reading:
    """A stage's lesson in numpy, with places in `seen` where it has its own numbers of truths."""

    stage: Stage
    left_alone: Counter[int]

    def __init__(self, stage: Stage, seen: Picture) -> None:
        self.stage = stage
        self._seen = seen
        self._places = np.flatnonzero(~seen.ignored)
        lesson = stage.lesson
        self._answers: Int[Array, "rows"] = lesson.answers.cpu().numpy()
        self._undrawn: Bool[Array, "rows"] = lesson.undrawn.cpu().numpy()
        self._overlap, self._nearest = _overlaps(lesson.boxes.cpu().numpy(), seen.boxes)
        self.left_alone = Counter(self._nearest[self._answers < BACKGROUND].tolist())
        self._terms: dict[int, Terms] = defaultdict(dict)
        for name, told in lesson.terms.items():
            for row, value in zip(told.rows.tolist(), told.values.tolist(), strict=True):
                self._terms[row][name] = self._terms[row].get(name, 0.0) + value

    def answering(self, place: int) -> list[TaughtRow]:
        """The rows that answer for the object at this place of the picture's."""
        if self._seen.ignored[place]:
            return []
        mine = self._answers == np.searchsorted(self._places, place)
        return [self._row(row) for row in np.flatnonzero(mine).tolist()]

    def whole(self) -> Terms:
        """Each term of the picture."""
        return {name: float(told.values.sum()) for name, told in self.stage.lesson.terms.items()}

    def terms_of(self, place: int | None) -> Terms:
        """Of each term the part for the sake of the object at this place; None: of no object."""
        truth = BACKGROUND if place is None else int(np.searchsorted(self._places, place))
        return {
            name: float(told.values[told.truths == truth].sum())
            for name, told in self.stage.lesson.terms.items()
        }

    def told(self) -> TaughtStage:
        """The counts, and rows that answer for nothing."""
        answers = self._answers
        return TaughtStage(
            name=self.stage.name,
            rows=len(answers),
            answers=int((answers >= 0).sum()),
            background=int((answers == BACKGROUND).sum()),
            between=int((answers == BETWEEN).sum()),
            spared=int((answers == SPARED).sum()),
            undrawn=int(self._undrawn.sum()),
            others=tuple(self._row(row) for row in self._others()),
        )

    def _others(self) -> list[int]:
        rows: list[int] = np.flatnonzero(self._answers < 0).tolist()
        rows.sort(key=lambda row: -sum(self._terms.get(row, {}).values()))
        return rows if self.stage.every else rows[:MOST_COSTLY]

    def _row(self, row: int) -> TaughtRow:
        answer = int(self._answers[row])
        at = int(self._places[answer]) if answer >= 0 else int(self._nearest[row])
        overlap = float(self._overlap[row, at])
        truth = int(self._seen.labels[at]) if overlap > 0 or answer >= 0 else None
        place = self.stage.look(row, truth if answer >= 0 else None)
        return TaughtRow(
            stage=self.stage.name,
            where=place.where,
            start=place.start,
            box=place.box,
            role=ROLES.get(answer, ANSWERS),
            truth=truth,
            overlap=overlap,
            drawn=not self._undrawn[row],
            terms=dict(self._terms.get(row, {})),
        )


def _overlaps(
    boxes: Float[Array, "n 4"], others: Float[Array, "m 4"]
) -> tuple[Float[Array, "n k"], Int[Array, "n"]]:
    """IoUs with the objects, and which is nearest; with none there is one that touches nothing."""
    if not len(others):
        return np.zeros((len(boxes), 1)), np.zeros(len(boxes), np.int64)
    overlap = iou(boxes, others)
    return overlap, overlap.argmax(1)
