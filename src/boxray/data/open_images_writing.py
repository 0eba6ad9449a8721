"""Open Images' tables, written as the published ones are, with names where they have numbers.

An image is called by its file name unless all of them are called by 16 hexadecimal digits, and a
class by its own name: the list of classes says so.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from boxray.data.box_table import CORNERS, FLAG_COLUMNS, HEXADECIMAL_ID
from boxray.data.label_tables import CLASS_HEADERS
from boxray.data.parts import CLASS_LIST, UNLABELLED, VERIFIED, WHOLE, Part, written_number
from boxray.records import Sample

PICTURES = "images/{split}"
SAYS = frozenset({*FLAG_COLUMNS.values(), CLASS_LIST, UNLABELLED, VERIFIED})
CLASSES = "class-descriptions-boxable.csv"
BOXES = "annotations-bbox.csv"
LABELS = "annotations-human-imagelabels-boxable.csv"
_LONG_NAMES = {"val": "validation-", WHOLE: ""}
_LABEL_HEADER = ("ImageID", "Source", "LabelName", "Confidence")


def write(parts: Sequence[Part], classes: tuple[str, ...], folder: Path) -> None:
    """A table of boxes and one of verified labels per part, and the list of classes.

    Of a picture that was annotated and has no object, every class is verified as absent: it is
    what being annotated means, and what tells it from a picture that nobody looked at.
    """
    names = (name for part in parts for name in part.names)
    by_id = all(HEXADECIMAL_ID.fullmatch(PurePath(name).stem) for name in names)
    _write(folder / CLASSES, CLASS_HEADERS[0], ((name, name) for name in classes))
    for part in parts:
        images = [PurePath(name).stem if by_id else name for name in part.names]
        prefix = _LONG_NAMES.get(part.split, f"{part.split}-")
        head = ("ImageID", "Source", "LabelName", "Confidence", *CORNERS, *FLAG_COLUMNS)
        pairs = list(zip(images, part.samples, strict=True))
        rows = (row for image, sample in pairs for row in _boxes(image, sample, classes))
        _write(folder / f"{prefix}{BOXES}", head, rows)
        rows = (row for image, sample in pairs for row in _labels(image, sample, classes))
        _write(folder / f"{prefix}{LABELS}", _LABEL_HEADER, rows)


def _boxes(image: str, sample: Sample, classes: tuple[str, ...]) -> Iterator[list[str]]:
    truths, (height, width) = sample.truths, sample.size_hw
    shares = truths.boxes / np.array([width, height] * 2)
    flags = np.stack([getattr(truths, flag) for flag in FLAG_COLUMNS.values()], -1).astype(int)
    for i, label in enumerate(truths.labels.tolist()):
        x0, y0, x1, y1 = map(written_number, shares[i].tolist())
        yield [image, "", classes[label], "1", x0, x1, y0, y1, *map(str, flags[i].tolist())]


def _labels(image: str, sample: Sample, classes: tuple[str, ...]) -> Iterator[list[str]]:
    present, absent = sample.verified_present, sample.verified_absent
    if sample.labelled and not len(sample.truths) and not present | absent:
        absent = frozenset(range(len(classes)))
    for labels, confidence in ((present, "1"), (absent, "0")):
        for label in sorted(labels):
            yield [image, "verification", classes[label], confidence]


def _write(path: Path, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(head)
        table.writerows(rows)
