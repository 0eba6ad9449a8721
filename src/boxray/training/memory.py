"""What a training step needs of memory, and in how many portions a batch therefore goes."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor

from boxray.engines.pytorch import normalise
from boxray.recipes.recipe import Recipe
from boxray.training.objective import first_pass

SHARE = 0.4  # of the free memory that what a step remembers may take
WORKING = 1.5  # gradients of the moment and scratch space, against what is remembered


def bytes_per_picture(recipe: Recipe) -> int:
    """What the network remembers of one picture between the forward and the backward pass."""
    network = copy.deepcopy(recipe.network).train()
    remembered: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        remembered[storage.data_ptr()] = storage.nbytes()
        return tensor

    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    # two pictures, for batch norm sees none alone where a map is one cell
    pixels = torch.full((2, 3, *recipe.canvas_hw), 127, dtype=torch.uint8)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        first_pass(recipe, network, normalise(pixels, recipe.mean, recipe.std))
    return sum(size for place, size in remembered.items() if place not in weights) // 2


def portions_for(batch: int, picture_bytes: int, free_bytes: int) -> int:
    """The fewest equal portions of a batch that fit into the memory."""
    fits = max(1, int(free_bytes * SHARE / (picture_bytes * WORKING)))
    return math.ceil(batch / fits)
