"""Checks of the pictures: turned, blank, unlabelled, the same as others."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from boxray.data.report import SKIPPED, Cause
from boxray.inspection.checks.reading import noted
from boxray.inspection.examination import Examination, Finding

UNTOLD = (2, 3, 4)  # EXIF orientations that leave height and width as they are


def exif_rotation(examination: Examination) -> Iterator[Finding]:
    """Pictures stored turned, whose boxes were drawn without turning them, or may have been."""
    yield from noted(Cause.TURNED)(examination)
    for path, sample in examination.samples.items():
        if sample.orientation in UNTOLD and len(sample.truths):
            reason = (
                f"stored turned (EXIF orientation {sample.orientation}): its size does not tell "
                "whether its boxes were drawn on it as stored or as displayed, which is assumed"
            )
            yield Finding(path, reason, pictures=(path,))


def blank_image(examination: Examination) -> Iterator[Finding]:
    """Pictures of one single colour."""
    for path, look in examination.looks.items():
        if look.blank:
            yield Finding(path, "every pixel has the same colour", pictures=(path,))


def missing_labels(examination: Examination) -> Iterator[Finding]:
    """Pictures that nobody annotated, and pictures whose boxes were all skipped."""
    skipped = {
        note.picture or Path(note.path)
        for note in examination.dataset.report.notes
        if note.severity == SKIPPED and note.line
    }
    for path, sample in examination.samples.items():
        if not sample.labelled:
            reason = "nobody annotated it: it is left out, not taken for a picture without objects"
            yield Finding(path, reason, pictures=(path,))
        elif not len(sample.truths) and skipped & {path, Path(sample.truths.source)}:
            reason = "all its boxes were skipped: it would be taken for a picture without objects"
            yield Finding(Path(sample.truths.source), reason, pictures=(path,))


def duplicate_image(examination: Examination) -> Iterator[Finding]:
    """Pictures whose files are equal, byte for byte."""
    for first, *others in examination.same_bytes:
        for path in others:
            yield Finding(path, f"the same file as {first}", pictures=(path, first))
