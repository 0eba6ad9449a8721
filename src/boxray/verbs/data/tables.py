"""What the verbs of `boxray data` found, as tables for a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from boxray.inspection.pictures import flags_of
from boxray.records import Sample
from boxray.verbs.data.browse import BrowseReport
from boxray.verbs.data.convert import ConvertReport
from boxray.verbs.data.grid import GridReport
from boxray.verbs.data.proposals import ProposalsReport
from boxray.verbs.data.show import ShowReport, count_per_class
from boxray.verbs.data.split import SplitReport
from boxray.verbs.tables import MOST_ROWS, table
from boxray.verbs.terminal import shown


def overview(report: ShowReport) -> list[RenderableType]:
    """How many images and boxes, those of every class, most first, and one image in full."""
    dataset, sample = report.dataset, report.sample
    boxes = sum(report.per_class.values())
    rows = table("class", "boxes", "share")
    most_first = sorted(report.per_class.items(), key=lambda entry: -entry[1])
    for name, count in most_first:
        if count:
            rows.add_row(shown(name), str(count), f"{count / boxes:.1%}")
    empty = sum(not count for count in report.per_class.values())
    parts: list[RenderableType] = [
        f"{shown(dataset.name)}, split {shown(dataset.split)!r}: "
        f"{len(dataset)} images, {boxes} boxes",
        rows,
    ]
    parts += [f"{empty} more classes have no box."] if empty else []
    parts += [f"The boxes of {shown(str(sample.path))}, {_size(sample)}:", _truths(report)]
    parts += [f"The picture is {shown(str(report.picture))}"] if report.picture else []
    return parts


def _size(sample: Sample) -> str:
    height, width = sample.size_hw
    return f"{width} x {height} pixels"


def _truths(report: ShowReport) -> Table:
    """One row per object of the shown image."""
    truths = report.sample.truths
    rows = table("#", "class", "box: x0, y0, x1, y1", "size", "flags", "line")
    for i, label in enumerate(truths.labels.tolist()[:MOST_ROWS]):
        x0, y0, x1, y1 = truths.boxes[i].tolist()
        edges = ", ".join(f"{edge:.0f}" for edge in (x0, y0, x1, y1))
        size = f"{x1 - x0:.0f} x {y1 - y0:.0f}"
        name = shown(report.dataset.classes[label])
        flags, line = ", ".join(flags_of(truths, i)), str(truths.lines[i])
        rows.add_row(str(i), name, edges, size, flags, line)
    if len(truths) > MOST_ROWS:
        rows.add_row("…", f"{len(truths) - MOST_ROWS} more")
    return rows


def responsibility(report: GridReport) -> list[RenderableType]:
    """One row per object: its cell, where in it, its prior; then who has to share."""
    sample, who = report.sample, report.who
    rows = table("#", "class", "row", "column", "across", "down", "prior", "IoU")
    for i, label in enumerate(sample.truths.labels.tolist()):
        row, column = who.cells[i].tolist()
        across, down = who.places[i].tolist()
        width, height = who.priors_wh[who.priors[i]].tolist()
        prior = f"{who.priors[i]}: {width:.0f} x {height:.0f}"
        name = shown(report.dataset.classes[label])
        place = (f"{across:.2f}", f"{down:.2f}", prior, f"{who.overlap[i]:.2f}")
        rows.add_row(str(i), name, str(row), str(column), *place)
    parts: list[RenderableType] = [
        f"{shown(str(sample.path))}, {_size(sample)}, {report.cells} x {report.cells} cells; "
        "rows and columns from 0:",
        rows,
    ]
    parts += [
        f"Objects {', '.join(map(str, objects))} want the same prior of the same cell, "
        "which can say only one."
        for objects in who.shared
    ]
    parts += [f"The picture is {shown(str(report.picture))}"] if report.picture else []
    return parts


def reached(report: ProposalsReport) -> list[RenderableType]:
    """The share of objects that the first n proposals reach, by what is asked of the overlap."""
    found = report.reached
    rows = table("first", "IoU 0.5", "of classes", "IoU 0.7", "of classes", "average recall")
    columns = [
        measure(iou) for iou in (0.5, 0.7) for measure in (found.recall, found.mean_of_classes)
    ]
    for count, *shares in zip(found.counts, *columns, found.average_recall(), strict=True):
        rows.add_row(str(count), *(f"{share:.1%}" for share in shares))
    parts: list[RenderableType] = [
        f"{len(found.labels)} objects in {len(found.proposals)} images, "
        f"{found.proposals.mean():.0f} proposals and {report.seconds:.2f} s for each:",
        rows,
        "Of classes: the mean of the classes' shares. Average recall: over IoU from 0.5 to 1.",
    ]
    parts += [f"The plot is {shown(str(report.picture))}"] if report.picture else []
    return parts


def browsed(report: BrowseReport) -> list[RenderableType]:
    """Where the page is, and how much is on it."""
    return [
        f"{report.shown} of {len(report.dataset)} images are in {shown(str(report.page))}: "
        "open it in a browser."
    ]


def converted(report: ConvertReport) -> list[RenderableType]:
    """What was written where."""
    written = report.written
    splits = f", splits {', '.join(map(shown, report.splits))}" if report.splits else ""
    return [
        f"{written.images} images with {written.boxes} boxes are in "
        f"{shown(str(written.folder))}, format {report.format}{splits}"
    ]


def parts(report: SplitReport) -> list[RenderableType]:
    """How many images each split has, and how many boxes of every class."""
    rows = table("class", *(part.split for part in report.parts))
    rows.add_row("images", *(str(len(part)) for part in report.parts))
    counts = [count_per_class(part) for part in report.parts]
    names = [name for name in report.parts[0].classes if any(count[name] for count in counts)]
    for name in names[:MOST_ROWS]:
        rows.add_row(shown(name), *(str(count[name]) for count in counts))
    if len(names) > MOST_ROWS:
        rows.add_row(f"{len(names) - MOST_ROWS} more classes")
    output = shown(str(report.output))
    return [
        rows,
        f"{report.together} images stay with others that show the same, or are of one group.",
        f"The splits are in {output}. Next: boxray train {output}",
    ]
