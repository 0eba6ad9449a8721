"""What the verbs found, as tables for a terminal. Nothing here prints or decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from boxray.verbs.detect import DetectReport
from boxray.verbs.models import Listing
from boxray.verbs.terminal import shown

MOST_ROWS = 40  # beyond these a table of single detections says less than a sum


def found(report: DetectReport) -> list[RenderableType]:
    """One row per detection, or per class where there are too many, and where the pictures are."""
    rows = sum(max(1, len(image["detections"])) for image in report.images)
    parts: list[RenderableType] = [
        _every_detection(report) if rows <= MOST_ROWS else _every_class(report)
    ]
    if report.output is not None:
        parts.append(f"Pictures and detections.json are in {shown(str(report.output))}")
    return parts


def _every_detection(report: DetectReport) -> Table:
    rows = table("picture", "found", "score", "box: x0, y0, x1, y1")
    for image in report.images:
        name = shown(PurePath(image["path"]).name)
        if image["error"] is not None:
            rows.add_row(name, Text("not read", "red"), "", "")
        elif not image["detections"]:
            rows.add_row(name, Text("nothing", "dim"), "", "")
        for one in image["detections"]:
            edges = ", ".join(f"{edge:.0f}" for edge in one["box"])
            rows.add_row(name, shown(one["label"]), f"{one['score']:.2f}", edges)
    return rows


def _every_class(report: DetectReport) -> Table:
    rows = table("found", "count", "pictures")
    counts: Counter[str] = Counter()
    pictures: Counter[str] = Counter()
    for image in report.images:
        labels = [one["label"] for one in image["detections"]]
        counts.update(labels)
        pictures.update(set(labels))
    for label, count in counts.most_common():
        rows.add_row(shown(label), str(count), str(pictures[label]))
    return rows


def listings(models: Sequence[Listing]) -> RenderableType:
    """One row per model."""
    if not models:
        return "No model comes with this boxray: name a run folder or an .onnx file."
    rows = table("model", "classes", "input", "size", "licence", "metrics")
    for listing in models:
        model = listing.model
        height, width = listing.input_hw
        learned_from = " and ".join(model.training_data)
        numbers = ", ".join(  # "val" is part of what it learned from
            f"{name} {value:.3f}" + (f" of {learned_from}" if name.startswith("val ") else "")
            for name, value in model.metrics.items()
            if isinstance(value, float)
        )
        size = f"{listing.size_bytes / 1e6:.1f} MB"
        licence, name = shown(model.licence), shown(model.name)
        rows.add_row(
            name, str(len(model.classes)), f"{height}x{width}", size, licence, shown(numbers)
        )
    return rows


def table(*headings: str) -> Table:
    """An empty table in the one style, which needs no colours and no box characters."""
    empty = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for number, heading in enumerate(headings):
        empty.add_column(heading, overflow="fold", justify="left" if number == 0 else "default")
    return empty
