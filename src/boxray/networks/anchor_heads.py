"""Heads that say deltas and scores for anchors: RetinaNet's, and that of a proposal network."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


class RetinaHead(nn.Module):
    """Two towers of 3×3 convolutions, shared by all levels: one ends in classes, one in deltas.

    Per level a map of A·4 deltas, then A·C class logits (the order of `AnchorDeltas`).
    depth: convolutions of a tower before its last; groups: of a group norm behind each of them, 0
    for none. prior_probability: what every class's sigmoid says before training, so that the many
    empty anchors do not drown the first steps.
    Source: Lin et al. 2017 (focal loss), sections 3.3 and 4; group norm: Zhang et al. 2020 (ATSS).
    """

    def __init__(
        self,
        width: int,
        *,
        anchors: int,
        class_count: int,
        depth: int = 4,
        groups: int = 0,
        prior_probability: float = 0.01,
    ) -> None:
        super().__init__()
        self.class_tower = _tower(width, depth, groups)
        self.box_tower = _tower(width, depth, groups)
        self.classes = nn.Conv2d(width, anchors * class_count, 3, padding=1)
        self.boxes = nn.Conv2d(width, anchors * 4, 3, padding=1)
        _small_weights(self)
        logit = math.log(prior_probability / (1 - prior_probability))
        self.classes.bias = nn.Parameter(torch.full((anchors * class_count,), logit))

    def forward(self, maps: list[Float[Tensor, "n c _ _"]]) -> tuple[Tensor, ...]:
        """One raw array per level, finest first: (n, A·(4 + C), rows, columns)."""
        return tuple(
            torch.cat([self.boxes(self.box_tower(m)), self.classes(self.class_tower(m))], 1)
            for m in maps
        )


class ProposalHead(nn.Module):
    """One 3×3 convolution, shared by all levels, then objectness and deltas of each anchor.

    Per level a map of A·4 deltas, then A logits: that of `AnchorDeltas` for a single class.
    Source: Ren et al. 2015, section 3.1.
    """

    def __init__(self, width: int, *, anchors: int) -> None:
        super().__init__()
        self.tower = _tower(width, 1, 0)
        self.objectness = nn.Conv2d(width, anchors, 1)
        self.boxes = nn.Conv2d(width, anchors * 4, 1)
        _small_weights(self)

    def forward(self, maps: list[Float[Tensor, "n c _ _"]]) -> tuple[Tensor, ...]:
        """One raw array per level, finest first: (n, A·5, rows, columns)."""
        towers = [self.tower(m) for m in maps]
        return tuple(torch.cat([self.boxes(t), self.objectness(t)], 1) for t in towers)


def _tower(width: int, depth: int, groups: int) -> nn.Sequential:
    return nn.Sequential(*(_block(width, groups) for _ in range(depth)))


def _block(width: int, groups: int) -> nn.Sequential:
    convolution = nn.Conv2d(width, width, 3, padding=1, bias=groups == 0)
    norm = [nn.GroupNorm(groups, width)] if groups else []
    return nn.Sequential(convolution, *norm, nn.ReLU(inplace=True))


def _small_weights(head: nn.Module) -> None:
    for layer in head.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
