"""Checks of the boxes that were kept."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from boxray.boxes import centre_size, iou
from boxray.data.report import Cause, Note
from boxray.images import place
from boxray.inspection.checks.reading import noted
from boxray.inspection.examination import Examination, Finding, at

LEAST_SIDE = 32  # pixels, of a picture in which a box of one pixel is no truth
SAME_BOX = 0.95  # IoU from which two boxes of a class are one object drawn twice
SWAPPED_SHARE = 0.2  # of the boxes: fewer are slips of single hands
TINY_SIDE = 4.0  # canvas pixels; half a cell of the finest level


def other_layout(examination: Examination) -> Iterator[Finding]:
    """Boxes that look like shares where pixels are meant, or the reverse, or like other corners."""
    yield from noted(Cause.OTHER_LAYOUT)(examination)
    yield from _sizes_for_corners(examination)
    for sample, row in examination.rows():
        if sample.truths.boxes[row].max() <= 1 and min(sample.size_hw) >= LEAST_SIDE:
            yield at(sample, row, "it ends within the first pixel: shares of the picture?")


def _sizes_for_corners(examination: Examination) -> Iterator[Finding]:
    """Corners that lie the wrong way round, and fit their pictures as widths and heights."""
    report = examination.dataset.report
    swapped = [note for note in report.notes if note.cause == Cause.SWAPPED]
    fitting = [note for note in swapped if _fits_as_size(note, examination)]
    if len(fitting) > SWAPPED_SHARE * report.boxes.read and len(fitting) > len(swapped) / 2:
        reason = (
            f"{len(swapped)} of {report.boxes.read} boxes end before they begin, and fit as x, y, "
            "width, height: are sizes written where corners are meant?"
        )
        yield Finding(fitting[0].path, reason, fitting[0].line, count=len(swapped))


def _fits_as_size(note: Note, examination: Examination) -> bool:
    sample = examination.samples.get(note.picture) if note.picture else None
    if sample is None or note.box is None:
        return False
    (height, width), (x0, y0, wide, high) = sample.size_hw, note.box
    return wide > 0 and high > 0 and x0 + wide <= width + 1 and y0 + high <= height + 1


def near_duplicate_box(examination: Examination) -> Iterator[Finding]:
    """Two boxes of one class that are nearly the same."""
    for sample in examination.samples.values():
        truths = sample.truths
        same = np.triu(iou(truths.boxes, truths.boxes) >= SAME_BOX, 1)
        same &= truths.labels[:, None] == truths.labels[None]
        for first, second in np.argwhere(same).tolist():
            name = examination.dataset.classes[int(truths.labels[first])]
            reason = f"nearly the box of the {name} at {truths.lines[first]}: one object twice?"
            yield at(sample, second, reason)


def tiny_object(examination: Examination) -> Iterator[Finding]:
    """Objects that nearly vanish on the canvas; one finding per picture, with the smallest."""
    side = examination.canvas
    for sample in examination.samples.values():
        if not len(sample.truths):
            continue
        on_canvas = place(sample.size_hw, (side, side)).to_canvas(sample.truths.boxes)
        shorter = centre_size(on_canvas)[:, 2:].min(1)
        count = int((shorter < TINY_SIDE).sum())
        if count:
            row = int(shorter.argmin())
            reason = (
                f"{shorter[row]:.1f} pixels on a canvas of {side}: too small to be found. "
                "A larger --size, or tiles, would show it"
            )
            yield at(sample, row, reason, count)
