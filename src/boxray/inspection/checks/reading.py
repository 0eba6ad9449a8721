"""Checks that ask how the reading went: what was repaired, skipped or refused, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from boxray.data.report import Cause, Note
from boxray.inspection.examination import Examination, Finding

OFF_BY_ONE = 1.0 + 1e-6  # pixels


def noted(cause: str) -> Callable[[Examination], Iterator[Finding]]:
    """The check that finds what the readers noted under this cause."""

    def check(examination: Examination) -> Iterator[Finding]:
        for note in examination.dataset.report.notes:
            if note.cause == cause:
                yield _finding(note, examination)

    return check


def unreadable_image(examination: Examination) -> Iterator[Finding]:
    """Pictures whose header or pixels cannot be read."""
    yield from noted(Cause.BAD_PICTURE)(examination)
    for path, look in examination.looks.items():
        if look.error:
            yield Finding(path, look.error)


def clipped_box(examination: Examination) -> Iterator[Finding]:
    """Boxes that reach over an edge by more than a pixel."""
    for note in _clipped(examination):
        if _overshoot(note, examination) > OFF_BY_ONE:
            yield _finding(note, examination)


def off_by_one(examination: Examination) -> Iterator[Finding]:
    """Boxes that reach over an edge by at most a pixel: files that count from 0, or from 1."""
    for note in _clipped(examination):
        if _overshoot(note, examination) <= OFF_BY_ONE:
            yield _finding(note, examination, " (by one pixel: do the files count from 0 or 1?)")


def _clipped(examination: Examination) -> Iterator[Note]:
    return (note for note in examination.dataset.report.notes if note.cause == Cause.CLIPPED)


def _overshoot(note: Note, examination: Examination) -> float:
    """By how many pixels the box reaches over the farthest edge; infinite where unknown."""
    sample = examination.samples.get(note.picture) if note.picture else None
    if sample is None or note.box is None:
        return float("inf")
    (height, width), (x0, y0, x1, y1) = sample.size_hw, note.box
    return max(-x0, -y0, x1 - width, y1 - height)


def _finding(note: Note, examination: Examination, more: str = "") -> Finding:
    picture = note.picture
    if picture is None:  # one file per picture: the file tells which
        by_source = examination.pictures_of_sources
        picture = by_source.get(str(note.path))
    pictures = () if picture is None else (picture,)
    return Finding(note.path, note.reason + more, note.line, pictures, note.box, note.count)
