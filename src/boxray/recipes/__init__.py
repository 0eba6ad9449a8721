"""Recipes: one function per detector, holding all its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from boxray.augmentation import Augmentation
from boxray.coders.yolo_grid import YoloGrid
from boxray.losses import GridLoss
from boxray.selection import Thresholds


@dataclass(frozen=True)
class Optimisation:
    """The numbers of the training loop.

    learning_rate: of the new layers, for AdamW at its peak; backbone_share: the backbone's part
    of it; warm_up: share of the training with a rising rate; final_share: of the peak at the end.
    sizes: (share of the training, canvas side) where each side begins, side relative to the full
    one. mosaic_until: share of the training after which whole pictures only are shown.
    average_share: the exponential average remembers about this share of the steps so far.
    """

    learning_rate: float
    backbone_share: float
    weight_decay: float
    warm_up: float
    final_share: float
    clip_norm: float
    sizes: tuple[tuple[float, float], ...]
    mosaic_until: float
    average_share: float


@dataclass(frozen=True)
class Recipe:
    """A detector to be trained, and how: everything but data and time."""

    name: str
    canvas_hw: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    network: nn.Module
    coder: YoloGrid
    loss: GridLoss
    augmentation: Augmentation
    optimisation: Optimisation
    thresholds: Thresholds
