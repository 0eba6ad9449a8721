"""What a data set lost, as blocks of a page: the counts, the knobs, the pictures that lost most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from boxray import draw, images
from boxray.errors import ImageError
from boxray.explain.waterfall import Deciding, Waterfall
from boxray.inspection.pictures import address
from boxray.page import blocks
from boxray.records import Sample

SIDE = 360  # pixels of the longer side of a picture on the page


def counts(fallen: Waterfall) -> blocks.Table:
    """How many objects were found or lost at each stage, in all and by class, size and flag."""
    groups = {"all": {"all": fallen.outcomes}, **fallen.groups}
    rows = tuple(
        (name if kind == "all" else f"{kind} {name}", *map(str, reached.values()))
        for kind, of_kind in groups.items()
        for name, reached in of_kind.items()
    )
    return blocks.Table(("", *fallen.outcomes), rows)


def knobs(fallen: Waterfall) -> blocks.Table:
    """What other values of either threshold would find, and what they would show besides."""
    rows = tuple(
        (knob, turned.told, str(turned.found), str(turned.false_alarms))
        for knob, curve in fallen.curves.items()
        for turned in curve
    )
    return blocks.Table(("knob", "value", "found", "false alarms"), rows)


def worst(
    detector: Deciding, fallen: Waterfall, samples: Sequence[Sample], names: Sequence[str]
) -> list[blocks.Block]:
    """The pictures that lost most, with what is annotated and what is detected.

    names: the classes that the truths' labels index. One that cannot be read is named instead.
    """
    by_path = {str(sample.path): sample for sample in samples}
    shots, unread = [], []
    for path, lost in fallen.worst:
        try:
            shots.append(_shot(detector, by_path[path], lost, names))
        except ImageError as error:
            unread.append(str(error))
    some: list[blocks.Block] = [blocks.Gallery(tuple(shots))] if shots else []
    some += [blocks.Words(tuple(unread))] if unread else []
    return some or [blocks.Words(("Nothing was lost.",))]


def _shot(detector: Deciding, sample: Sample, lost: int, names: Sequence[str]) -> blocks.Shot:
    image, truths = images.load(sample.path), sample.truths
    said = detector.detect_array(image)
    outlines = [outline(truths.boxes, truths.labels, i, names, dashed=True)
                for i in range(len(truths))]  # fmt: skip
    outlines += [
        outline(said.boxes, said.labels, i, detector.classes, score=float(said.scores[i]))
        for i in range(len(said))
    ]
    words = f"{lost} of {len(truths)} not found. Dashed: annotated; solid: detected."
    source = address(image, SIDE)
    return blocks.Shot(sample.path.name, source, image.shape[:2], tuple(outlines), words)


def outline(
    boxes: np.ndarray,
    labels: np.ndarray,
    row: int,
    names: Sequence[str],
    *,
    dashed: bool = False,
    score: float | None = None,
) -> blocks.Outline:
    """One of some boxes, in the colour of its label, with its class and score beside it."""
    label = int(labels[row])
    x0, y0, x1, y1 = (round(float(edge), 1) for edge in boxes[row])
    name = names[label] if score is None else f"{names[label]} {score:.2f}"
    colour = draw.css_colour(draw.colour_of(label))
    return blocks.Outline((x0, y0, x1, y1), names[label], name, colour, dashed)
