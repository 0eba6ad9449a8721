"""Evidence from pixels: on which parts of a picture a detection, or a missed object, depends.

Parts of the picture are hidden at random, many times over, and each time is noted how well the
detector still says the object: the largest IoU · score among its candidates of that class. A pixel
speaks for the object by as much as that rises when the pixel is visible.
Source: Petsiuk et al. 2021 (D-RISE), section 3. Different here: the score of the class stands for
objectness times the cosine of class scores, which needs no detector that gives all of them; and the
map is the slope of a regression on the mask, where theirs is a sum of masks, whose noise grows with
the sum. What is hidden becomes the canvas's grey, which networks know as padding, not black.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8

from boxray import images
from boxray.boxes import Array
from boxray.errors import SettingError
from boxray.explain.decision import Box, as_box
from boxray.explain.target import Target
from boxray.images import PADDING, Pixels, Placement
from boxray.records import Candidates

OCCLUSION, GRADIENTS = "occlusion", "gradients"  # by which evidence was found
FAINTEST = 0.001  # a score below this says nothing
BATCH = 8  # canvases that the engine is given at once
FEWEST, CHECKED_EVERY = 256, 64  # masks
MOST_JSON_CELLS = 40  # on the longer side of the map in a document


@runtime_checkable
class Looking(Protocol):
    """A detector that says all that it takes canvases for."""

    @property
    def canvas_hw(self) -> tuple[int, int]: ...

    def candidates(self, canvases: UInt8[Array, "n h w 3"], score_floor: float) -> list[Candidates]:
        """Of each canvas all candidates with at least this score, in its pixels."""


@dataclass(frozen=True, kw_only=True)
class Hiding:
    """How the picture is hidden, and when it is enough.

    cells: on the longer side of a mask; each is visible with the probability `visible`, and all are
    shifted at random. reliability: what the map must reach, as the correlation that it is
    expected to have with a second one made by as many masks. most: masks, whatever is reached.
    Raises SettingError for a value outside its range.
    """

    cells: int = 8
    visible: float = 0.5
    reliability: float = 0.9
    most: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low in (("cells", 2), ("most", 1), ("seed", 0)):
            if getattr(self, name) < low:
                raise SettingError(
                    f"{name} is {getattr(self, name)}; expected a whole number of at least {low}."
                )
        for name in ("visible", "reliability"):
            if not 0 < getattr(self, name) < 1:
                raise SettingError(
                    f"{name} is {getattr(self, name)}; expected a number between 0 and 1."
                )


@dataclass(frozen=True)
class Evidence:
    """What each part of a picture says for one object, or against it.

    values: (rows, columns) over the whole picture, as fine as the canvas shows it: by how much
    IoU · score rises when the place is visible; below 0 it speaks against the object. unhidden:
    IoU · score with nothing hidden. masks: how many were tried. reliability: that was reached,
    converged: whether it is what was asked for.
    method: `occlusion`, or `gradients` (gradients.py), whose values add up to the rise from a grey
    picture, and which has steps for masks.
    """

    label: str | None
    box: Box | None
    point: tuple[float, float] | None
    values: Float[Array, "rows columns"]
    size_hw: tuple[int, int]
    unhidden: float
    masks: int
    reliability: float
    converged: bool
    method: str = OCCLUSION

    @property
    def legible(self) -> Float[Array, "r c"]:
        """The map as it is looked at: of gradients, which are ragged, sums over 1/40 of a side."""
        return _in_cells(self.values) if self.method == GRADIENTS else self.values

    @property
    def peak(self) -> tuple[float, float]:
        """The place in the image that speaks most for the object, in the legible map: x, y."""
        values = self.legible
        row, column = np.unravel_index(int(values.argmax()), values.shape)
        x = (float(column) + 0.5) / values.shape[1] * self.size_hw[1]
        y = (float(row) + 0.5) / values.shape[0] * self.size_hw[0]
        return x, y

    @property
    def inside(self) -> float | None:
        """The share of all that speaks for the object that lies in its box; None for a point.

        Source: Wang et al. 2020 (Score-CAM), section 4.3, the energy-based pointing game.
        """
        if self.box is None:
            return None
        rows, columns = self.values.shape
        y = (np.arange(rows) + 0.5) / rows * self.size_hw[0]
        x = (np.arange(columns) + 0.5) / columns * self.size_hw[1]
        x0, y0, x1, y1 = self.box
        within = ((y0 <= y) & (y < y1))[:, None] & (x0 <= x) & (x < x1)
        speaks_for = np.maximum(self.values, 0)
        return float(speaks_for[within].sum() / max(float(speaks_for.sum()), 1e-12))

    def to_dict(self) -> dict[str, Any]:
        """Ready for json.dumps; `map` is `values` in at most 40 cells a side, row by row.

        Cells hold means; of gradients sums, so that they still add up to the rise.
        """
        x, y = self.peak
        cells = self.legible if self.method == GRADIENTS else _coarse(self.values)
        return {
            "method": self.method,
            "label": self.label,
            "box": self.box,
            "point": self.point,
            "unhidden": round(self.unhidden, 4),
            "peak": [round(x, 1), round(y, 1)],
            "inside": None if self.inside is None else round(self.inside, 4),
            "steps" if self.method == GRADIENTS else "masks": self.masks,
            "reliability": round(self.reliability, 4),
            "converged": self.converged,
            "map": np.round(cells, 8 if self.method == GRADIENTS else 5).tolist(),
        }


def occlude(
    detector: Looking, image: Pixels, targets: Sequence[Target], hiding: Hiding | None = None
) -> tuple[Evidence, ...]:
    """The evidence for each of these objects; all of them are watched through the same masks.

    Memory does not grow with the number of masks.
    """
    hiding = hiding or Hiding()
    canvas, placement = images.fit(image, detector.canvas_hw)
    (unhidden,) = _said(detector, canvas[None], targets, placement)
    chance = np.random.default_rng(hiding.seed)
    halves = tuple(_Sums.empty(len(targets), placement.resized_hw) for _ in range(2))
    reliability, masks, number = np.zeros(len(targets)), 0, 0
    while masks < hiding.most and (masks < FEWEST or reliability.min() < hiding.reliability):
        shown = _masks(chance, min(BATCH, hiding.most - masks), placement.resized_hw, hiding)
        said = _said(detector, _hidden(canvas, placement, shown), targets, placement)
        halves[number % 2].add(shown, said)
        masks, number = masks + len(shown), number + 1
        if masks % CHECKED_EVERY == 0 or masks == hiding.most:
            reliability = _reliability(*halves)
    values = (halves[0] + halves[1]).slopes()
    return tuple(
        Evidence(
            label=target.name,
            box=None if target.box is None else as_box(target.box),
            point=target.point,
            values=values[which],
            size_hw=placement.image_hw,
            unhidden=float(unhidden[which]),
            masks=masks,
            reliability=float(reliability[which]),
            converged=bool(reliability[which] >= hiding.reliability),
        )
        for which, target in enumerate(targets)
    )


def _said(
    detector: Looking,
    canvases: UInt8[Array, "n h w 3"],
    targets: Sequence[Target],
    placement: Placement,
) -> Float[Array, "n t"]:
    """How well the detector says each target of each canvas: the largest IoU · score."""
    said = np.zeros((len(canvases), len(targets)))
    for number, found in enumerate(detector.candidates(canvases, FAINTEST)):
        for which, target in enumerate(targets):
            said[number, which] = target.agreement(found, placement).max(initial=0.0)
    return said


def _masks(
    chance: np.random.Generator, count: int, size_hw: tuple[int, int], hiding: Hiding
) -> Float[Array, "n h w"]:
    """Random masks, 1 for visible and 0 for hidden, smooth in between.

    Cells are about square, and shifted by less than one. Source: Petsiuk et al. 2018 (RISE),
    section 3.2, with the cells' corners interpolated on their own, so that any size is exact.
    """
    side = max(size_hw)
    cells = [max(1, round(hiding.cells * length / side)) for length in size_hw]
    corners = chance.random((count, cells[0] + 2, cells[1] + 2)) < hiding.visible
    shift = chance.random((2, count))
    down, across = (
        _interpolation(length, number, moved)
        for length, number, moved in zip(size_hw, cells, shift, strict=True)
    )
    return np.asarray(down @ corners.astype(np.float32) @ across.transpose(0, 2, 1))


def _interpolation(
    length: int, cells: int, shift: Float[Array, "n"]
) -> Float[Array, "n length corners"]:
    """How much each pixel takes from each corner between cells: linear in the distance."""
    at = (np.arange(length) + 0.5) / length * cells + shift[:, None]
    away = np.abs(at[:, :, None] - np.arange(cells + 2))
    return np.maximum(1 - away, 0).astype(np.float32)


def _hidden(
    canvas: Pixels, placement: Placement, masks: Float[Array, "n h w"]
) -> UInt8[Array, "n height width 3"]:
    """Copies of the canvas, grey where the mask hides the picture."""
    (top, left), (height, width) = placement.offset, placement.resized_hw
    within = slice(top, top + height), slice(left, left + width)
    hidden = np.repeat(canvas[None], len(masks), 0)
    bright = canvas[within].astype(np.float32) - PADDING
    hidden[:, *within] = np.rint(bright * masks[..., None] + PADDING).astype(np.uint8)
    return hidden


@dataclass
class _Sums:
    """What a regression of t numbers on n masks needs, and nothing that grows with n."""

    count: int
    mask: Float[Array, "h w"]
    mask_squared: Float[Array, "h w"]
    said: Float[Array, "t"]
    product: Float[Array, "t h w"]

    @classmethod
    def empty(cls, targets: int, size_hw: tuple[int, int]) -> _Sums:
        mask, product = np.zeros(size_hw), np.zeros((targets, *size_hw))
        return cls(0, mask, mask.copy(), np.zeros(targets), product)

    def add(self, masks: Float[Array, "n h w"], said: Float[Array, "n t"]) -> None:
        self.count += len(masks)
        self.mask += masks.sum(0)
        self.mask_squared += (masks**2).sum(0)
        self.said += said.sum(0)
        self.product += np.tensordot(said.T, masks, 1)

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(
            self.count + other.count,
            self.mask + other.mask,
            self.mask_squared + other.mask_squared,
            self.said + other.said,
            self.product + other.product,
        )

    def slopes(self) -> Float[Array, "t h w"]:
        """By how much each number rises from a hidden to a visible pixel, by least squares."""
        count = max(self.count, 1)
        mean, said = self.mask / count, self.said / count
        spread = np.maximum(self.mask_squared / count - mean**2, 1e-9)
        return (self.product / count - said[:, None, None] * mean) / spread


def _reliability(a: _Sums, b: _Sums) -> Float[Array, "t"]:
    """Of the map of all masks, from how well the maps of two halves agree; 0 where they do not.

    Source: Brown 1910; Spearman 1910: 2r / (1 + r) for a correlation r of the halves.
    """
    reached = []
    for one, other in zip(a.slopes(), b.slopes(), strict=True):
        if not one.std() or not other.std():
            reached.append(0.0)  # nothing was ever said of it
            continue
        r = max(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]), 0.0)
        reached.append(2 * r / (1 + r))
    return np.array(reached)


def _in_cells(values: Float[Array, "rows columns"]) -> Float[Array, "r c"]:
    """Sums over blocks, at most 40 along the longer side."""
    block = -(-max(values.shape) // MOST_JSON_CELLS)
    rows, columns = (np.arange(0, length, block) for length in values.shape)
    return np.asarray(np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1))


def _coarse(values: Float[Array, "rows columns"]) -> Float[Array, "r c"]:
    """Means over the same blocks."""
    return _in_cells(values) / _in_cells(np.ones(values.shape))
