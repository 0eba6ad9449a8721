"""What every format's reader makes of its files, before class names become labels.

A reader yields one `Annotated` per image; whether boxes are finite, have an area and lie in the
picture is settled here, once for all formats.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import area, clip, has_inside, upright
from boxray.data.hierarchy import Hierarchy
from boxray.data.partition import Divider
from boxray.data.report import REPAIRED, SKIPPED, WARNING, Cause, Fault, Ledger
from boxray.images import header

CLIP_TOLERANCE = 1e-3  # pixels; less is rounding in the file, not a repair worth a note

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Found(NamedTuple):
    """One annotated object as its file states it.

    box: edges in pixels of the declared frame. area: square pixels, None where the file has none.
    line: position in the file, from 1. flags: those of `records.FLAGS` that are set. repairs: what
    the reader had to mend already.
    """

    name: str
    box: tuple[float, float, float, float]
    line: int
    area: float | None = None
    flags: frozenset[str] = frozenset()
    repairs: tuple[str, ...] = ()


class Frame(NamedTuple):
    """The picture that boxes are measured in.

    size_hw: as displayed. stored: the boxes were drawn on the picture as stored, before its EXIF
    orientation, and have to be turned with it.
    """

    size_hw: tuple[int, int]
    orientation: int
    stored: bool = False


@dataclass(frozen=True)
class Objects:
    """The settled objects of one image: a name and a row of each array for every one.

    flags: those of `records.FLAGS` that some object has.
    """

    names: tuple[str, ...]
    boxes: Float[np.ndarray, "n 4"]
    area: Float[np.ndarray, "n"]
    lines: Int[np.ndarray, "n"]
    flags: dict[str, Bool[np.ndarray, "n"]]

    @classmethod
    def of(cls, rows: Sequence[Found], boxes: Float[np.ndarray, "n 4"]) -> Objects:
        """What the rows say, with these boxes."""
        own = area(boxes)
        if any(row.area is not None for row in rows):
            pairs = zip(rows, own.tolist(), strict=True)
            own = np.array([own if row.area is None else row.area for row, own in pairs])
        used = frozenset().union(*(row.flags for row in rows))
        flags = {flag: np.array([flag in row.flags for row in rows]) for flag in used}
        lines = np.array([row.line for row in rows], np.int64)
        return cls(tuple(row.name for row in rows), boxes, own, lines, flags)


NOTHING = Objects((), np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64), {})


@dataclass(frozen=True)
class Annotated:
    """One image with its settled objects.

    present, absent: names of classes that a person looked for in it and found, or did not.
    """

    path: Path
    frame: Frame
    found: Objects
    source: Path
    labelled: bool = True
    present: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reading:
    """All images of a split, and the class names of the whole data set in their order.

    hierarchy: which class is a kind of which, where the data set says so.
    """

    classes: tuple[str, ...]
    images: tuple[Annotated, ...]
    hierarchy: Hierarchy | None = None


def plain_number(text: str) -> float:
    """The number that plain ASCII digits with a decimal point write, or NaN.

    Python's float would also take `nan`, `1_0` and the digits of every script.
    """
    whole = text.isascii() and text.isdigit()  # the most frequent case, and the fastest
    return float(text) if whole or _NUMBER.fullmatch(text) else math.nan


@dataclass(frozen=True)
class Conventions:
    """What the files of a format may mean and cannot say themselves.

    zero_based: VOC files that count pixels from 0. segments: polygons in YOLO files are meant, and
    the box around each is taken. merge_names: categories of a COCO file with one name are one.
    least_confidence: boxes of Open Images that a machine is less sure of are left out; people's
    have 1. split_seed: of the division into train and val, where no file divides the data.
    """

    zero_based: bool = False
    segments: bool = False
    merge_names: bool = False
    least_confidence: float = 0.0
    split_seed: int = 0


PLAIN = Conventions()


@runtime_checkable
class Layout(Protocol):
    """Where a data set of one format keeps its parts; a format's `recognise` finds it."""

    @property
    def root(self) -> Path:
        """The folder of the data set."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Plain names of the splits it has, none where it is one whole; `trainval` is no split."""

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all splits, each box and image in the ledger.

        divider: what a split is made with, where the data set has none.
        """


def frame_of(path: Path, declared_hw: tuple[int, int] | None) -> Frame:
    """The frame of the picture at `path`, from its header alone.

    declared_hw: the size its annotation states. Raises FormatError where that is neither the
    displayed nor the stored size, OSError or ImageError where there is no readable picture.
    """
    size_hw, orientation = header(path)
    if declared_hw is None or declared_hw == size_hw:
        return Frame(size_hw, orientation)
    if orientation >= 5 and declared_hw == size_hw[::-1]:
        return Frame(size_hw, orientation, stored=True)
    raise Fault(
        f"the annotation says {declared_hw[1]}x{declared_hw[0]} (width x height), "
        f"the picture is {size_hw[1]}x{size_hw[0]}",
        Cause.OTHER_SIZE,
    )


def settle(
    found: Sequence[Found],
    frame: Frame,
    source: Path,
    ledger: Ledger,
    *,
    picture: Path | None = None,
) -> Objects:
    """The objects that have a box in the picture, clipped to it and turned upright.

    A box that is not finite, has no area or lies outside is skipped; one that reaches over an
    edge is clipped. Both are written into the ledger, with the picture.
    """
    if not found:
        return NOTHING
    height, width = frame.size_hw[::-1] if frame.stored else frame.size_hw
    stored_hw = float(height), float(width)
    boxes = np.array([row.box for row in found], np.float64)
    if not frame.stored and _all_inside(boxes, stored_hw) and not any(r.repairs for r in found):
        return Objects.of(found, boxes)
    clipped = clip(np.nan_to_num(boxes, posinf=0.0, neginf=0.0), stored_hw)
    good = has_inside(boxes) & (area(clipped) > 0)
    good &= np.isfinite(boxes).all(1)
    moved = (np.abs(clipped - boxes) > CLIP_TOLERANCE).any(1)
    if frame.stored:
        reason = f"drawn before EXIF orientation {frame.orientation} was applied: turned with it"
        ledger.remark(WARNING, source, reason, found[0].line, cause=Cause.TURNED)
        clipped = upright(clipped, frame.orientation, stored_hw)
    for i, row in enumerate(found):
        place = None if frame.stored else row.box
        if not good[i]:
            cause, reason = _why_not(row.box)
            ledger.box(SKIPPED, source, row.line, reason, cause=cause, picture=picture, box=place)
            continue
        over = f"the box {row.box} reaches over the edge: clipped to it"
        clipping = (over,) if moved[i] else ()
        if row.repairs or clipping:
            cause, reason = Cause.CLIPPED if clipping else "", "; ".join(row.repairs + clipping)
            ledger.box(REPAIRED, source, row.line, reason, cause=cause, picture=picture, box=place)
    return Objects.of(
        [row for row, is_good in zip(found, good, strict=True) if is_good], clipped[good]
    )


def _all_inside(boxes: Float[np.ndarray, "n 4"], size_hw: tuple[float, float]) -> bool:
    """Whether every box has an area and lies in the picture; False where one is not finite."""
    x0, y0, x1, y1 = boxes.T
    inside = boxes.min() >= 0 and x1.max() <= size_hw[1] and y1.max() <= size_hw[0]
    return bool(inside and (x0 < x1).all() and (y0 < y1).all())


def without_repeats(found: Sequence[Found], source: Path, ledger: Ledger) -> list[Found]:
    """Each (name, box) once, with the first one's flags."""
    first: dict[tuple[object, ...], Found] = {}
    for row in found:
        same = first.setdefault((row.name, row.box), row)
        if same is not row:
            ledger.boxes[SKIPPED] += 1
            reason = f"the same as object {same.line}: one kept"
            ledger.remark(REPAIRED, source, reason, row.line, cause=Cause.REPEATED)
    return list(first.values())


def _why_not(box: tuple[float, float, float, float]) -> tuple[str, str]:
    """Why this is no box in the picture: the cause, and the reason in words."""
    x0, y0, x1, y1 = box
    if not all(map(math.isfinite, box)):
        return Cause.BAD_ROW, f"the box {box} is not finite"
    if x1 <= x0 or y1 <= y0:
        cause = Cause.SWAPPED if x1 < x0 or y1 < y0 else Cause.EMPTY
        return cause, f"the box {box} has no area: it needs x0 < x1 and y0 < y1"
    return Cause.OUTSIDE, f"the box {box} lies outside the picture"
