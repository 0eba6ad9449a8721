"""Raw output that is known: of a detector that answers perfectly, and of one that knows nothing.

Both are written with the recipe's own coder, so that decoding, selection, loss and metric can be
tried before a network has learned anything.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from boxray.boxes import Array, centre_size, iou, size_iou
from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas
from boxray.coders.yolo_grid import YoloGrid
from boxray.networks.heads import GridHead
from boxray.protocols import Raw, TrainedCoder
from boxray.recipes.recipe import Recipe

SURE = 20.0  # a logit: σ(20) is 1 in single precision
SAME_FIT = 1e-3  # starts of one size differ by their edges' rounding, by as much for one of a pixel
PRIOR_PROBABILITY = 0.01  # of every recipe's objectness or classes at first

Size = tuple[int, int]


def answering_rows(
    coder: TrainedCoder, boxes: Float[Array, "n 4"], size_hw: Size
) -> Int[Array, "n"]:
    """For each box, in canvas pixels, the row of the most similar size, in the nearest cell.

    Source: Redmon & Farhadi 2017, section 2.
    """
    starts, wanted = centre_size(coder.starts(size_hw)), centre_size(boxes)
    fit = size_iou(starts[:, 2:], wanted[:, 2:])
    away = np.abs(starts[:, None, :2] - wanted[None, :, :2]).max(2)
    best = fit >= fit.max(0, initial=0) - SAME_FIT
    return np.where(best, away, np.inf).argmin(0)


def perfect(
    coder: TrainedCoder,
    boxes: Float[Array, "n 4"],
    labels: Int[Array, "n"],
    size_hw: Size,
) -> Raw:
    """The raw output that means exactly these boxes and classes, in canvas pixels.

    Of two that want the same row the later one is said.
    """
    places = _places(coder, size_hw)
    said = np.full(places.shape, -SURE, np.float32)
    said[:, :4] = 0
    rows, class_count = answering_rows(coder, boxes, size_hw), coder.class_count
    said[rows, :4] = coder.encode(boxes, rows, size_hw)
    said[rows, 4:-class_count] = SURE  # objectness, where there is one
    said[rows, labels - class_count] = SURE
    return _maps(coder, said, size_hw)


@dataclass(frozen=True)
class Knowing:
    """A two-stage engine that knows, picture by picture, which boxes and labels are there."""

    truths: Iterator[tuple[Float[Array, "n 4"], Int[Array, "n"]]]
    proposal_coder: TrainedCoder
    coder: ProposalDeltas
    canvas_hw: Size

    def propose(self, canvases: Array) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        """The boxes and labels stand where feature maps do."""
        del canvases
        boxes, labels = next(self.truths)
        raw = perfect(self.proposal_coder, boxes, np.zeros_like(labels), self.canvas_hw)
        return (boxes, labels), tuple(level[None] for level in raw)

    def refine(
        self, features: tuple[Array, ...], boxes: Float[Array, "k 4"]
    ) -> Float[Array, "k numbers"]:
        """Each proposal named and moved like the truth that it overlaps most, if by half."""
        truths, labels = features
        return second_look(self.coder, boxes, truths, labels, self.canvas_hw)


def second_look(
    coder: ProposalDeltas,
    proposals: Float[Array, "k 4"],
    boxes: Float[Array, "n 4"],
    labels: Int[Array, "n"],
    canvas_hw: Size,
) -> Float[Array, "k numbers"]:
    """What a box head says that knows the truths: boxes and labels."""
    count = coder.class_count + 1
    deltas = np.zeros((len(proposals), count, 4), np.float32)
    logits = np.full((len(proposals), count), -SURE, np.float32)
    logits[:, 0] = SURE
    if len(boxes) and len(proposals):
        overlap = iou(boxes, proposals)
        nearest = overlap.argmax(0)
        (rows,) = np.nonzero(overlap.max(0) >= 0.5)
        named = labels[nearest[rows]] + 1
        placed = coder.at(proposals, canvas_hw)
        deltas[rows, named] = placed.encode(boxes[nearest[rows]], rows)
        logits[rows, named], logits[rows, 0] = SURE, -SURE
    return np.concatenate([deltas.reshape(len(proposals), -1), logits], 1)


class Silent(nn.Module):
    """In place of a recipe's network: it says what an untaught head is meant to say.

    Every row says its start (all box numbers 0), an objectness or, of anchors, every class of
    0.01 (Lin et al. 2017, focal loss, section 3.3); the classes of a cell what the head's bias
    says; a proposal network and a box head nothing at all: logits of 0.
    """

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe
        self.numbers = _untaught(recipe)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        """One raw array per level, the same in every cell."""
        size_hw = (image.shape[-2], image.shape[-1])
        said = np.tile(self.numbers, (len(_places(self.recipe.coder, size_hw)), 1))
        maps = _maps(self.recipe.coder, said, size_hw)
        return tuple(torch.from_numpy(m).expand(len(image), *m.shape) for m in maps)

    def propose(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The pictures stand where feature maps do."""
        return (image,), self(image)

    def refine(
        self, features: tuple[Tensor, ...], boxes: list[Float[Tensor, "_ 4"]]
    ) -> Float[Tensor, "k numbers"]:
        """Zeros."""
        assert self.recipe.second is not None
        return features[0].new_zeros(sum(map(len, boxes)), self.recipe.second.coder.numbers)


def _untaught(recipe: Recipe) -> Float[np.ndarray, "numbers"]:
    """The numbers of one row."""
    coder, quiet = recipe.coder, math.log(PRIOR_PROBABILITY / (1 - PRIOR_PROBABILITY))
    if isinstance(coder, YoloGrid):
        grid_head = any(isinstance(part, GridHead) for part in recipe.network.modules())
        named = math.log(1 / max(coder.class_count, 2)) if grid_head else 0.0
        return np.array([0, 0, 0, 0, quiet] + [named] * coder.class_count, np.float32)
    assert isinstance(coder, AnchorDeltas)
    logit = quiet if recipe.second is None else 0.0
    return np.array([0, 0, 0, 0] + [logit] * coder.class_count, np.float32)


def _places(coder: TrainedCoder, size_hw: Size) -> Int[np.ndarray, "rows numbers"]:
    """Where each number of each row stands in the maps, all levels one after another."""
    every = np.arange(_total(coder, size_hw), dtype=np.float64)  # whole numbers, exactly
    return np.asarray(coder.flatten(_split(coder, every, size_hw))).astype(np.int64)


def _maps(coder: TrainedCoder, said: Float[np.ndarray, "rows numbers"], size_hw: Size) -> Raw:
    """Rows of numbers as one map per level: undone by `coder.flatten`."""
    flat = np.empty(_total(coder, size_hw), np.float32)
    flat[_places(coder, size_hw)] = said
    return _split(coder, flat, size_hw)


def _split(coder: TrainedCoder, flat: Array, size_hw: Size) -> Raw:
    ends = np.cumsum([math.prod(shape) for shape in _shapes(coder, size_hw)])
    parts = np.split(flat, ends[:-1])
    return tuple(p.reshape(s) for p, s in zip(parts, _shapes(coder, size_hw), strict=True))


def _total(coder: TrainedCoder, size_hw: Size) -> int:
    return sum(math.prod(shape) for shape in _shapes(coder, size_hw))


def _shapes(coder: TrainedCoder, size_hw: Size) -> list[tuple[int, int, int]]:
    return [
        (channels, -(-size_hw[0] // stride), -(-size_hw[1] // stride))
        for channels, stride in zip(coder.channels, coder.strides, strict=True)
    ]
