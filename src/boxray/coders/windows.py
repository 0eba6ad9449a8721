"""The window coder: boxes that are known beforehand, and a classifier's logits for each.

A window is a place of fixed size; nothing moves it. For logits l of the classifier's outputs i and
the outputs of a target class c, score(c) = Σ i of c: e^l[i] / Σ e^l. What the classifier puts on
outputs that mean no target class is background: there is no number of its own for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array, like, namespace, softmax
from boxray.protocols import Raw
from boxray.records import Candidates, Step, Trace


@dataclass(frozen=True)
class Meanings:
    """Which target class each output of a classifier means, or -1 for none of them.

    of: one entry for each class of the classifier. Outputs before these, as TensorFlow's networks
    of 1,001 have one, mean none.
    """

    class_count: int
    of: tuple[int, ...]

    def scores(self, logits: Float[Array, "n outputs"]) -> Float[Array, "n classes"]:
        """For every target class the probability of all that means it; the rest is background."""
        sums = (np.array(self.of)[:, None] == np.arange(self.class_count)).astype(np.float32)
        return softmax(logits)[:, -len(self.of) :] @ like(sums, logits)


@dataclass(frozen=True)
class WindowCoder:
    """Windows of several sizes on a canvas, and what a classifier says of each.

    sizes: (height, width) of the windows of each level in canvas pixels, smallest first; steps:
    (down, across) from one window to the next. The first window of a level begins at the canvas's
    corner; those that would reach out of the canvas are left away.
    Row order of the raw output: level by level, in each the windows in reading order. Channels of
    a level's map: the logits.
    """

    meanings: Meanings
    sizes: tuple[tuple[int, int], ...]
    steps: tuple[tuple[int, int], ...]
    canvas_multiple: int = 1

    @property
    def strides(self) -> tuple[int, ...]:
        """Canvas pixels from one row of windows to the next, of each level."""
        return tuple(down for down, _ in self.steps)

    @property
    def channels(self) -> tuple[int, ...]:
        """Of each level's map: the classifier's classes."""
        return (len(self.meanings.of),) * len(self.sizes)

    def counts(self, size_hw: tuple[int, int]) -> tuple[tuple[int, int], ...]:
        """Rows and columns of each level's windows on a canvas of this size."""
        height, width = size_hw
        return tuple(
            (max(0, (height - tall) // down + 1), max(0, (width - wide) // across + 1))
            for (tall, wide), (down, across) in zip(self.sizes, self.steps, strict=True)
        )

    @lru_cache(maxsize=32)  # noqa: B019  # a coder is a few numbers: it may stay in memory
    def windows(
        self, counts: tuple[tuple[int, int], ...]
    ) -> tuple[Float[Array, "rows 4"], Int[Array, "rows"]]:
        """The box of every row, and its level, where levels have so many rows and columns."""
        boxes, levels = [], []
        for level, (count, size, step) in enumerate(
            zip(counts, self.sizes, self.steps, strict=True)
        ):
            corner = np.indices(count).reshape(2, -1).T * step
            boxes.append(np.concatenate([corner[:, ::-1], (corner + size)[:, ::-1]], 1))
            levels.append(np.full(len(corner), level))
        return np.concatenate(boxes).astype(np.float32), np.concatenate(levels)

    def flatten(self, raw: Raw) -> Float[Array, "... rows outputs"]:
        """Maps (…, outputs, rows, columns), one per level, as one row of logits per window."""
        lib = namespace(raw[0])
        rows = [level.reshape(*level.shape[:-2], -1) for level in raw]
        return lib.swapaxes(lib.concatenate(rows, -1), -1, -2)

    def encode(
        self,
        boxes: Float[Array, "n 4"],
        rows: Int[Array, "n"],  # noqa: ARG002  # whichever: no window has one
        size_hw: tuple[int, int],  # noqa: ARG002
    ) -> Float[Array, "n 0"]:
        """No numbers: a window's box is its own, and cannot be told to be another."""
        return boxes[:, :0]

    def decode(self, raw: Raw, score_floor: float = 0.0) -> Candidates:
        """Every (window, class) of one image with a score of at least score_floor.

        Rows with a logit that is not finite are out. The group is the level.
        """
        lib, logits = namespace(raw[0]), self.flatten(raw)
        scores = self.meanings.scores(logits)
        finite = lib.isfinite(logits).all(-1)
        rows, labels = lib.where((scores >= score_floor) & finite[:, None])
        boxes, levels = self.windows(_counts_of(raw))
        return Candidates(
            boxes=like(boxes, logits)[rows],
            labels=labels,
            scores=scores[rows, labels],
            row=rows,
            group=like(levels, logits)[rows],
        )

    def where(self, raw: Raw, row: int) -> dict[str, Any]:
        """Level and size of a window, and its place (column, row) in steps from the corner."""
        counts = _counts_of(raw)
        levels = self.windows(counts)[1]
        level = int(levels[row])
        line, column = divmod(row - int(np.searchsorted(levels, level)), counts[level][1])
        (tall, wide), (down, across) = self.sizes[level], self.steps[level]
        return {
            "level": level,
            "window": [wide, tall],
            "step": [across, down],
            "place": [column, line],
        }

    def trace(self, raw: Raw, row: int, label: int = 0) -> Trace:
        """Level and place of a window, the classifier's logits, and the classes' scores."""
        del label  # every class has the same box
        where = self.where(raw, row)
        (wide, tall), (across, down) = where["window"], where["step"]
        column, line = where["place"]
        box = tuple(self.windows(_counts_of(raw))[0][row].tolist())
        logits = np.asarray(self.flatten(raw)[row : row + 1], np.float32)
        return Trace(
            where=where,
            start=box,
            box=box,
            raw={},
            class_logits=tuple(logits[0].tolist()),
            steps=(
                Step("x", f"{column}·{across} + {wide}/2", column * across + wide / 2),
                Step("y", f"{line}·{down} + {tall}/2", line * down + tall / 2),
                Step("width", f"{wide}", float(wide)),
                Step("height", f"{tall}", float(tall)),
            ),
            objectness=None,
            class_scores=tuple(self.meanings.scores(logits)[0].tolist()),
        )

    def nearest(self, box: Float[Array, "4"], raw: Raw) -> Float[Array, "rows 4"]:  # noqa: ARG002
        """The windows themselves: the only boxes that their rows can say."""
        return self.windows(_counts_of(raw))[0]


def _counts_of(raw: Raw) -> tuple[tuple[int, int], ...]:
    """Rows and columns of each map."""
    return tuple((int(level.shape[-2]), int(level.shape[-1])) for level in raw)
