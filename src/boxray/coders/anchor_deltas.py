"""The box-delta coder: four numbers that move and scale a box that was there before.

For a reference box with centre (xa, ya) and size (wa, ha), and weights (wx, wy, ww, wh):

    tx = wx·(x - xa)/wa     tw = ww·ln(w/wa)         x = xa + wa·tx/wx     w = wa·exp(tw/ww)
    ty = wy·(y - ya)/ha     th = wh·ln(h/ha)         y = ya + ha·ty/wy     h = ha·exp(th/wh)

Source: Girshick et al. 2014, appendix C, equations 1 to 4 and 6 to 9; Ren et al. 2015, equation 2,
with anchors for references. RetinaNet, the proposals and the box head of Faster R-CNN share it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, centre_size, clip, edges, like, namespace, sigmoid, softmax
from boxray.coders.anchors import PriorSizes
from boxray.protocols import Raw
from boxray.records import Candidates, Level, Step, Trace

LARGEST_LOG_SCALE = math.log(1000 / 16)  # exp gives 62.5 times a reference: no picture holds more

Weights = tuple[float, float, float, float]


def moved(
    deltas: Float[Array, "*batch n 4"], references: Float[Array, "*batch n 4"], weights: Weights
) -> Float[Array, "*batch n 4"]:
    """The boxes that `deltas` make of `references`; undone by `deltas_between`.

    Law: moved(deltas_between(boxes, references), references) = boxes to 1e-3 pixels, where no side
    is 62.5 times its reference's; a larger one becomes that bound.
    """
    lib = namespace(deltas)
    reference = centre_size(references)
    centre = reference[..., :2] + reference[..., 2:] * deltas[..., :2] / like(
        np.array(weights[:2], np.float32), deltas
    )
    scale = deltas[..., 2:] / like(np.array(weights[2:], np.float32), deltas)
    size = reference[..., 2:] * lib.exp(lib.clip(scale, None, LARGEST_LOG_SCALE))
    return edges(lib.concatenate([centre, size], -1))


def deltas_between(
    boxes: Float[Array, "n 4"], references: Float[Array, "n 4"], weights: Weights
) -> Float[Array, "n 4"]:
    """The deltas that make `boxes` of `references`, row by row; no side is taken as below 1e-6."""
    lib = namespace(boxes)
    target, reference = centre_size(boxes), centre_size(references)
    shift = (target[:, :2] - reference[:, :2]) / reference[:, 2:]
    scale = lib.log(lib.clip(target[:, 2:], 1e-6, None) / reference[:, 2:])
    return lib.concatenate([shift, scale], -1) * like(np.array(weights, np.float32), boxes)


@dataclass(frozen=True)
class Anchors:
    """Where every row of the raw output starts from; one entry per row."""

    boxes: Float[Array, "rows 4"]
    level: Int[Array, "rows"]


@dataclass(frozen=True)
class AnchorDeltas:
    """Deltas from anchors, and a score for each class: RetinaNet, and with one class proposals.

    strides: canvas pixels per cell of each level, finest first; a level that the canvas does not
    divide into has one cell more, and all of them nearer to each other. priors: width and height of
    the anchors of each level in canvas pixels, as many on every one. An anchor's centre is the top
    left corner of its cell, as torchvision places it.
    Row order of the raw output: level by level; in a level the cells in reading order; in a cell
    anchor by anchor. Channels of a level's map: 4 deltas of each anchor, then C logits of each.
    """

    class_count: int
    strides: tuple[int, ...]
    priors: tuple[PriorSizes, ...]
    weights: Weights = (1.0, 1.0, 1.0, 1.0)
    canvas_multiple: int = 32

    @property
    def numbers(self) -> int:
        """Raw numbers per row: the deltas and the class logits."""
        return 4 + self.class_count

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level's map: the numbers of all its anchors."""
        return tuple(len(level) * self.numbers for level in self.priors)

    @lru_cache(maxsize=32)  # noqa: B019  # a coder is a few numbers: it may stay in memory
    def anchors(self, size_hw: tuple[int, int]) -> Anchors:
        """The anchors of every row for a canvas of this size."""
        boxes, levels = [], []
        for number, (stride, priors) in enumerate(zip(self.strides, self.priors, strict=True)):
            height, width = (-(-side // stride) for side in size_hw)
            rows, columns = np.indices((height, width))
            step_y, step_x = size_hw[0] // height, size_hw[1] // width
            centres = np.stack([columns * step_x, rows * step_y], -1).reshape(-1, 1, 2)
            sizes = np.broadcast_to(np.array(priors), (len(centres), len(priors), 2))
            placed = np.concatenate([np.broadcast_to(centres, sizes.shape), sizes], -1)
            boxes.append(edges(placed.reshape(-1, 4)).astype(np.float32))
            levels.append(np.full(len(boxes[-1]), number))
        return Anchors(np.concatenate(boxes), np.concatenate(levels))

    def starts(self, size_hw: tuple[int, int]) -> Float[Array, "rows 4"]:
        """The anchor of every row, in canvas pixels."""
        return self.anchors(size_hw).boxes

    def canvas_hw(self, raw: Raw) -> tuple[int, int]:
        """Height and width of the canvas that these maps are of, which the finest divides."""
        height, width = raw[0].shape[-2:]
        return height * self.strides[0], width * self.strides[0]

    def flatten(self, raw: Raw) -> Float[Array, "... rows numbers"]:
        """Maps (…, A·(4 + C), H, W), one per level, as rows of 4 + C numbers in row order."""
        lib = namespace(raw[0])
        levels = []
        for level, priors in zip(raw, self.priors, strict=True):
            *batch, _, height, width = level.shape
            cells = lib.swapaxes(level.reshape(*batch, -1, height * width), -1, -2)
            rows = height * width * len(priors)
            deltas = cells[..., : 4 * len(priors)].reshape(*batch, rows, 4)
            logits = cells[..., 4 * len(priors) :].reshape(*batch, rows, self.class_count)
            levels.append(lib.concatenate([deltas, logits], -1))
        return lib.concatenate(levels, -2)

    def encode(
        self, boxes: Float[Array, "n 4"], rows: Int[Array, "n"], size_hw: tuple[int, int]
    ) -> Float[Array, "n 4"]:
        """The deltas with which these rows mean these boxes (canvas pixels), row by row."""
        references = like(self.anchors(size_hw).boxes, boxes)[rows]
        return deltas_between(boxes, references, self.weights)

    def decode(self, raw: Raw, score_floor: float = 0.0) -> Candidates:
        """Every (row, class) of one image with σ(logit) ≥ score_floor, clipped to the canvas.

        raw: one map (A·(4 + C), H, W) per level. Rows with a number that is not finite are out.
        """
        lib = namespace(raw[0])
        numbers = self.flatten(raw)
        scores = sigmoid(numbers[:, 4:])
        finite = lib.isfinite(numbers).all(-1)
        rows, labels = lib.where((scores >= score_floor) & finite[:, None])
        size_hw = self.canvas_hw(raw)
        anchors = self.anchors(size_hw)
        boxes = moved(numbers[rows, :4], like(anchors.boxes, numbers)[rows], self.weights)
        return Candidates(
            boxes=clip(boxes, size_hw),
            labels=labels,
            scores=scores[rows, labels],
            row=rows,
            group=like(anchors.level, numbers)[rows],
        )

    def where(self, raw: Raw, row: int) -> dict[str, Any]:
        """Level, cell (column, row) and anchor of a row."""
        anchors = self.anchors(self.canvas_hw(raw))
        level, start = int(anchors.level[row]), anchors.boxes[row]
        within = row - int(np.searchsorted(anchors.level, level))
        line, column = divmod(within // len(self.priors[level]), raw[level].shape[-1])
        return {
            "level": level,
            "stride": self.strides[level],
            "cell": [column, line],
            "prior": (start[2:] - start[:2]).tolist(),
        }

    def trace(self, raw: Raw, row: int, label: int = 0) -> Trace:
        """Level, cell and anchor of a row, the numbers it said, and the equations with them."""
        del label  # every class has the same box
        size_hw = self.canvas_hw(raw)
        anchors = self.anchors(size_hw)
        numbers = np.asarray(self.flatten(raw)[row : row + 1], np.float32)
        start = anchors.boxes[[row]]
        box = moved(numbers[:, :4], start, self.weights)
        return Trace(
            where=self.where(raw, row),
            start=tuple(start[0].tolist()),
            box=tuple(clip(box, size_hw)[0].tolist()),
            raw=dict(zip(("tx", "ty", "tw", "th"), numbers[0, :4].tolist(), strict=True)),
            class_logits=tuple(numbers[0, 4:].tolist()),
            steps=_steps(numbers[0, :4], start, box, self.weights),
            objectness=None,
            class_scores=tuple(sigmoid(numbers[0, 4:]).tolist()),
        )

    def levels(self, raw: Raw) -> tuple[Level, ...]:
        """Each level's cells with the highest score that one of its anchors gives a class."""
        height, width = self.canvas_hw(raw)
        return tuple(
            Level(
                name=f"stride {stride}",
                cell_hw=(height // level.shape[-2], width // level.shape[-1]),
                priors=tuple((float(wide), float(high)) for wide, high in priors),
                prior_at=0.0,
                says="class score",
                sureness=sigmoid(level[4 * len(priors) :]).max(0),
            )
            for stride, priors, level in zip(self.strides, self.priors, raw, strict=True)
        )

    def nearest(self, box: Float[Array, "4"], raw: Raw) -> Float[Array, "rows 4"]:
        """For every row the box that `encode` would aim at, as `moved` gives it back."""
        return _aimed_at(box, self.anchors(self.canvas_hw(raw)).boxes, self.weights)


def _aimed_at(
    box: Float[Array, "4"], references: Float[Array, "n 4"], weights: Weights
) -> Float[Array, "n 4"]:
    wanted = np.tile(np.asarray(box, np.float32), (len(references), 1))
    return moved(deltas_between(wanted, references, weights), references, weights)


def _steps(
    deltas: Float[Array, "4"],
    reference: Float[Array, "1 4"],
    box: Float[Array, "1 4"],
    weights: Weights,
) -> tuple[Step, ...]:
    """The equations at the top with these numbers in them; the canvas cuts the box off after."""
    start, end = centre_size(reference)[0].tolist(), centre_size(box)[0].tolist()
    by = ["" if weight == 1 else f"/{weight:g}" for weight in weights]
    said = [min(t, LARGEST_LOG_SCALE * w) for t, w in zip(deltas.tolist(), weights, strict=True)]
    tx, ty = deltas[:2].tolist()
    return (
        Step("x", f"{start[0]:.2f} + {start[2]:.2f}·{tx:.3f}{by[0]}", end[0]),
        Step("y", f"{start[1]:.2f} + {start[3]:.2f}·{ty:.3f}{by[1]}", end[1]),
        Step("width", f"{start[2]:.2f}·exp({said[2]:.3f}{by[2]})", end[2]),
        Step("height", f"{start[3]:.2f}·exp({said[3]:.3f}{by[3]})", end[3]),
    )


@dataclass(frozen=True)
class ProposalDeltas:
    """What a box head says of proposals: deltas for each class, and one class or the background.

    Row order is the proposals'. A row's numbers: 4 deltas of the background, which mean nothing,
    then 4 of each class; the background's logit, then each class's (torchvision's order).
    smallest: a box narrower or lower than this, in pixels, is left out.
    """

    class_count: int
    weights: Weights = (10.0, 10.0, 5.0, 5.0)
    smallest: float = 0.01

    @property
    def numbers(self) -> int:
        """Raw numbers per proposal."""
        return 5 * (self.class_count + 1)

    def parts(
        self, numbers: Float[Array, "k numbers"]
    ) -> tuple[Float[Array, "k c 4"], Float[Array, "k c"]]:
        """Deltas and logits of background and classes."""
        count = self.class_count + 1
        return numbers[:, : 4 * count].reshape(-1, count, 4), numbers[:, 4 * count :]

    def at(self, proposals: Float[Array, "k 4"], size_hw: tuple[int, int]) -> PlacedProposalDeltas:
        """The coder of the numbers that a box head says of these proposals on such a canvas."""
        return PlacedProposalDeltas(self, proposals, size_hw)


@dataclass(frozen=True)
class PlacedProposalDeltas:
    """`ProposalDeltas` of known proposals, in canvas pixels and in the library of their numbers."""

    of: ProposalDeltas
    proposals: Float[Array, "k 4"]
    size_hw: tuple[int, int]

    def encode(self, boxes: Float[Array, "n 4"], rows: Int[Array, "n"]) -> Float[Array, "n 4"]:
        """The deltas with which these proposals mean these boxes, row by row."""
        return deltas_between(boxes, self.proposals[rows], self.of.weights)

    def decode(self, numbers: Float[Array, "k numbers"], score_floor: float = 0.0) -> Candidates:
        """Every (proposal, class) with a probability of at least score_floor, clipped.

        Rows with a number that is not finite are out. Label 0 is the first class: no candidate is
        background. The group is the class.
        """
        lib, (deltas, logits) = namespace(numbers), self.of.parts(numbers)
        scores = softmax(logits)[:, 1:]
        finite = lib.isfinite(numbers).all(-1)
        rows, labels = lib.where((scores >= score_floor) & finite[:, None])
        boxes = moved(deltas[rows, labels + 1], self.proposals[rows], self.of.weights)
        boxes = clip(boxes, self.size_hw)
        (large,) = lib.where((boxes[:, 2:] - boxes[:, :2] >= self.of.smallest).all(-1))
        rows, labels = rows[large], labels[large]
        return Candidates(boxes[large], labels, scores[rows, labels], row=rows, group=labels)

    def where(self, numbers: Float[Array, "k numbers"], row: int) -> dict[str, Any]:
        """The proposal of a row."""
        del numbers  # that there is one row per proposal is known
        return {"proposal": row}

    def trace(self, numbers: Float[Array, "k numbers"], row: int, label: int = 0) -> Trace:
        """The proposal of a row, and what was said of it as an object of class `label`.

        Among the raw numbers is the logit of the background, which shares in the softmax.
        """
        deltas, logits = self.of.parts(np.asarray(numbers[row : row + 1], np.float32))
        said, start = deltas[:, label + 1], np.asarray(self.proposals[row : row + 1], np.float32)
        box = moved(said, start, self.of.weights)
        background, *others = logits[0].tolist()
        numbers_by_name = zip(("tx", "ty", "tw", "th"), said[0].tolist(), strict=True)
        return Trace(
            where=self.where(numbers, row),
            start=tuple(start[0].tolist()),
            box=tuple(clip(box, self.size_hw)[0].tolist()),
            raw={**dict(numbers_by_name), "background": background},
            class_logits=tuple(others),
            steps=_steps(said[0], start, box, self.of.weights),
            objectness=None,
            class_scores=tuple(softmax(logits)[0, 1:].tolist()),
        )

    def nearest(
        self, box: Float[Array, "4"], numbers: Float[Array, "k numbers"]
    ) -> Float[Array, "k 4"]:
        """For every proposal the box that `encode` would aim at, as `moved` gives it back."""
        del numbers  # that there is one row per proposal is known
        return _aimed_at(box, self.proposals, self.of.weights)
