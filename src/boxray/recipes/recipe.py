"""What a recipe is made of, and how one is found by its name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias, runtime_checkable

from jaxtyping import Float
from torch import nn

from boxray.augmentation import Augmentation
from boxray.boxes import Array
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.coders.anchors import PriorSizes, kmeans, split_by_level
from boxray.losses import Loss
from boxray.losses.anchors import BoxHeadLoss
from boxray.protocols import TrainedCoder
from boxray.recipes import TABLE, known
from boxray.selection import Thresholds

PriorsByLevel: TypeAlias = tuple[PriorSizes, ...]  # finest level first, in canvas pixels


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
class SecondStage:
    """What a two-stage detector has beyond its first stage, whose network is a TwoStageNetwork.

    proposals: which are looked at again in use; taught: which ones in training, before sampling.
    """

    coder: ProposalDeltas
    loss: BoxHeadLoss
    proposals: Thresholds
    taught: Thresholds


@dataclass(frozen=True)
class Recipe:
    """A detector to be trained, and how: everything but data and time.

    coder and loss: of the raw maps, which two stages take as proposals; thresholds: of detections.
    early_loss: what is told instead of `loss` until early_images were learned from.
    mixed: whether bfloat16 is known to do for it; RetinaNet's gradients were not finite in it.
    """

    name: str
    canvas_hw: tuple[int, int]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    network: nn.Module
    coder: TrainedCoder
    loss: Loss
    augmentation: Augmentation
    optimisation: Optimisation
    thresholds: Thresholds
    second: SecondStage | None = None
    early_loss: Loss | None = None
    early_images: int = 0
    mixed: bool = False

    def loss_after(self, images: int) -> Loss:
        """What the network is told once it has learned from so many images."""
        early = self.early_loss if images < self.early_images else None
        return early or self.loss


@runtime_checkable
class Build(Protocol):
    """A recipe's function: the detector for so many classes, these priors and this canvas.

    pretrained: False leaves the backbone random, for weights that are loaded afterwards.
    """

    def __call__(
        self,
        class_count: int,
        priors: PriorsByLevel,
        canvas_hw: tuple[int, int],
        *,
        pretrained: bool = True,
    ) -> Recipe:
        """The recipe."""


@dataclass(frozen=True)
class Blueprint:
    """A recipe's function, and what must be known of a data set before it can be called.

    size: the canvas's long side in pixels unless the user says another. priors: prior sizes by
    level, from the widths and heights of the truths on the canvas.
    """

    build: Build
    size: int
    priors: Callable[[Float[Array, "n 2"]], PriorsByLevel]


def clustered(levels: int, each: int) -> Callable[[Float[Array, "n 2"]], PriorsByLevel]:
    """Priors found by k-means under IoU on the truths' sizes, `each` of them on every level."""
    return partial(_clustered, levels=levels, each=each)


def _clustered(sizes_wh: Float[Array, "n 2"], *, levels: int, each: int) -> PriorsByLevel:
    return split_by_level(kmeans(sizes_wh, levels * each), levels)


def fixed(priors: PriorsByLevel) -> Callable[[Float[Array, "n 2"]], PriorsByLevel]:
    """These priors, whatever the data."""
    return partial(_fixed, priors)


def _fixed(priors: PriorsByLevel, sizes_wh: Float[Array, "n 2"]) -> PriorsByLevel:
    del sizes_wh
    return priors


def blueprint(name: str) -> Blueprint:
    """The recipe of this name. Raises SettingError for an unknown one, with the nearest known."""
    name = known(name)
    module = importlib.import_module(f"boxray.recipes.{TABLE[name]}")
    found: Blueprint = module.BLUEPRINTS[name]
    return found
