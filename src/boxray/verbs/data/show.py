"""`boxray data show`: what a folder of annotated pictures holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxray import data
from boxray.data.classes import read_class_file
from boxray.verbs.reading import notes_of

SCHEMA = "boxray.data.show/1"


@dataclass(frozen=True)
class ShowReport:
    """What was read. per_class: class name → number of boxes, in the order of the classes."""

    dataset: data.Dataset
    per_class: dict[str, int]

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.dataset.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.show/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "images": len(self.dataset),
            "boxes": sum(self.per_class.values()),
            "per_class": self.per_class,
        }


def show(folder: Path, *, split: str | None = None, classes: Path | None = None) -> ShowReport:
    """Read annotated data and count its boxes per class; nothing is written.

    classes: a class file, for counting these classes only. Raises FormatError where the folder is
    no data set or has no such split.
    """
    dataset = data.read(folder, split, classes=read_class_file(classes) if classes else None)
    return ShowReport(dataset, count_per_class(dataset))


def count_per_class(dataset: data.Dataset) -> dict[str, int]:
    """Class name → number of boxes, in the order of the classes, 0 included."""
    counts = np.zeros(len(dataset.classes), np.int64)
    for sample in dataset.samples:
        np.add.at(counts, sample.truths.labels, 1)
    return dict(zip(dataset.classes, counts.tolist(), strict=True))
