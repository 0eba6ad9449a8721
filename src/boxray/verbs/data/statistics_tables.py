"""What `boxray data stats` and `boxray data priors` found, as tables for a terminal."""

from __future__ import annotations

from rich.console import RenderableType

from boxray.verbs.data.priors import PriorsReport
from boxray.verbs.data.stats import SHARES, StatsReport
from boxray.verbs.tables import MOST_ROWS, table
from boxray.verbs.terminal import shown


def statistics(report: StatsReport) -> list[RenderableType]:
    """One row per class, most boxes first: how many, how large, how wide."""
    counted = report.statistics
    total = int(counted.boxes.sum())
    rows = table("class", "boxes", "share", "images", "side: 10, 50, 90 %", "width / height")
    order = [i for i in (-counted.boxes).argsort(kind="stable").tolist() if counted.boxes[i]]
    for label in order[:MOST_ROWS]:
        boxes, images = int(counted.boxes[label]), int(counted.images[label])
        name = shown(counted.classes[label])
        numbers = (str(boxes), f"{boxes / total:.1%}", str(images))
        rows.add_row(name, *numbers, _sides(report, label), f"{counted.aspect(label, 0.5):.2f}")
    rows.add_row(
        "all", str(total), "100%", str(counted.image_count), _sides(report, None),
        f"{counted.aspect(None, 0.5):.2f}",
    )  # fmt: skip
    parts: list[RenderableType] = [rows]
    if len(order) > MOST_ROWS:
        parts.append(f"{len(order) - MOST_ROWS} more classes have boxes: see --json.")
    unit = "pixels" if counted.aspect_kept else "shares of the picture's, whose size is not known"
    parts.append(
        "A side is the square root of a box's share of its picture's area. Width / height is the "
        f"median, in {unit}."
    )
    parts += [f"The plots are {shown(str(report.picture))}"] if report.picture else []
    return parts


def _sides(report: StatsReport, label: int | None) -> str:
    return ", ".join(f"{report.statistics.side(label, share):.1%}" for share in SHARES)


def priors(report: PriorsReport) -> list[RenderableType]:
    """The priors, then how well each number of priors would fit."""
    found = report.priors
    rows = table("prior", "width", "height", "width / height")
    for i, (width, height) in enumerate(found.sizes_wh.tolist()):
        rows.add_row(str(i), f"{width:.1f}", f"{height:.1f}", f"{width / height:.2f}")
    fits = table("priors", *(f"average IoU, by {name}" for name in report.curves))
    for i, values in enumerate(zip(*report.curves.values(), strict=True), 1):
        fits.add_row(str(i), *(f"{value:.1%}" for value in values))
    side = report.side
    parts: list[RenderableType] = [
        f"{len(found.sizes_wh)} priors by {found.distance}, in pixels of a canvas of {side} x "
        f"{side}; average IoU {found.average_iou:.1%}:",
        rows,
        fits,
    ]
    if not report.statistics.aspect_kept:
        parts.append("The sizes of the pictures are not known: each was taken as square.")
    parts += [f"The plots are {shown(str(report.picture))}"] if report.picture else []
    return parts
