"""The accounting of a reading: what was kept, repaired, skipped and refused, and why.

Nothing is dropped in silence. Of the images, `read == kept + skipped + refused`; of the boxes,
`read == kept + skipped + unmatched`. A repaired image or box is counted once more as repaired.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from boxray.errors import FormatError, ImageError

MOST_NAMES = 12  # beyond these, a person reads none
REPAIRED, SKIPPED, REFUSED, WARNING = "repaired", "skipped", "refused", "warning"


class Cause:
    """What kind of fault a note is about, for programs; the reason says it in words."""

    OTHER = ""
    NO_PICTURE = "missing-image"
    BAD_PICTURE = "unreadable-image"
    BAD_FILE = "unreadable-annotation"
    UNSAFE_PATH = "unsafe-path"
    OTHER_SIZE = "size-mismatch"
    BAD_ROW = "unreadable-box"
    UNKNOWN_CLASS = "unknown-class"
    CLASS_SPELLING = "class-spelling"
    SWAPPED = "swapped-box"
    EMPTY = "empty-box"
    OUTSIDE = "outside-box"
    CLIPPED = "clipped-box"
    REPEATED = "duplicate-box"
    TURNED = "exif-rotation"
    OTHER_LAYOUT = "other-layout"


class Fault(FormatError):
    """A FormatError that tells which `Cause` it is of."""

    def __init__(self, message: str, cause: str) -> None:
        super().__init__(message)
        self.cause = cause


def cause_of(error: Exception, otherwise: str) -> str:
    """The cause of an error that a reader met: its own, the picture's, or this one."""
    if isinstance(error, Fault):
        return error.cause
    return Cause.BAD_PICTURE if isinstance(error, ImageError | OSError) else otherwise


@dataclass(frozen=True)
class Note:
    """One thing that a reader did or noticed.

    line: the line, or the position (from 1) of the object in its file; 0 where it is about the
    whole file. severity: repaired, skipped, refused or warning. count: how often the same
    happened in this file; `line`, `picture` and `box` are then the first one's. cause: one of
    `Cause`. picture, box: the image it is about, and the edges as the file states them, where
    there are such.
    """

    path: Path
    line: int
    severity: str
    reason: str
    count: int = 1
    cause: str = Cause.OTHER
    picture: Path | None = None
    box: tuple[float, float, float, float] | None = None

    def __str__(self) -> str:
        word = "line" if self.path.suffix in {".txt", ".csv"} else "object"
        place = f"{self.path}, {word} {self.line}" if self.line else f"{self.path}"
        times = f" ({self.count} times)" if self.count > 1 else ""
        return f"{place}: {self.severity}: {self.reason}{times}"


@dataclass(frozen=True)
class Tally:
    """How many images, or boxes, met which fate."""

    read: int = 0
    kept: int = 0
    repaired: int = 0
    skipped: int = 0
    refused: int = 0
    unmatched: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            self.read + other.read,
            self.kept + other.kept,
            self.repaired + other.repaired,
            self.skipped + other.skipped,
            self.refused + other.refused,
            self.unmatched + other.unmatched,
        )

    @property
    def adds_up(self) -> bool:
        """Whether everything that was read is accounted for."""
        return self.read == self.kept + self.skipped + self.refused + self.unmatched


@dataclass(frozen=True)
class Report:
    """What happened while a data set was read.

    refused images are those whose path tried to leave the data set. unmatched_classes: how many
    boxes were left out per name, because the name is not in the class file. matched_classes: a
    name in the data that is not the class's own → the class, and what says that it is meant.
    """

    images: Tally = field(default_factory=Tally)
    boxes: Tally = field(default_factory=Tally)
    notes: tuple[Note, ...] = ()
    unmatched_classes: dict[str, int] = field(default_factory=dict)
    matched_classes: dict[str, tuple[str, str]] = field(default_factory=dict)

    def class_lines(self) -> list[str]:
        """Which names were taken for which classes, and which for none, for people."""
        lines = []
        if self.matched_classes:
            pairs = (f"{name} as {to} ({how})" for name, (to, how) in self.matched_classes.items())
            lines.append(f"classes matched: {', '.join(pairs)}")
        if self.unmatched_classes:
            most_first = sorted(self.unmatched_classes.items(), key=lambda entry: -entry[1])
            names = ", ".join(f"{name} ({count})" for name, count in most_first[:MOST_NAMES])
            more = len(most_first) - MOST_NAMES
            lines.append(f"not matched: {names}" + (f" and {more} more" if more > 0 else ""))
        return lines

    def summary(self) -> str:
        """One line for people."""
        parts = [f"{self.images.kept} images, {self.boxes.kept} boxes"]
        for tally, noun in ((self.images, "images"), (self.boxes, "boxes")):
            for fate in (REPAIRED, SKIPPED, REFUSED):
                count = getattr(tally, fate)
                parts += [f"{count} {noun} {fate}"] if count else []
        if self.boxes.unmatched:
            parts.append(f"{self.boxes.unmatched} boxes of other classes left out")
        return "; ".join(parts)

    def first_loss(self) -> str:
        """What was lost first, as the end of a message that there is nothing; else a warning."""
        notes = {note.severity: str(note).removesuffix(".") for note in reversed(self.notes)}
        lost = notes.get(SKIPPED) or notes.get(REFUSED)
        if lost is not None:
            return f" Lost first: {lost}."
        return f" {notes[WARNING]}." if WARNING in notes else ""


def total(reports: Sequence[Report]) -> Report:
    """One report for several readings."""
    unmatched: Counter[str] = Counter()
    for report in reports:
        unmatched.update(report.unmatched_classes)
    matched: dict[str, tuple[str, str]] = {}
    for report in reports:
        matched.update(report.matched_classes)
    return Report(
        sum((report.images for report in reports), Tally()),
        sum((report.boxes for report in reports), Tally()),
        tuple(note for report in reports for note in report.notes),
        dict(unmatched),
        matched,
    )


class Ledger:
    """Where the readers write down what they do; `close` turns it into a Report."""

    def __init__(self) -> None:
        self.images: Counter[str] = Counter()
        self.boxes: Counter[str] = Counter()
        self.unmatched: Counter[str] = Counter()
        self.matched: dict[str, tuple[str, str]] = {}
        self._notes: dict[tuple[Path, str, str, str], Note] = {}

    def image(
        self,
        fate: str,
        path: Path,
        reason: str,
        *,
        cause: str = Cause.OTHER,
        picture: Path | None = None,
    ) -> None:
        """Count one image as repaired, skipped or refused."""
        self.images[fate] += 1
        self._write(Note(path, 0, fate, reason, cause=cause, picture=picture))

    def box(
        self,
        fate: str,
        path: Path,
        line: int,
        reason: str,
        *,
        cause: str = Cause.OTHER,
        picture: Path | None = None,
        box: tuple[float, float, float, float] | None = None,
    ) -> None:
        """Count one box as repaired or skipped."""
        self.boxes[fate] += 1
        self._write(Note(path, line, fate, reason, cause=cause, picture=picture, box=box))

    def remark(
        self,
        severity: str,
        path: Path,
        reason: str,
        line: int = 0,
        *,
        cause: str = Cause.OTHER,
        count: int = 1,
    ) -> None:
        """Note what concerns no image and no box in particular, or some already counted."""
        self._write(Note(path, line, severity, reason, count, cause=cause))

    def close(self, images_kept: int, boxes_kept: int) -> Report:
        """The account, given what came out at the far end."""
        return Report(
            _tally(self.images, images_kept, 0),
            _tally(self.boxes, boxes_kept, self.unmatched.total()),
            tuple(self._notes.values()),
            dict(self.unmatched),
            self.matched,
        )

    def _write(self, note: Note) -> None:
        key = (note.path, note.severity, note.cause, note.reason)
        first = self._notes.get(key)
        self._notes[key] = note if first is None else replace(first, count=first.count + note.count)


def _tally(counts: Counter[str], kept: int, unmatched: int) -> Tally:
    return Tally(
        counts["read"], kept, counts[REPAIRED], counts[SKIPPED], counts[REFUSED], unmatched
    )
