"""What the verbs of `boxray data` found, as tables for a terminal."""

from __future__ import annotations

from rich.console import RenderableType

from boxray.verbs.data.show import ShowReport
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown


def counts(report: ShowReport) -> list[RenderableType]:
    """How many images and boxes, and the boxes of every class, most first."""
    dataset = report.dataset
    rows = table("class", "boxes")
    for name, count in sorted(report.per_class.items(), key=lambda entry: -entry[1]):
        rows.add_row(shown(name), str(count))
    boxes = sum(report.per_class.values())
    return [
        f"{shown(dataset.name)}, split {shown(dataset.split)!r}: "
        f"{len(dataset)} images, {boxes} boxes",
        rows,
    ]
