"""`boxray data show`: what a folder of annotated pictures holds, and one of them drawn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxray import data, draw
from boxray.data.classes import read_class_file
from boxray.inspection import pictures
from boxray.records import Sample
from boxray.verbs.data.places import DEFAULT_OUTPUT, drawn_name
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.data.show/1"


@dataclass(frozen=True)
class ShowReport:
    """What was read, and the one image that is shown in full.

    per_class: class name → number of boxes, in the order of the classes, 0 included. picture:
    where the drawn image was written, None if it was not.
    """

    dataset: data.Dataset
    per_class: dict[str, int]
    sample: Sample
    picture: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.dataset.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.show/1`, ready for json.dumps; edges in pixels."""
        truths = self.sample.truths
        return {
            "schema": SCHEMA,
            "images": len(self.dataset),
            "boxes": sum(self.per_class.values()),
            "per_class": {name: count for name, count in self.per_class.items() if count},
            "classes_without_boxes": sum(not count for count in self.per_class.values()),
            "image": {
                "path": str(self.sample.path),
                "size_hw": list(self.sample.size_hw),
                "labelled": self.sample.labelled,
                "truths": [
                    {
                        "box": [round(edge, 2) for edge in truths.boxes[i].tolist()],
                        "label": self.dataset.classes[label],
                        "flags": pictures.flags_of(truths, i),
                        "line": int(truths.lines[i]),
                    }
                    for i, label in enumerate(truths.labels.tolist())
                ],
            },
            "picture": None if self.picture is None else str(self.picture),
        }


def show(
    folder: Path,
    *,
    split: str | None = None,
    classes: Path | None = None,
    image: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> ShowReport:
    """Read annotated data, count its boxes per class, and draw one image with its boxes.

    classes: a class file, for these classes only. image: the path, file name or stem of the image
    to show; the first one with a box if not given. output: the folder for its picture.
    manner: how the data is read.
    Raises FormatError where the folder is no data set, or has no such split or image.
    """
    dataset = manner.read(folder, split, read_class_file(classes) if classes else None)
    sample = pictures.find(dataset, image)
    picture = None
    if output is not None:
        prepare_output(output, dataset.roots, default=DEFAULT_OUTPUT, overwrite=overwrite)
        picture = output / drawn_name(sample.path, "boxes")
        draw.save(pictures.annotated(sample, dataset.classes), picture)
    return ShowReport(dataset, count_per_class(dataset), sample, picture)


def count_per_class(dataset: data.Dataset) -> dict[str, int]:
    """Class name → number of boxes, in the order of the classes, 0 included."""
    counts = np.zeros(len(dataset.classes), np.int64)
    for sample in dataset.samples:
        np.add.at(counts, sample.truths.labels, 1)
    return dict(zip(dataset.classes, counts.tolist(), strict=True))
