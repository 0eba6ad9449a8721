"""`boxray data priors`: the sizes that boxes of a detector may start from, by k-means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from boxray.coders.anchors import Distance, Priors, kmeans
from boxray.data import Manner
from boxray.data.census import Statistics
from boxray.data.table_scan import OnRows
from boxray.inspection import plots
from boxray.verbs.data.measuring import measure
from boxray.verbs.data.places import DEFAULT_OUTPUT
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.data.priors/1"
PICTURE = "priors.png"
DEFAULT_COUNT, DEFAULT_SIDE = 5, 416  # of YOLOv2
ELBOW = 12  # priors up to which the average IoU is shown
DISTANCES: tuple[Distance, ...] = ("iou", "euclidean")


@dataclass(frozen=True)
class Clustering:
    """What is looked for: how many priors, by which distance, on a canvas of which side."""

    count: int = DEFAULT_COUNT
    distance: Distance = "iou"
    side: int = DEFAULT_SIDE
    seed: int = 0


@dataclass(frozen=True)
class PriorsReport:
    """What was found. curves: distance → average IoU of 1, 2, … priors. side: of the canvas."""

    statistics: Statistics
    priors: Priors
    curves: dict[str, list[float]]
    side: int
    picture: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.statistics.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.priors/1`, ready for json.dumps; sizes in canvas pixels."""
        return {
            "schema": SCHEMA,
            "name": self.statistics.name,
            "boxes": int(self.statistics.boxes.sum()),
            "size": self.side,
            "aspect_kept": self.statistics.aspect_kept,
            "distance": self.priors.distance,
            "priors_wh": self.priors.sizes_wh.round(3).tolist(),
            "average_iou": round(self.priors.average_iou, 5),
            "elbow": {name: np.round(curve, 5).tolist() for name, curve in self.curves.items()},
            "picture": None if self.picture is None else str(self.picture),
        }


def priors(
    source: Path,
    wanted: Clustering,
    *,
    split: str | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: Manner = PLAIN,
    on_rows: OnRows | None = None,
) -> PriorsReport:
    """Find priors from all boxes of annotated data, in pixels of a square canvas.

    Where pictures are known they keep their aspect on the canvas; a table alone knows shares
    only, and its pictures are taken as square. Raises FormatError where there is no data, split
    or box.
    """
    if output is not None:
        roots = (source,) if source.is_dir() else ()
        prepare_output(output, roots, default=DEFAULT_OUTPUT, overwrite=overwrite)
    counted = measure(source, split, None, manner=manner, on_rows=on_rows)
    sizes, weights, seed = counted.sizes_wh * wanted.side, counted.weights, wanted.seed
    found = kmeans(sizes, wanted.count, distance=wanted.distance, weights=weights, seed=seed)
    curves: dict[str, list[float]] = {
        by: [
            kmeans(sizes, k, distance=by, weights=weights, seed=seed, restarts=2).average_iou
            for k in range(1, ELBOW + 1)
        ]
        for by in DISTANCES
    }
    picture = None
    if output is not None:
        picture = output / PICTURE
        plots.save_priors(found, curves, wanted.side, picture)
    return PriorsReport(counted, found, curves, wanted.side, picture)
