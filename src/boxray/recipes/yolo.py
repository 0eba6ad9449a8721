"""YOLOv2 and YOLOv3 (Redmon & Farhadi 2017, 2018), as published and on a small backbone.

    boxray train DATA --recipe yolov3-lite0 --output RUN

The published networks start from nothing here and want more pictures and time than a CPU has;
their Darknet weights are run by `boxray export MODEL.cfg --weights FILE`. The losses are the
original ones, except that no truth of a crowded picture is left out. Priors are found in the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from boxray.coders.anchors import PriorSizes
from boxray.coders.yolo_grid import YoloGrid
from boxray.losses.darknet import DarknetLoss, loss_of
from boxray.networks import yolo_layers
from boxray.networks.backbones import LITE0_CHANNELS, LITE0_STRIDES, Lite0
from boxray.networks.darknet import DarknetNetwork
from boxray.networks.darknet_layers import Layer, coder_of
from boxray.networks.heads import GridHead
from boxray.networks.necks import Concatenation
from boxray.networks.one_stage import OneStageNetwork
from boxray.recipes.recipe import Blueprint, PriorsByLevel, Recipe, clustered
from boxray.recipes.training_numbers import AUGMENTATION, LITE0
from boxray.selection import Thresholds

LITE0_WIDTH = 96
PRIORS_PER_LEVEL = 3
REGION_PRIORS = 5

OPTIMISATION = replace(LITE0, clip_norm=1000.0)  # the losses are sums over the batch
THRESHOLDS = Thresholds(score_threshold=0.25, iou_threshold=0.45, max_detections=100)


def published(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,  # noqa: ARG001  # nothing is: Darknet's weights do not come with pip
    name: str,
    layers: Callable[[int, tuple[PriorSizes, ...]], tuple[Layer, ...]],
) -> Recipe:
    """A published network by its layers, from random weights, on pixels from 0 to 1."""
    described = layers(class_count, priors)
    loss = replace(loss_of(described), most_truths=None)
    return Recipe(
        name=name,
        canvas_hw=canvas_hw,
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        network=DarknetNetwork(described, prior_probability=0.01),
        coder=coder_of(described),
        loss=loss,
        augmentation=AUGMENTATION,
        optimisation=OPTIMISATION,
        thresholds=THRESHOLDS,
        early_loss=partial(loss, seen=0),
        early_images=loss.pull_until,
    )


def yolov3_lite0(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """YOLOv3's neck, heads, coder and loss on EfficientNet-Lite0."""
    levels = len(LITE0_STRIDES)
    numbers = range(levels * PRIORS_PER_LEVEL)
    head = GridHead(
        LITE0_WIDTH,
        levels=levels,
        priors_per_level=PRIORS_PER_LEVEL,
        class_count=class_count,
        prior_probability=0.01,
    )
    return Recipe(
        name="yolov3-lite0",
        canvas_hw=canvas_hw,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        network=OneStageNetwork(
            Lite0(frozen_stages=4, pretrained=pretrained),
            Concatenation(LITE0_CHANNELS, LITE0_WIDTH),
            head,
        ),
        coder=YoloGrid(class_count, LITE0_STRIDES, priors),
        loss=DarknetLoss(
            priors=tuple(prior for level in priors for prior in level),
            masks=tuple(
                tuple(numbers[start : start + PRIORS_PER_LEVEL])
                for start in numbers[::PRIORS_PER_LEVEL]
            ),
            ignore_iou=0.7,
        ),
        augmentation=AUGMENTATION,
        optimisation=OPTIMISATION,
        thresholds=THRESHOLDS,
    )


def _of_paper(
    name: str, layers: Callable[..., tuple[Layer, ...]], levels: int, each: int
) -> Blueprint:
    build = partial(published, name=name, layers=layers)
    return Blueprint(build, size=416, priors=clustered(levels, each))


SPATIAL_PYRAMID = partial(yolo_layers.yolov3, spatial_pyramid=True)
BLUEPRINTS = {
    "yolov3-lite0": Blueprint(
        yolov3_lite0, size=320, priors=clustered(len(LITE0_STRIDES), PRIORS_PER_LEVEL)
    ),
    "yolov3-tiny": _of_paper("yolov3-tiny", yolo_layers.yolov3_tiny, 2, PRIORS_PER_LEVEL),
    "yolov3": _of_paper("yolov3", yolo_layers.yolov3, 3, PRIORS_PER_LEVEL),
    "yolov3-spp": _of_paper("yolov3-spp", SPATIAL_PYRAMID, 3, PRIORS_PER_LEVEL),
    "yolov2-tiny": _of_paper("yolov2-tiny", yolo_layers.yolov2_tiny, 1, REGION_PRIORS),
    "yolov2": _of_paper("yolov2", yolo_layers.yolov2, 1, REGION_PRIORS),
}
