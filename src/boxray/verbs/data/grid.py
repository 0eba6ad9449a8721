"""`boxray data grid`: which cell answers for which object of a picture, and with which prior."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray import data, draw
from boxray.inspection import grid as cells
from boxray.inspection import pictures
from boxray.inspection.grid import Responsibility
from boxray.records import Sample
from boxray.verbs.data.places import DEFAULT_OUTPUT, drawn_name
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.data.grid/1"
DEFAULT_CELLS, DEFAULT_PRIORS = 13, 5  # those of YOLOv2 on a canvas of 416 pixels


@dataclass(frozen=True)
class GridReport:
    """Who answers for the objects of one image. picture: where it was drawn, None if it was not."""

    dataset: data.Dataset
    sample: Sample
    cells: int
    who: Responsibility
    picture: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.dataset.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.grid/1`, ready for json.dumps; rows and columns from 0."""
        who = self.who
        return {
            "schema": SCHEMA,
            "path": str(self.sample.path),
            "cells": self.cells,
            "priors_wh": who.priors_wh.round(2).tolist(),
            "objects": [
                {
                    "label": self.dataset.classes[label],
                    "row": int(who.cells[i, 0]),
                    "column": int(who.cells[i, 1]),
                    "place": who.places[i].round(4).tolist(),
                    "prior": int(who.priors[i]),
                    "iou": round(float(who.overlap[i]), 4),
                }
                for i, label in enumerate(self.sample.truths.labels.tolist())
            ],
            "shared": who.shared,
            "picture": None if self.picture is None else str(self.picture),
        }


def grid(
    folder: Path,
    *,
    split: str | None = None,
    image: str | None = None,
    cell_count: int = DEFAULT_CELLS,
    prior_count: int = DEFAULT_PRIORS,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> GridReport:
    """Cut an image into cell_count x cell_count cells and say which answers for which object.

    prior_count: how many priors k-means finds from all boxes of the data.
    Raises FormatError where the folder is no data set, or has no such split or image, or no box.
    """
    dataset = manner.read(folder, split)
    sample = pictures.find(dataset, image)
    height, width = sample.size_hw
    priors_wh = cells.unit_priors(dataset, prior_count).sizes_wh * [width, height]
    who = cells.responsible(sample.truths.boxes, sample.size_hw, cell_count, priors_wh)
    picture = None
    if output is not None:
        prepare_output(output, dataset.roots, default=DEFAULT_OUTPUT, overwrite=overwrite)
        picture = output / drawn_name(sample.path, "grid")
        draw.save(cells.picture(sample, dataset.classes, cell_count, who), picture)
    return GridReport(dataset, sample, cell_count, who, picture)
