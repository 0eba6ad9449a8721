"""`boxray data proposals`: how many annotated objects the first n proposals reach."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias

from boxray import data, images
from boxray.engines.proposals import EdgeBoxes, Proposer, SelectiveSearch
from boxray.errors import FormatError, SettingError
from boxray.inspection import plots
from boxray.metrics.proposal_recall import IOU_THRESHOLDS, Reach, reach
from boxray.verbs.data.places import DEFAULT_OUTPUT
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import prepare_output

SCHEMA = "boxray.data.proposals/1"
PICTURE = "proposals.png"
DEFAULT_SIDE = 500  # of the Selective Search paper's pictures
Way: TypeAlias = Literal["selective-search", "selective-search-quality", "edge-boxes"]


@dataclass(frozen=True)
class Proposing:
    """How boxes are proposed. side: to how many pixels a picture's longer side is brought.

    edge_model: a file of OpenCV's structured edges, for edge-boxes.
    """

    way: Way = "selective-search"
    side: int = DEFAULT_SIDE
    edge_model: Path | None = None

    def proposer(self) -> Proposer:
        """Whoever proposes so. Raises SettingError for an edge model where edges do not count."""
        if self.way == "edge-boxes":
            return EdgeBoxes(self.edge_model, self.side)
        if self.edge_model is not None:
            raise SettingError("--edge-model is for --way edge-boxes, which alone looks at edges.")
        return SelectiveSearch("quality" if self.way.endswith("quality") else "fast", self.side)


@dataclass(frozen=True)
class ProposalsReport:
    """What was reached. seconds: per picture, mean of what proposing took."""

    dataset: data.Dataset
    wanted: Proposing
    reached: Reach
    seconds: float
    picture: Path | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.dataset.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.proposals/1`, ready for json.dumps."""
        reached = self.reached
        return {
            "schema": SCHEMA,
            "name": self.dataset.name,
            "split": self.dataset.split,
            "way": self.wanted.way,
            "side": self.wanted.side,
            "images": len(reached.proposals),
            "objects": len(reached.labels),
            "proposals_per_image": round(float(reached.proposals.mean()), 1),
            "seconds_per_image": round(self.seconds, 3),
            "counts": list(reached.counts),
            "recall": {f"{iou:.2f}": _rounded(reached.recall(iou)) for iou in IOU_THRESHOLDS},
            "mean_of_classes": {
                f"{iou:.2f}": _rounded(reached.mean_of_classes(iou)) for iou in IOU_THRESHOLDS
            },
            "average_recall": _rounded(reached.average_recall()),
            "picture": None if self.picture is None else str(self.picture),
        }


def proposals(
    folder: Path,
    wanted: Proposing,
    *,
    split: str | None = None,
    limit: int | None = None,
    output: Path | None = None,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
    on_image: Callable[[int, int], None] | None = None,
) -> ProposalsReport:
    """Propose boxes on the pictures of a data set and see which of its objects they reach.

    limit: the first so many pictures.
    Raises FormatError where there is no data set or no object, MissingExtra without OpenCV.
    """
    proposer = wanted.proposer()
    dataset = manner.read(folder, split)
    samples = [s for s in dataset.samples if s.labelled][:limit]
    if not any(len(sample.truths) for sample in samples):
        raise FormatError(f"{folder}: none of {len(samples)} pictures has an object to be reached.")
    if output is not None:
        prepare_output(output, dataset.roots, default=DEFAULT_OUTPUT, overwrite=overwrite)
    found, seconds = [], 0.0
    for done, sample in enumerate(samples, 1):
        image = images.load(sample.path)
        start = time.perf_counter()
        found.append(proposer(image))
        seconds += time.perf_counter() - start
        if on_image is not None:
            on_image(done, len(samples))
    reached = reach([sample.truths for sample in samples], found)
    picture = None
    if output is not None:
        picture = output / PICTURE
        plots.save_reach(reached, wanted.way.replace("-", " "), picture)
    return ProposalsReport(dataset, wanted, reached, seconds / len(samples), picture)


def _rounded(shares: Any) -> list[float]:
    return [round(float(share), 5) for share in shares]
