"""The doctor: every check by its id and severity, and what they say about a data set.

A finding of an error means that something is lost or wrong as it stands; of a warning, that it
probably is; of a hint, that it is worth a look.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from boxray.data import Manner
from boxray.data.formats import recognise
from boxray.data.report import Cause
from boxray.errors import SettingError
from boxray.inspection.checks import boxes, classes, pictures, reading, splits, strays
from boxray.inspection.checks.reading import noted
from boxray.inspection.examination import Examination, Finding

ERROR, WARNING, HINT = "error", "warning", "hint"
AS_IT_IS = Manner()
DEFAULT_CANVAS = 352  # pixels; the side of the shipped detector's


class Check(NamedTuple):
    """One check. what: for people, what it finds."""

    severity: str
    what: str
    run: Callable[[Examination], Iterable[Finding]]


CHECKS = {
    Cause.BAD_PICTURE: Check(
        ERROR, "pictures whose header or pixels cannot be read", reading.unreadable_image
    ),
    Cause.NO_PICTURE: Check(ERROR, "annotations without a picture", noted(Cause.NO_PICTURE)),
    Cause.BAD_FILE: Check(ERROR, "annotations that cannot be read", noted(Cause.BAD_FILE)),
    Cause.UNSAFE_PATH: Check(ERROR, "paths that leave the data set", noted(Cause.UNSAFE_PATH)),
    Cause.OTHER_SIZE: Check(
        ERROR, "annotations drawn on a picture of another size", noted(Cause.OTHER_SIZE)
    ),
    Cause.BAD_ROW: Check(ERROR, "objects that cannot be read", noted(Cause.BAD_ROW)),
    Cause.UNKNOWN_CLASS: Check(
        ERROR, "objects of a class that is not in the list", noted(Cause.UNKNOWN_CLASS)
    ),
    Cause.OTHER_LAYOUT: Check(
        ERROR,
        "coordinates that look normalised, like pixels, or like other corners",
        boxes.other_layout,
    ),
    Cause.SWAPPED: Check(ERROR, "boxes with swapped coordinates", noted(Cause.SWAPPED)),
    Cause.EMPTY: Check(ERROR, "boxes without an area", noted(Cause.EMPTY)),
    Cause.OUTSIDE: Check(ERROR, "boxes outside their picture", noted(Cause.OUTSIDE)),
    Cause.CLIPPED: Check(
        WARNING, "boxes that reach over an edge by more than a pixel", reading.clipped_box
    ),
    "off-by-one": Check(WARNING, "boxes that reach over an edge by one pixel", reading.off_by_one),
    Cause.REPEATED: Check(WARNING, "objects that are there twice", noted(Cause.REPEATED)),
    "near-duplicate-box": Check(
        WARNING, "two boxes of a class, IoU 0.95 or more", boxes.near_duplicate_box
    ),
    Cause.TURNED: Check(
        WARNING, "pictures stored turned, against their boxes", pictures.exif_rotation
    ),
    "blank-image": Check(WARNING, "pictures of one colour", pictures.blank_image),
    "missing-labels": Check(
        WARNING, "pictures that are unlabelled, not negative", pictures.missing_labels
    ),
    "duplicate-image": Check(WARNING, "pictures that are the same file", pictures.duplicate_image),
    "leaking-split": Check(ERROR, "one picture in two splits", splits.leaking_split),
    "near-duplicate-image": Check(
        WARNING, "pictures in two splits that show the same", splits.near_duplicate_image
    ),
    "class-missing-in-split": Check(
        WARNING, "classes that a split has no box of", splits.class_missing_in_split
    ),
    Cause.CLASS_SPELLING: Check(
        WARNING, "class names that are nearly the same", classes.class_spelling
    ),
    "class-imbalance": Check(
        HINT, "classes with 100 times fewer boxes than another", classes.class_imbalance
    ),
    "class-without-boxes": Check(HINT, "classes without a box", classes.class_without_boxes),
    "tiny-object": Check(
        HINT, "objects below 4 pixels on the detector's canvas", boxes.tiny_object
    ),
    "stray-file": Check(HINT, "files that nothing refers to", strays.stray_file),
}


@dataclass(frozen=True)
class Diagnosis:
    """What the checks found. found: id of each check that ran → its findings, in file order."""

    examination: Examination
    found: dict[str, tuple[Finding, ...]]

    def count(self, severity: str) -> int:
        """How many findings of this severity there are."""
        ids = (key for key in self.found if CHECKS[key].severity == severity)
        return sum(len(self.found[key]) for key in ids)


def chosen(
    only: Sequence[str] = (), skip: Sequence[str] = (), known: Sequence[str] = tuple(CHECKS)
) -> tuple[str, ...]:
    """The ids of the checks to run, of those known. Raises SettingError for an id that is none."""
    for name in (*only, *skip):
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingError(f"no check {name!r}.{hint} The checks: {', '.join(known)}.")
    return tuple(name for name in known if (not only or name in only) and name not in skip)


def diagnose(
    folder: Path,
    checks: Sequence[str] = tuple(CHECKS),
    *,
    canvas: int = DEFAULT_CANVAS,
    manner: Manner = AS_IT_IS,
    on_image: Callable[[int, int], None] | None = None,
) -> Diagnosis:
    """Read a data set and run these checks over it; its files are only read.

    canvas: side in pixels of the canvas that objects are too small for. on_image: told after each
    picture how many of how many are decoded, if a check asks for pixels at all.
    Raises FormatError where the folder is no data set.
    """
    own = recognise(folder, manner.format).splits
    dataset = manner.read(folder)
    parts = {name: manner.read(folder, name) for name in own}
    examination = Examination(dataset, parts, canvas, on_image)
    found = {}
    for name in checks:
        findings = CHECKS[name].run(examination)
        found[name] = tuple(sorted(findings, key=lambda one: (str(one.path), one.line)))
    return Diagnosis(examination, found)
