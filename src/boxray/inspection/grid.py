"""Which cell answers for which object, and with which prior: YOLO's idea on one's own picture.

The picture is cut into n x n cells. The cell that an object's centre lies in is responsible for
it, with the prior whose size is most like the object's (Redmon et al. 2016, section 2; Redmon &
Farhadi 2017, section 2).
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from PIL import Image, ImageDraw

from boxray import draw, images
from boxray.boxes import centre_size, edges, size_iou
from boxray.coders.anchors import Priors, kmeans
from boxray.data import Dataset
from boxray.draw import Colour
from boxray.errors import FormatError
from boxray.images import Pixels
from boxray.records import Sample

_SHOWN_SIDE = 1280  # pixels of the longer side, so that cells of small pictures can be seen
_MOST_NAMED = 12  # objects; among more, names would hide what is shown
_RED: Colour = (230, 0, 38)
_LINE, _LINE_CASING = (255, 255, 255, 150), (0, 0, 0, 90)
_SHADE = 84  # of 255: how much of a responsible cell's picture its colour covers


@dataclass(frozen=True)
class Responsibility:
    """Who answers for each of n objects of one picture.

    cells: row and column, from 0. places: how far the centre lies into its cell, across and down,
    0 to 1. priors: which of the priors; overlap: its `size_iou` with the object. priors_wh: the
    sizes of all priors, in pixels of the picture.
    """

    cells: Int[np.ndarray, "n 2"]
    places: Float[np.ndarray, "n 2"]
    priors: Int[np.ndarray, "n"]
    overlap: Float[np.ndarray, "n"]
    priors_wh: Float[np.ndarray, "k 2"]

    @property
    def shared(self) -> list[list[int]]:
        """Objects that want the same prior of the same cell: of each list it can say only one."""
        claims: dict[tuple[int, int, int], list[int]] = {}
        for i, ((row, column), prior) in enumerate(zip(self.cells, self.priors, strict=True)):
            claims.setdefault((int(row), int(column), int(prior)), []).append(i)
        return [objects for objects in claims.values() if len(objects) > 1]


def unit_priors(dataset: Dataset, count: int) -> Priors:
    """k-means priors over all boxes, as shares of their picture's width and height.

    Raises FormatError for a data set without a box.
    """
    sizes = [
        centre_size(sample.truths.boxes)[:, 2:] / np.array(sample.size_hw[::-1], np.float64)
        for sample in dataset.samples
    ]
    together = np.concatenate([*sizes, np.zeros((0, 2))])
    if not len(together):
        raise FormatError(f"{dataset.name} has no box to find priors from.")
    return kmeans(together, count)


def responsible(
    boxes: Float[np.ndarray, "n 4"],
    size_hw: tuple[int, int],
    cell_count: int,
    priors_wh: Float[np.ndarray, "k 2"],
) -> Responsibility:
    """The cell and the prior of every box, all in pixels of a picture of this size.

    A centre on the picture's far edge belongs to the last cell.
    """
    cell_wh = np.array(size_hw[::-1], np.float64) / cell_count
    centres = centre_size(boxes)
    in_cells = centres[:, :2] / cell_wh
    columns_rows = np.clip(np.floor(in_cells), 0, cell_count - 1).astype(np.int64)
    overlap = size_iou(priors_wh, centres[:, 2:])
    best = overlap.argmax(0)
    return Responsibility(
        cells=columns_rows[:, ::-1],
        places=in_cells - columns_rows,
        priors=best,
        overlap=overlap[best, np.arange(len(boxes))],
        priors_wh=priors_wh,
    )


def picture(
    sample: Sample, classes: tuple[str, ...], cell_count: int, who: Responsibility
) -> Pixels:
    """The sample's picture under its cells: centres as red dots, their cells marked.

    Each object has its box with its number (and class, where objects are few), and, dashed, its
    best prior around the middle of the responsible cell.
    """
    pixels = images.load(sample.path)
    placement = images.place(sample.size_hw, (_SHOWN_SIDE, _SHOWN_SIDE))
    scale = placement.scale_yx[1]
    pixels = images.resize(pixels, placement.resized_hw)
    boxes, labels = sample.truths.boxes * scale, sample.truths.labels.tolist()
    colours = [draw.colour_of(label) for label in labels]
    pixels = _with_cells(pixels, cell_count, who.cells, colours)
    named = len(labels) <= _MOST_NAMED
    names = [f"{i} {classes[label]}" if named else str(i) for i, label in enumerate(labels)]
    pixels = draw.draw(pixels, boxes, names, colours=colours)
    shown = Image.fromarray(pixels)
    pen = ImageDraw.Draw(shown)
    height, width = placement.resized_hw
    cell_wh = np.array([width, height], np.float64) / cell_count
    middles = (who.cells[:, ::-1] + 0.5) * cell_wh
    priors = edges(np.concatenate([middles, who.priors_wh[who.priors] * scale], 1))
    for box, colour in zip(priors.tolist(), colours, strict=True):
        _dashed(pen, box, colour)
    for x, y in centre_size(boxes)[:, :2].tolist():
        radius = _SHOWN_SIDE / 200
        pen.circle((x, y), radius, fill=_RED, outline=(255, 255, 255), width=2)
    return np.array(shown, np.uint8)


def _with_cells(
    pixels: Pixels, cell_count: int, cells: Int[np.ndarray, "n 2"], colours: list[Colour]
) -> Pixels:
    """The picture with its cells' borders, and a shade on those that answer for an object."""
    height, width = pixels.shape[:2]
    shown = Image.fromarray(pixels)
    pen = ImageDraw.Draw(shown, "RGBA")
    xs = [round(width * i / cell_count) for i in range(cell_count + 1)]
    ys = [round(height * i / cell_count) for i in range(cell_count + 1)]
    first = {(int(row), int(column)): i for i, (row, column) in reversed(list(enumerate(cells)))}
    for (row, column), i in first.items():
        corners = (xs[column], ys[row], xs[column + 1] - 1, ys[row + 1] - 1)
        pen.rectangle(corners, fill=(*colours[i], _SHADE), outline=(*_RED, 255), width=2)
    for x in xs[1:-1]:
        pen.line((x + 1, 0, x + 1, height), fill=_LINE_CASING)
        pen.line((x, 0, x, height), fill=_LINE)
    for y in ys[1:-1]:
        pen.line((0, y + 1, width, y + 1), fill=_LINE_CASING)
        pen.line((0, y, width, y), fill=_LINE)
    return np.array(shown, np.uint8)


def _dashed(pen: ImageDraw.ImageDraw, box: list[float], colour: Colour) -> None:
    """A dashed rectangle, two pixels wide, whatever of it lies in the picture."""
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        length = max(abs(bx - ax), abs(by - ay))
        dashes = max(1, round(length / 12))
        for dash in range(dashes):
            start, end = dash / dashes, (dash + 0.55) / dashes
            along = (
                ax + (bx - ax) * start,
                ay + (by - ay) * start,
                ax + (bx - ax) * end,
                ay + (by - ay) * end,
            )
            pen.line(along, fill=colour, width=2)
