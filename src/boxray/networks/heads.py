"""The head of a grid detector: 5 + C numbers per prior and cell."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from boxray.networks.necks import convolution


class GridHead(nn.Module):
    """Per level one 3×3 convolution, then a 1×1 to A·(5 + C) raw numbers per cell.

    Channel order: for each prior tx, ty, tw, th, to, then C class logits (the coder's order).
    prior_probability: what σ(to) says before training, so that the many empty cells do not drown
    the first steps (Lin et al. 2017, focal loss, section 3.3).
    """

    def __init__(
        self,
        width: int,
        *,
        levels: int,
        priors_per_level: int,
        class_count: int,
        prior_probability: float,
    ) -> None:
        super().__init__()
        numbers = 5 + class_count
        self.towers = nn.ModuleList(convolution(width, width, 3) for _ in range(levels))
        outputs = [nn.Conv2d(width, priors_per_level * numbers, 1) for _ in range(levels)]
        self.outputs = nn.ModuleList(outputs)
        for output in outputs:
            nn.init.normal_(output.weight, std=0.01)
            bias = torch.zeros(priors_per_level, numbers)
            bias[:, 4] = math.log(prior_probability / (1 - prior_probability))
            bias[:, 5:] = math.log(1 / max(class_count, 2))
            output.bias = nn.Parameter(bias.flatten())

    def forward(self, maps: list[Float[Tensor, "n c _ _"]]) -> tuple[Tensor, ...]:
        """One raw array per level, finest first: (n, A·(5 + C), rows, columns)."""
        return tuple(
            output(tower(m))
            for output, tower, m in zip(self.outputs, self.towers, maps, strict=True)
        )
