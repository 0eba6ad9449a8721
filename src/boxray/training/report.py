"""The run's report: one HTML file with curves, the first pictures, and what the model still misses.

All that is judged is judged with the model as it was exported, at the thresholds of `detect`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from boxray import bundle, images
from boxray.data import Dataset
from boxray.detectors import OneStage, TwoStage
from boxray.errors import ImageError
from boxray.evaluation import labels_in_dataset, relabelled
from boxray.explain import gallery
from boxray.explain.decision import Decision
from boxray.explain.waterfall import Waterfall, waterfall
from boxray.files import write_atomically
from boxray.images import Pixels
from boxray.inspection.browse import spread
from boxray.inspection.pictures import address
from boxray.ledger import REPORT
from boxray.metrics.confusion import confusion
from boxray.page import blocks, data_uri
from boxray.records import Detections, Sample
from boxray.training.forecast import JUDGED
from boxray.training.loop import Training, loader_of
from boxray.training.run_folder import CURVES

CLASSES_IN_TABLE = 30


def write_report(training: Training) -> None:
    """Write report.html into the run folder, from what is there."""
    run, prepared = training.folder.path, training.prepared
    values = prepared.resolved.values
    detector = bundle.load(run, threads=values["threads"])
    judged = [s for s in spread(prepared.val.samples, JUDGED) if _is_readable(s)]
    noted = _Noted(detector)
    sections: list[tuple[str, Sequence[blocks.Block]]] = [
        ("Result", [_result(training), _picture(run / CURVES, "Losses and AP50 against images")]),
        ("AP50 by class, validation by validation", [_classes(training.rows)]),
        *_judged(noted, judged, prepared.val),
        ("What the network saw first", [_first(training)]),
        ("Settings", [_settings(training)]),
    ]
    page = blocks.document(f"Training {run.resolve().name}", sections)
    write_atomically(run / REPORT, page.encode())


@dataclass
class _Noted:
    """A detector whose findings are kept, so that each picture is looked at once."""

    detector: OneStage | TwoStage
    found: list[Detections] = field(default_factory=list)

    @property
    def classes(self) -> tuple[str, ...]:
        return self.detector.classes

    def detect_array(self, image: Pixels) -> Detections:
        self.found.append(self.detector.detect_array(image))
        return self.found[-1]

    def decision(self, found: Detections, size_hw: tuple[int, int]) -> Decision:
        return self.detector.decision(found, size_hw)


def _judged(
    noted: _Noted, judged: Sequence[Sample], val: Dataset
) -> Iterator[tuple[str, Sequence[blocks.Block]]]:
    """What the model makes of the validation pictures."""
    fallen = waterfall(noted, judged, val.classes)
    yield "What became of the objects", _waterfall(fallen, len(judged), len(val))
    yield "What was taken for what", _confusion(noted, judged, val.classes)
    lost_most = gallery.worst(noted.detector, fallen, judged, val.classes)
    yield "Where most was lost", lost_most


def _is_readable(sample: Sample) -> bool:
    """Whether there is a picture; a training names those that cannot be read as it meets them."""
    try:
        images.load(sample.path)
    except ImageError:
        return False
    return True


def _result(training: Training) -> blocks.Words:
    rows, clock = training.rows, training.clock
    seen = clock.step * training.prepared.resolved.values["batch"]
    best = "not measured" if training.best is None else f"{training.best:.3f}"
    return blocks.Words(
        (
            f"Best AP50 on the validation part: {best}; it is these weights that the model has.",
            f"{clock.step} steps, {seen} images shown, {clock.elapsed_s:.0f} s: "
            f"{seen / max(clock.elapsed_s, 1e-9):.1f} images per second, validations included "
            f"({len(rows)} of them).",
        )
    )


def _classes(rows: Sequence[dict[str, Any]]) -> blocks.Table:
    names = list(rows[-1]["per_class"])[:CLASSES_IN_TABLE] if rows else []
    return blocks.Table(
        ("images seen", "all", *names),
        tuple(
            (
                str(row["images"]),
                _score(row["AP50"]),
                *(_score(row["per_class"].get(name)) for name in names),
            )
            for row in rows
        ),
    )


def _score(value: float | None) -> str:
    return "none" if value is None else f"{value:.3f}"


def _waterfall(fallen: Waterfall, judged: int, total: int) -> list[blocks.Block]:
    of = "" if judged == total else f" evenly chosen from {total}"
    words = (
        f"{fallen.truths} objects on {judged} validation pictures{of}: found, or lost at the first "
        "stage where no candidate was left. All are counted by: boxray evaluate --waterfall",
    )
    return [blocks.Words(words), gallery.counts(fallen)]


def _confusion(
    noted: _Noted, judged: Sequence[Sample], classes: tuple[str, ...]
) -> list[blocks.Block]:
    truths = [sample.truths for sample in judged]
    labels = labels_in_dataset(noted.classes, classes)
    found = [relabelled(one, labels) for one in noted.found]
    counts = confusion(truths, found, len(classes))
    share = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    rows = tuple(
        (name, *map(str, row))
        for name, row in zip((*classes, "nothing there"), counts.tolist(), strict=True)
    )
    shade = tuple((0.0, *row) for row in share.tolist())
    words = "Rows: what is there. Columns: what the detection that claims it says, IoU 0.5."
    return [
        blocks.Words((words,)),
        blocks.Table(("", *classes, "not found"), rows, shade=shade),
    ]


def _first(training: Training) -> blocks.Gallery:
    """The first batch, after augmentation, with the truths that were taught."""
    classes = training.prepared.train.classes
    pixels, truths, _ = next(loader_of(training, first=True))
    shots = []
    for number, (canvas, (boxes, labels, _)) in enumerate(zip(pixels, truths, strict=True)):
        image = np.ascontiguousarray(canvas.permute(1, 2, 0).numpy())
        outlines = tuple(gallery.outline(boxes, labels, i, classes) for i in range(len(labels)))
        title = f"canvas {number + 1}, {image.shape[1]} x {image.shape[0]} pixels"
        shots.append(blocks.Shot(title, address(image, gallery.SIDE), image.shape[:2], outlines))
    return blocks.Gallery(tuple(shots))


def _settings(training: Training) -> blocks.Table:
    resolved = training.prepared.resolved
    return blocks.Table(
        ("setting", "value", "origin"),
        tuple(
            (name, str(value), resolved.origins[name]) for name, value in resolved.values.items()
        ),
    )


def _picture(path: Path, words: str) -> blocks.Block:
    if not path.exists():
        return blocks.Words(("No validation yet, so no curves.",))
    return blocks.Picture(data_uri(path.read_bytes(), "png"), words)
