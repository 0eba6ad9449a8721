"""A drawing of one decision: the box, the cell and prior it came from, and whom it met."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from boxray import draw, images
from boxray.boxes import Array, centre_size
from boxray.draw import Colour
from boxray.explain.decision import Box, Decision
from boxray.explain.misses import Verdict
from boxray.explain.occlusion import GRADIENTS, Evidence
from boxray.explain.origin import Life
from boxray.images import Pixels

MOST_DRAWN = 6  # rivals; more hide the picture
_START: Colour = (255, 255, 255)
_RIVAL: Colour = (150, 150, 150)
_CELL = (255, 255, 255, 70)
_GRID = (255, 255, 255, 60)
_ARROW: Colour = (255, 255, 255)
_FOR: Colour = (230, 159, 0)
_AGAINST: Colour = (0, 114, 178)
_OPACITY = 0.75  # of the strongest evidence


def of_life(image: Pixels, decision: Decision, life: Life) -> Pixels:
    """The detection, the prior it is measured from, its cell in the grid, and those it beat."""
    origin = life.origins[0]
    label = decision.classes.index(life.label)
    beaten = life.beaten[:MOST_DRAWN]
    start = decision.in_image(np.array([origin.start]))[0].tolist()
    boxes: list[Box] = [life.box, start, *(rival.candidate.box for rival in beaten)]
    texts = [f"{life.label} {life.score:.2f}", "measured from"]
    texts += [f"{rival.what} {rival.candidate.score:.2f}, IoU {rival.iou:.2f}" for rival in beaten]
    colours = [draw.colour_of(label), _START, *[_RIVAL] * len(beaten)]
    stood = origin if origin.proposal is None else origin.proposal.origins[0]
    pixels = _with_grid(image, decision, stood.where)
    pixels = draw.draw(pixels, np.array(boxes, np.float64), texts, colours=colours)
    middles = decision.placement.to_image(np.array([origin.start, origin.canvas_box]))
    return _with_arrow(pixels, centre_size(middles)[:, :2])


def of_verdicts(image: Pixels, verdicts: tuple[Verdict, ...]) -> Pixels:
    """Every object with what became of it, and beside a lost one who came closest."""
    boxes: list[Box] = []
    texts, colours = [], []
    for verdict in verdicts:
        name = verdict.label or "here"
        fate = "found" if verdict.killer is None else f"lost: {verdict.killer}"
        place = verdict.box or _around(verdict.point)
        boxes.append(place)
        texts.append(f"{name} {fate}")
        colours.append((0, 158, 115) if verdict.killer is None else (213, 94, 0))
        for one in verdict.closest[:1]:
            boxes.append(one.candidate.box)
            texts.append(f"{one.candidate.label} {one.candidate.score:.2f}")
            colours.append(_RIVAL)
    return draw.draw(image, np.array(boxes, np.float64).reshape(-1, 4), texts, colours=colours)


def of_evidence(image: Pixels, evidence: Evidence) -> Pixels:
    """What speaks for the object in orange, against it in blue, stronger where it says more."""
    values = evidence.legible
    strongest = max(float(np.abs(values).max()), 1e-12)
    share = np.stack([values, -values, 0 * values], -1) / strongest
    shades = np.rint(255 * share.clip(0, 1)).astype(np.uint8)
    height, width = image.shape[:2]
    speaks_for, against, _ = np.moveaxis(images.resize(shades, (height, width)) / 255, -1, 0)
    grey = image.mean(-1, keepdims=True).repeat(3, -1)
    for strength, colour in ((speaks_for, _FOR), (against, _AGAINST)):
        covered = _OPACITY * strength[..., None]
        grey = grey * (1 - covered) + np.array(colour, np.float64) * covered
    box = evidence.box or _around(evidence.point)
    tried = "steps" if evidence.method == GRADIENTS else "masks"
    text = f"{evidence.label or 'anything'} here, {evidence.masks} {tried}"
    shown = draw.draw(grey.astype(np.uint8), np.array([box]), [text], colours=[(255, 255, 255)])
    return _with_dot(shown, evidence.peak)


def _with_dot(image: Pixels, at: tuple[float, float]) -> Pixels:
    shown = Image.fromarray(image)
    radius = max(4, round(max(image.shape[:2]) / 90))
    pen = ImageDraw.Draw(shown)
    pen.circle(at, radius, fill=_FOR, outline=(0, 0, 0), width=max(1, radius // 3))
    return np.array(shown, np.uint8)


def _around(point: tuple[float, float] | None) -> Box:
    """A small box around a point."""
    x, y = point or (0.0, 0.0)
    return x - 4, y - 4, x + 4, y + 4


def _with_grid(image: Pixels, decision: Decision, where: dict[str, object]) -> Pixels:
    """The picture under the cells of the level, the responsible one shaded; none without cells."""
    stride, cell = where.get("stride"), where.get("cell")
    if not isinstance(stride, int) or not isinstance(cell, list):
        return image
    shown = Image.fromarray(image)
    pen = ImageDraw.Draw(shown, "RGBA")
    height, width = decision.placement.canvas_hw
    for x in range(0, width + 1, stride):
        _line(pen, decision, (x, 0, x, height))
    for y in range(0, height + 1, stride):
        _line(pen, decision, (0, y, width, y))
    column, row = cell
    corners = np.array([[column, row, column + 1, row + 1]], np.float64) * stride
    (inside,) = decision.in_image(corners).tolist()
    pen.rectangle(tuple(inside), fill=_CELL, outline=_START, width=2)
    return np.array(shown, np.uint8)


def _line(pen: ImageDraw.ImageDraw, decision: Decision, ends: tuple[int, int, int, int]) -> None:
    (moved,) = decision.placement.to_image(np.array([ends], np.float64)).tolist()
    pen.line(tuple(moved), fill=_GRID)


def _with_arrow(image: Pixels, middles: Float[Array, "2 2"]) -> Pixels:
    """The way from where a box is measured from to where it lies, as a line that ends in a dot."""
    shown = Image.fromarray(image)
    pen = ImageDraw.Draw(shown)
    (x0, y0), (x1, y1) = middles.tolist()
    radius = max(3, round(max(image.shape[:2]) / 160))
    pen.line((x0, y0, x1, y1), fill=(0, 0, 0), width=radius)
    pen.line((x0, y0, x1, y1), fill=_ARROW, width=max(1, radius // 2))
    pen.circle((x1, y1), radius, fill=_ARROW, outline=(0, 0, 0))
    return np.array(shown, np.uint8)
