"""Boxes that say themselves: what proposes without learning lists them, the likeliest first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Float32, Int

from boxray.boxes import Array, namespace, sigmoid
from boxray.protocols import Raw
from boxray.records import Candidates, Step, Trace


def listed(boxes: Float[Array, "n 4"]) -> tuple[Float32[Array, "5 n 1"], ...]:
    """Boxes in canvas pixels, the likeliest first, as the raw output that `ListedBoxes` reads.

    The first of n boxes scores 1 - 1/2n, each next one 1/n less: an order, no probability.
    """
    scores = 1 - (np.arange(len(boxes)) + 0.5) / max(1, len(boxes))
    logits = np.log(scores / (1 - scores))
    return (np.concatenate([boxes.T, logits[None]])[:, :, None].astype(np.float32),)


@dataclass(frozen=True)
class ListedBoxes:
    """Boxes of one class, anything, that stand in the raw output as they are.

    Raw output: one map (5, n, 1): x0, y0, x1, y1 in canvas pixels and a score's logit.
    Source: the first stage of Girshick et al. 2014, section 2.1.
    """

    canvas_multiple: int = 1

    @property
    def strides(self) -> tuple[int, ...]:
        """One level, whose boxes may begin at any pixel."""
        return (1,)

    @property
    def channels(self) -> tuple[int, ...]:
        """Four edges and a logit."""
        return (5,)

    def encode(
        self,
        boxes: Float[Array, "n 4"],
        rows: Int[Array, "n"],  # noqa: ARG002  # every row says a box in the same way
        size_hw: tuple[int, int],  # noqa: ARG002
    ) -> Float[Array, "n 4"]:
        """The boxes themselves."""
        return boxes

    def flatten(self, raw: Raw) -> Float[Array, "... rows 5"]:
        """The map (…, 5, n, 1) as a row of five numbers for each box."""
        return namespace(raw[0]).swapaxes(raw[0][..., 0], -1, -2)

    def decode(self, raw: Raw, score_floor: float = 0.0) -> Candidates:
        """Every box of one image with σ(logit) ≥ score_floor; rows that are not finite are out."""
        numbers = self.flatten(raw)
        lib, scores = namespace(numbers), sigmoid(numbers[:, 4])
        (rows,) = lib.where((scores >= score_floor) & lib.isfinite(numbers).all(-1))
        none = 0 * rows
        return Candidates(numbers[rows, :4], none, scores[rows], row=rows, group=none)

    def where(self, raw: Raw, row: int) -> dict[str, Any]:
        """The box's place in the list, counted from 0."""
        return {"level": 0, "proposal": row, "of": raw[0].shape[-2]}

    def trace(self, raw: Raw, row: int, label: int = 0) -> Trace:
        """The box's place in the list, counted from 0, and its score."""
        del label  # there is one class
        numbers = np.asarray(self.flatten(raw)[row], np.float32)
        x0, y0, x1, y1, logit = numbers.tolist()
        edges = (x0, y0, x1, y1)
        return Trace(
            where=self.where(raw, row),
            start=edges,
            box=edges,
            raw={"x0": x0, "y0": y0, "x1": x1, "y1": y1},
            class_logits=(logit,),
            steps=(
                Step("x", f"({x0:.2f} + {x1:.2f})/2", (x0 + x1) / 2),
                Step("y", f"({y0:.2f} + {y1:.2f})/2", (y0 + y1) / 2),
                Step("width", f"{x1:.2f} - {x0:.2f}", x1 - x0),
                Step("height", f"{y1:.2f} - {y0:.2f}", y1 - y0),
            ),
            objectness=None,
            class_scores=(float(sigmoid(numbers[4:])[0]),),
        )

    def nearest(self, box: Float[Array, "4"], raw: Raw) -> Float[Array, "rows 4"]:  # noqa: ARG002
        """The boxes as they are: a row can say no other once they are listed."""
        return np.asarray(self.flatten(raw)[:, :4])
