"""The YOLO coder: cells, priors, and the 5 + C numbers that each prior says in each cell.

Equations (Redmon & Farhadi 2017, section 2; 2018, section 2.1) for a prior of size (pw, ph) in the
cell whose top left corner is (cx, cy), in cells of `stride` pixels:

    bx = s·σ(tx) - (s - 1)/2 + cx        bw = pw·exp(tw)        Pr(object)·IoU = σ(to)
    by = s·σ(ty) - (s - 1)/2 + cy        bh = ph·exp(th)        Pr(class | object) = σ(tclass)

The class probabilities are YOLOv3's; YOLOv2's classes exclude each other: a softmax over them.

s = 1 is the papers'. A stretch s > 1 lets a cell answer for a centre just outside it, and reach
one on its own edge with a finite tx.

Row order of the raw output: level by level, finest first; within a level prior by prior; within a
prior the cells in reading order.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, centre_size, edges, like, logit, namespace, sigmoid, softmax
from boxray.protocols import Raw
from boxray.records import Candidates, Level, Step, Trace

LARGEST_LOG_SCALE = 6.0  # exp(6) = 403 times a prior: beyond any picture, far below overflow
EDGE = 1e-5  # a centre on the last reachable point is encoded as logit(1 - EDGE)
CLASS_SCORES = {False: sigmoid, True: softmax}  # by YoloGrid.softmax: Pr(class | object)


@dataclass(frozen=True)
class Grid:
    """Where every row of the raw output stands; arrays of one entry per row."""

    level: Int[Array, "rows"]
    cell: Float[Array, "rows 2"]  # column, row
    stride: Float[Array, "rows"]
    prior: Float[Array, "rows 2"]  # width, height in canvas pixels


@dataclass(frozen=True)
class YoloGrid:
    """Encodes boxes as (tx, ty, tw, th) of a cell and prior, and decodes raw maps to candidates.

    Law: decode(encode(box, row)) = box to 1e-3 pixels, for a centre that the row's cell reaches
    and a size within exp(±largest_log_scale) of its prior; in single precision, a millionth of
    the box more.
    priors: per level, finest first, (width, height) in canvas pixels. softmax: the classes exclude
    each other, as in YOLOv2. largest_log_scale: tw and th beyond ± this count as this.
    """

    class_count: int
    strides: tuple[int, ...]
    priors: tuple[tuple[tuple[float, float], ...], ...]
    stretch: float = 1.0
    softmax: bool = False
    largest_log_scale: float = LARGEST_LOG_SCALE

    @cached_property
    def numbers(self) -> int:
        """Raw numbers per row: tx, ty, tw, th, to and the class logits."""
        return 5 + self.class_count

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level's map: the numbers of all its priors."""
        return tuple(len(level) * self.numbers for level in self.priors)

    @property
    def canvas_multiple(self) -> int:
        """The coarsest stride, which the finer ones divide."""
        return max(self.strides)

    @lru_cache(maxsize=32)  # noqa: B019  # a coder is a few numbers: it may stay in memory
    def grid(self, size_hw: tuple[int, int]) -> Grid:
        """The rows of the raw output for a canvas of this size, a multiple of every stride."""
        levels, cells, steps, sizes = [], [], [], []
        for level, (stride, priors) in enumerate(zip(self.strides, self.priors, strict=True)):
            rows, columns = np.indices([side // stride for side in size_hw]).reshape(2, -1)
            reading_order = np.stack([columns, rows], -1).astype(np.float32)
            for prior in priors:
                cells.append(reading_order)
                sizes.append(np.tile(np.array(prior, np.float32), (len(reading_order), 1)))
            count = len(reading_order) * len(priors)
            levels.append(np.full(count, level))
            steps.append(np.full(count, stride, np.float32))
        arrays = [np.concatenate(parts) for parts in (levels, cells, steps, sizes)]
        return Grid(*arrays)

    def starts(self, size_hw: tuple[int, int]) -> Float[Array, "rows 4"]:
        """The prior of every row around the middle of its cell, in canvas pixels."""
        grid = self.grid(size_hw)
        return self._starts(grid.cell, grid.stride, grid.prior)

    def _starts(
        self, cell: Float[Array, "n 2"], stride: Float[Array, "n"], prior: Float[Array, "n 2"]
    ) -> Float[Array, "n 4"]:
        return edges(np.concatenate([(cell + 0.5) * stride[:, None], prior], -1))

    def places(self, grid: Grid, array: Array) -> tuple[Array, Array, Array]:
        """Cell, stride and prior of every row, in the library of `array`."""
        return like(grid.cell, array), like(grid.stride, array), like(grid.prior, array)

    def flatten(self, raw: Raw) -> Float[Array, "... rows numbers"]:
        """Maps (…, A·(5 + C), H, W), one per level, as rows of 5 + C numbers in row order."""
        lib = namespace(raw[0])
        levels = []
        for level in raw:
            *batch, _, height, width = level.shape
            by_prior = level.reshape(*batch, -1, self.numbers, height * width)
            levels.append(lib.swapaxes(by_prior, -1, -2).reshape(*batch, -1, self.numbers))
        return lib.concatenate(levels, -2)

    def boxes(
        self,
        t: Float[Array, "... rows 4"],
        cell: Float[Array, "rows 2"],
        stride: Float[Array, "rows"],
        prior: Float[Array, "rows 2"],
    ) -> Float[Array, "... rows 4"]:
        """The equations above: boxes in canvas pixels from tx, ty, tw, th."""
        lib = namespace(t)
        reach = self.stretch * sigmoid(t[..., :2]) - (self.stretch - 1) / 2
        centre = (reach + cell) * stride[:, None]
        most = self.largest_log_scale
        size = prior * lib.exp(lib.clip(t[..., 2:4], -most, most))
        return edges(lib.concatenate([centre, size], -1))

    def encode(
        self, boxes: Float[Array, "n 4"], rows: Int[Array, "n"], size_hw: tuple[int, int]
    ) -> Float[Array, "n 4"]:
        """tx, ty, tw, th with which these rows mean these boxes (canvas pixels), row by row.

        A centre beyond the cell's reach is encoded as the nearest point within it, and a size
        beyond exp(±largest_log_scale) of the prior as that bound.
        """
        cell, stride, prior = self.places(self.grid(size_hw), boxes)
        return self._encode(boxes, cell[rows], stride[rows], prior[rows])

    def _encode(
        self,
        boxes: Float[Array, "#n 4"],
        cell: Float[Array, "n 2"],
        stride: Float[Array, "n"],
        prior: Float[Array, "n 2"],
    ) -> Float[Array, "n 4"]:
        lib, target = namespace(boxes), centre_size(boxes)
        reach = target[:, :2] / stride[:, None] - cell + (self.stretch - 1) / 2
        share = lib.clip(reach / self.stretch, EDGE, 1 - EDGE)
        most = math.exp(self.largest_log_scale)
        scale = lib.log(lib.clip(target[:, 2:] / prior, 1 / most, most))
        return lib.concatenate([logit(share), scale], -1)

    def decode(self, raw: Raw, score_floor: float = 0.0) -> Candidates:
        """Every (row, class) of one image with σ(to)·Pr(class) ≥ score_floor, in canvas pixels.

        raw: one map (A·(5 + C), H, W) per level. Rows with a number that is not finite are out.
        """
        lib = namespace(raw[0])
        numbers = self.flatten(raw)
        (hopeful,) = lib.where(sigmoid(numbers[:, 4]) >= score_floor)
        hopeful = hopeful[lib.isfinite(numbers[hopeful]).all(-1)]
        numbers = numbers[hopeful]
        scores = sigmoid(numbers[:, 4:5]) * CLASS_SCORES[self.softmax](numbers[:, 5:])
        which, labels = lib.where(scores >= score_floor)
        rows = hopeful[which]
        height, width = raw[0].shape[-2:]
        grid = self.grid((height * self.strides[0], width * self.strides[0]))
        cell, stride, prior = self.places(grid, numbers)  # of each row once
        return Candidates(
            boxes=self.boxes(numbers[:, :4], cell[hopeful], stride[hopeful], prior[hopeful])[which],
            labels=labels,
            scores=scores[which, labels],
            row=rows,
            group=like(grid.level, numbers)[rows],
        )

    def where(self, raw: Raw, row: int) -> dict[str, Any]:
        """Level, cell (column, row) and prior of a row."""
        grid = self.grid(self._canvas_hw(raw))
        return {
            "level": int(grid.level[row]),
            "stride": int(grid.stride[row]),
            "cell": grid.cell[row].astype(int).tolist(),
            "prior": grid.prior[row].tolist(),
        }

    def trace(self, raw: Raw, row: int, label: int = 0) -> Trace:
        """Level, cell and prior of a row, the numbers it said, and the equations with them."""
        del label  # every class has the same box
        grid = self.grid(self._canvas_hw(raw))
        numbers = np.asarray(self.flatten(raw)[row : row + 1], np.float32)
        cell, stride, prior = grid.cell[[row]], grid.stride[[row]], grid.prior[[row]]
        (start,) = self._starts(cell, stride, prior).tolist()
        box = self.boxes(numbers[:, :4], cell, stride, prior)
        return Trace(
            where=self.where(raw, row),
            start=tuple(start),
            box=tuple(box[0].tolist()),
            raw=dict(zip(("tx", "ty", "tw", "th", "to"), numbers[0, :5].tolist(), strict=True)),
            class_logits=tuple(numbers[0, 5:].tolist()),
            steps=self._steps(numbers[0], cell[0], prior[0], int(stride[0]), box),
            objectness=float(sigmoid(numbers[:, 4])[0]),
            class_scores=tuple(CLASS_SCORES[self.softmax](numbers[:, 5:])[0].tolist()),
        )

    def _steps(
        self,
        numbers: Float[Array, "numbers"],
        cell: Float[Array, "2"],
        prior: Float[Array, "2"],
        stride: int,
        box: Float[Array, "1 4"],
    ) -> tuple[Step, ...]:
        """The equations at the top with these numbers in them."""
        x, y, width, height = centre_size(box)[0].tolist()
        tx, ty, tw, th = numbers[:4].tolist()
        scale = "" if self.stretch == 1 else f"{self.stretch:g}·"
        shift = "" if self.stretch == 1 else f" - {(self.stretch - 1) / 2:g}"
        (column, row), (wide, high) = cell.tolist(), prior.tolist()
        most = self.largest_log_scale
        tw, th = (max(-most, min(t, most)) for t in (tw, th))
        return (
            Step("x", f"({scale}σ({tx:.3f}){shift} + {column:.0f})·{stride}", x),
            Step("y", f"({scale}σ({ty:.3f}){shift} + {row:.0f})·{stride}", y),
            Step("width", f"{wide:.4g}·exp({tw:.3f})", width),
            Step("height", f"{high:.4g}·exp({th:.3f})", height),
        )

    def levels(self, raw: Raw) -> tuple[Level, ...]:
        """Each level's cells with the highest objectness that one of its priors says."""
        return tuple(
            Level(
                name=f"stride {stride}",
                cell_hw=(stride, stride),
                priors=priors,
                prior_at=0.5,
                says="objectness",
                sureness=sigmoid(level[4 :: self.numbers]).max(0),
            )
            for stride, priors, level in zip(self.strides, self.priors, raw, strict=True)
        )

    def nearest(self, box: Float[Array, "4"], raw: Raw) -> Float[Array, "rows 4"]:
        """For every row the box that `encode` would aim at, as `boxes` gives it back."""
        grid = self.grid(self._canvas_hw(raw))
        wanted = np.asarray(box, np.float32)[None]
        t = self._encode(wanted, grid.cell, grid.stride, grid.prior)
        return self.boxes(t, grid.cell, grid.stride, grid.prior)

    def _canvas_hw(self, raw: Raw) -> tuple[int, int]:
        height, width = raw[0].shape[-2:]
        return height * self.strides[0], width * self.strides[0]
