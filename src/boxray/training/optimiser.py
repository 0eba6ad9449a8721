"""Which weight learns how fast."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from boxray.recipes.recipe import Optimisation


def adamw(network: nn.Module, numbers: Optimisation, learning_rate: float) -> torch.optim.AdamW:
    """AdamW with the new layers at `learning_rate` and the backbone at its share of it.

    Biases and batch norm are not decayed. Each group keeps its highest rate under "peak".
    Source: Loshchilov & Hutter 2019.
    """
    groups: list[dict[str, Any]] = []
    for part, layers in network.named_children():
        trained = [w for w in layers.parameters() if w.requires_grad]
        peak = learning_rate * (numbers.backbone_share if part == "backbone" else 1)
        for decay, weights in (
            (numbers.weight_decay, [w for w in trained if w.ndim > 1]),
            (0.0, [w for w in trained if w.ndim <= 1]),
        ):
            groups.append({"params": weights, "lr": peak, "peak": peak, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)  # in one pass over the memory
