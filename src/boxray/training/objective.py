"""What a batch costs a network, in one stage or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from boxray.assignment import Targets
from boxray.detectors import propose
from boxray.losses.anchors import Chosen
from boxray.recipes.recipe import Recipe, SecondStage


def losses(
    recipe: Recipe,
    network: nn.Module,
    image: Float[Tensor, "n 3 h w"],
    targets: Sequence[Targets],
    *,
    seen: int | None = None,
) -> dict[str, Tensor]:
    """One named term per cause for normalised pixels; their sum is what is stepped.

    seen: how many images were learned from, where early ones are told something else.

    Two stages are taught together: the proposals of the moment, chosen without gradient, are what
    the second is asked about (Ren et al. 2015, section 3.2, approximate joint training).
    """
    return losses_of(recipe, network, first_pass(recipe, network, image), targets, seen=seen)


@dataclass(frozen=True)
class FirstPass:
    """What a network says of a batch at first; features: for a second stage, if there is one."""

    raw: tuple[Tensor, ...]
    features: tuple[Tensor, ...] = ()


def first_pass(recipe: Recipe, network: nn.Module, image: Float[Tensor, "n 3 h w"]) -> FirstPass:
    """The raw arrays of normalised pixels."""
    if recipe.second is None:
        return FirstPass(network(image))
    features, raw = network.propose(image)  # type: ignore[operator]
    return FirstPass(raw, features)


def losses_of(
    recipe: Recipe,
    network: nn.Module,
    said: FirstPass,
    targets: Sequence[Targets],
    *,
    seen: int | None = None,
) -> dict[str, Tensor]:
    """`losses` of what the network has said already."""
    loss = recipe.loss if seen is None else recipe.loss_after(seen)
    terms = loss(said.raw, targets, recipe.coder)
    if recipe.second is None:
        return terms
    chosen = choose(recipe, recipe.second, said.raw, targets)
    boxes = [one.boxes for one in chosen]
    numbers = network.refine(said.features, boxes)  # type: ignore[operator]
    return terms | recipe.second.loss(numbers, chosen, recipe.second.coder)


def choose(
    recipe: Recipe, second: SecondStage, raw: tuple[Tensor, ...], targets: Sequence[Targets]
) -> list[Chosen]:
    """Which proposals of the moment the second stage is taught on, image by image, at random."""
    images = zip(_proposals(recipe, second, raw), targets, strict=True)
    return [second.loss.choose(boxes, wanted) for boxes, wanted in images]


def _proposals(
    recipe: Recipe, second: SecondStage, raw: tuple[Tensor, ...]
) -> list[Float[Tensor, "_ 4"]]:
    """Each image's proposals of the moment."""
    said = [level.detach().cpu().numpy() for level in raw]
    found = []
    for one in zip(*said, strict=True):
        candidates = recipe.coder.decode(one)
        boxes = propose(candidates, second.taught).boxes
        found.append(torch.from_numpy(boxes).to(raw[0].device))
    return found
