"""The head of a grid detector: 5 + C numbers per prior and cell."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from boxray.networks.necks import convolution


def _tower(channels_in: int, channels_out: int) -> nn.Module:
    return convolution(channels_in, channels_out, 3)


class GridHead(nn.Module):
    """Per level two towers, one for where and one for what, then 1×1 to 5 + C numbers a prior.

    The first tower says tx, ty, tw, th, to of every prior, the second its C class logits: apart
    they learn faster, because what helps to name an object blurs where it ends (Song et al. 2020;
    Ge et al. 2021, section 2.1; measured in docs/experiments.md).
    Channel order: for each prior tx, ty, tw, th, to, then C class logits (the coder's order).
    prior_probability: what σ(to) says before training, so that the many empty cells do not drown
    the first steps (Lin et al. 2017, focal loss, section 3.3). tower: from channels in and out,
    what stands before the numbers, here a 3×3 convolution.
    """

    def __init__(
        self,
        width: int,
        *,
        levels: int,
        priors_per_level: int,
        class_count: int,
        prior_probability: float,
        tower: Callable[[int, int], nn.Module] = _tower,
    ) -> None:
        super().__init__()
        self.priors_per_level = priors_per_level
        self.where_towers = nn.ModuleList(tower(width, width) for _ in range(levels))
        self.what_towers = nn.ModuleList(tower(width, width) for _ in range(levels))
        where_bias = torch.zeros(priors_per_level, 5)
        where_bias[:, 4] = math.log(prior_probability / (1 - prior_probability))
        what_bias = torch.full((priors_per_level, class_count), math.log(1 / max(class_count, 2)))
        self.where = nn.ModuleList(_output(width, where_bias) for _ in range(levels))
        self.what = nn.ModuleList(_output(width, what_bias) for _ in range(levels))

    def forward(self, maps: list[Float[Tensor, "n c _ _"]]) -> tuple[Tensor, ...]:
        """One raw array per level, finest first: (n, A·(5 + C), rows, columns)."""
        return tuple(self._level(level, features) for level, features in enumerate(maps))

    def _level(self, level: int, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        where = self.where[level](self.where_towers[level](features))
        what = self.what[level](self.what_towers[level](features))
        by_prior = (self.priors_per_level, -1)
        numbers = [said.unflatten(1, by_prior) for said in (where, what)]
        return torch.cat(numbers, 2).flatten(1, 2)


def _output(width: int, bias: Float[Tensor, "priors numbers"]) -> nn.Conv2d:
    """A 1×1 convolution that says its bias at first, and little else."""
    output = nn.Conv2d(width, bias.numel(), 1)
    nn.init.normal_(output.weight, std=0.01)
    output.bias = nn.Parameter(bias.flatten().clone())  # levels must not share one memory
    return output
