"""One update of a network's weights, and of their average."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from boxray.engines.pytorch import normalise
from boxray.recipes.recipe import Recipe
from boxray.training import objective
from boxray.training.arithmetic import fabric_of
from boxray.training.optimiser import adamw
from boxray.training.pictures import Batch, targets_of


@dataclass(frozen=True)
class Learner:
    """What learns. average: the weights' moving average, which is what is validated and exported.

    portions: in how many parts a batch is worked through before one step is taken, so that less
    memory is needed; losses are means over the batch, batch norm sees a portion at a time.
    """

    recipe: Recipe
    fabric: Fabric
    network: nn.Module
    average: nn.Module
    optimizer: torch.optim.Optimizer
    portions: int

    def step(self, batch: Batch, *, rate: float, seed: int, number: int) -> dict[str, float]:
        """Learn from a batch; its losses. rate: the share of each group's highest learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * rate
        self.network.train()
        torch.manual_seed(seed + number)  # of samples; so resuming repeats them
        losses: dict[str, float] = {}
        for portion, share in portions(batch, self.portions):
            for name, value in self._learn(portion, share, number * len(batch[1])).items():
                losses[name] = losses.get(name, 0.0) + share * value
        self.fabric.clip_gradients(
            self.network, self.optimizer, max_norm=self.recipe.optimisation.clip_norm
        )
        self.optimizer.step()
        self.optimizer.zero_grad()
        self._follow(number)
        return losses

    def _learn(self, batch: Batch, share: float, seen: int) -> dict[str, float]:
        """Add a portion's gradients to those of the batch."""
        pixels, truths, _ = batch
        device = self.fabric.device
        image = normalise(pixels.to(device), self.recipe.mean, self.recipe.std)
        targets = [targets_of(t, device) for t in truths]
        losses = objective.losses(self.recipe, self.network, image, targets, seen=seen)
        total = torch.stack(list(losses.values())).sum()
        self.fabric.backward(total if share == 1 else total * share)
        return {name: float(value.detach()) for name, value in losses.items()}

    @torch.no_grad()
    def _follow(self, number: int) -> None:
        """Move the average towards the weights: a memory of the last share of the steps so far."""
        memory = 1 + self.recipe.optimisation.average_share * number
        pairs = zip(
            self.average.state_dict().values(), self.network.state_dict().values(), strict=True
        )
        floats = [(a, b) for a, b in pairs if a.is_floating_point()]
        torch._foreach_lerp_([a for a, _ in floats], [b for _, b in floats], 1 / memory)


def learner_of(recipe: Recipe, values: Mapping[str, Any]) -> Learner:
    """A recipe's network at its first step. values: of the resolved settings."""
    fabric = fabric_of(values["device"], values["precision"])
    network = recipe.network.to(memory_format=torch.channels_last)
    average = copy.deepcopy(network).to(fabric.device).requires_grad_(False)
    optimizer = adamw(network, recipe.optimisation, values["learning_rate"])
    network, optimizer = fabric.setup(network, optimizer)
    return Learner(recipe, fabric, network, average, optimizer, values["accumulate"])


def portions(batch: Batch, count: int) -> Iterator[tuple[Batch, float]]:
    """A batch in at most `count` parts of nearly one size, each with its share of the pictures."""
    pixels, truths, complaints = batch
    size = -(-len(truths) // count)
    for start in range(0, len(truths), size):
        part = truths[start : start + size]
        yield (pixels[start : start + size], part, complaints), len(part) / len(truths)
