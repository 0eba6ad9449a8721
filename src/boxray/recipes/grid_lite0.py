"""The default: a small YOLO-style detector on EfficientNet-Lite0, built for CPUs.

    boxray train DATA --output RUN

What it reaches, in which time and from which command stands in docs/experiments.md.
"""

from __future__ import annotations

from boxray.augmentation import Augmentation
from boxray.coders.yolo_grid import YoloGrid
from boxray.losses import GridLoss
from boxray.networks.backbones import LITE0_CHANNELS, LITE0_STRIDES, Lite0
from boxray.networks.heads import GridHead
from boxray.networks.necks import Pyramid, separable
from boxray.networks.one_stage import OneStageNetwork
from boxray.recipes.recipe import Blueprint, Optimisation, PriorsByLevel, Recipe, clustered
from boxray.selection import Thresholds

LEVELS = len(LITE0_STRIDES)
PRIORS_PER_LEVEL = 3
WIDTH = 96


def grid_lite0(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """Three levels of three priors on a light pyramid; stem and first three stages stay ImageNet's.

    priors: per level, finest first, in canvas pixels. pretrained: False leaves the backbone
    random, for weights that are loaded afterwards.
    """
    head = GridHead(
        WIDTH,
        levels=LEVELS,
        priors_per_level=PRIORS_PER_LEVEL,
        class_count=class_count,
        prior_probability=0.01,
        tower=separable,
    )
    return Recipe(
        name="grid-lite0",
        canvas_hw=canvas_hw,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        network=OneStageNetwork(
            Lite0(frozen_stages=4, pretrained=pretrained), Pyramid(LITE0_CHANNELS, WIDTH), head
        ),
        coder=YoloGrid(class_count, LITE0_STRIDES, priors, stretch=2.0),
        loss=GridLoss(box=2.5, objectness=1.0, classification=1.0, focus=1.5, smoothing=0.1),
        augmentation=Augmentation(
            zoom=(0.6, 1.6),
            mosaic_zoom=(0.4, 1.0),
            mosaic_share=0.5,
            squeeze=1.3,
            colour=0.3,
            visible=0.35,
            mixup_share=0.2,
            erasing=0.3,
        ),
        optimisation=Optimisation(
            learning_rate=2e-3,
            backbone_share=0.025,
            weight_decay=0.02,
            warm_up=0.03,
            final_share=0.02,
            clip_norm=20.0,
            sizes=((0.0, 0.6), (0.35, 0.8), (0.7, 1.0)),
            mosaic_until=0.8,
            average_share=0.1,
        ),
        thresholds=Thresholds(score_threshold=0.25, iou_threshold=0.5, max_detections=100),
        mixed=True,
    )


BLUEPRINTS = {
    "grid-lite0": Blueprint(grid_lite0, size=352, priors=clustered(LEVELS, PRIORS_PER_LEVEL)),
}
