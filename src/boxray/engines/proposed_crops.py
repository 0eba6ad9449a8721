"""R-CNN's two steps: boxes proposed without learning, then a classifier on each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, UInt8

from boxray import images
from boxray.boxes import Array
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.coders.listed_boxes import listed
from boxray.coders.windows import Meanings
from boxray.engines.crops import Crops
from boxray.engines.proposals import Proposer

Said: TypeAlias = tuple[Float32[Array, "k _"], ...]

# Of a box's width and height, added on each side before it is cut out: 16 pixels in a crop of 227.
# Source: Girshick et al. 2014, appendix A, with p = 16.
CONTEXT = 16 / (227 - 2 * 16)


@runtime_checkable
class Head(Protocol):
    """What a classifier says of k crops, as the numbers that `ProposalDeltas` reads."""

    def __call__(self, said: Said) -> Float32[Array, "k numbers"]: ...


@dataclass(frozen=True)
class AlignedHead:
    """Classes that mean others, as probabilities; no box is moved, for nobody learned how.

    What the classifier puts on classes that mean none of the targets is background.
    """

    meanings: Meanings

    def __call__(self, said: Said) -> Float32[Array, "k numbers"]:
        scores = self.meanings.scores(said[0])
        background = 1 - scores.sum(1, keepdims=True)
        shares = np.concatenate([background, scores], 1)
        still = np.zeros((len(shares), 4 * shares.shape[1]), np.float32)
        # softmax undoes the logarithm; a share of nothing has none
        logits = np.log(np.clip(shares, np.finfo(np.float32).tiny, None), dtype=np.float32)
        return np.concatenate([still, logits], 1)


def learned_head(said: Said) -> Float32[Array, "k numbers"]:
    """Logits of background and classes, then deltas of each, of a classifier that learned both."""
    logits, deltas = said
    return np.concatenate([deltas, logits], 1)


@dataclass(frozen=True)
class ProposedCrops:
    """Boxes from a proposer, each cut out of the canvas, classified, and read by a head.

    context: how much of a box's size is added on each side before it is cut out, where there is
    canvas. coder: of the numbers that the head says.
    """

    proposer: Proposer
    crops: Crops
    head: Head
    coder: ProposalDeltas
    context: float = CONTEXT

    def propose(
        self, canvases: UInt8[Array, "n h w 3"]
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """The one canvas as its own feature map, and the boxes as `ListedBoxes` reads them."""
        return (canvases,), tuple(raw[None] for raw in listed(proposed_on(self.proposer, canvases)))

    def refine(
        self, features: tuple[Array, ...], boxes: Float[Array, "k 4"]
    ) -> Float32[Array, "k numbers"]:
        """What the head makes of the crops of these boxes, in canvas pixels."""
        if not len(boxes):
            return np.zeros((0, self.coder.numbers), np.float32)
        return self.head(self.crops(features[0][0], widened(boxes, self.context)))


def widened(boxes: Float[Array, "n 4"], context: float) -> Float[Array, "n 4"]:
    """Boxes with this share of their width and height added on each side."""
    size = boxes[:, 2:] - boxes[:, :2]
    return boxes + context * np.concatenate([-size, size], 1)


def proposed_on(proposer: Proposer, canvases: UInt8[Array, "1 h w 3"]) -> Float[Array, "n 4"]:
    """The proposals on one canvas, in its pixels, as if there were no padding around the picture.

    Else the padding's edge would be the strongest contour of all. Rows and columns at the borders
    that are nothing but the padding's grey are left away.
    """
    (canvas,) = canvases
    shown = (canvas != images.PADDING).any(-1)
    (rows,), (columns,) = shown.any(1).nonzero(), shown.any(0).nonzero()
    if not len(rows):
        return np.zeros((0, 4))
    top, left = rows[0], columns[0]
    picture = canvas[top : rows[-1] + 1, left : columns[-1] + 1]
    return proposer(picture) + np.array([left, top, left, top])
