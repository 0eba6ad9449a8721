"""RetinaNet (Lin et al. 2017, Focal Loss for Dense Object Detection), small and as published.

    boxray train DATA --recipe retinanet-lite0 --output RUN

The networks on ResNet-50 are torchvision's and load its weights (networks/published.py); from
nothing they want more pictures and time than a CPU has. docs/experiments.md says what was reached.
"""

from __future__ import annotations

from boxray.coders.anchor_deltas import AnchorDeltas
from boxray.coders.anchors import scaled
from boxray.losses.anchors import AnchorLoss
from boxray.networks.anchor_heads import RetinaHead
from boxray.networks.backbones import LITE0_CHANNELS, Lite0, TimmBackbone
from boxray.networks.necks import Extra, FeaturePyramid
from boxray.networks.one_stage import OneStageNetwork
from boxray.recipes.recipe import Blueprint, PriorsByLevel, Recipe, fixed
from boxray.recipes.training_numbers import AUGMENTATION, LITE0, RESNET50
from boxray.selection import Thresholds

STRIDES = (8, 16, 32, 64, 128)
RATIOS = (0.5, 1.0, 2.0)  # height / width
OCTAVES = (1.0, 2 ** (1 / 3), 2 ** (2 / 3))
ANCHORS = len(RATIOS) * len(OCTAVES)
SMALLEST_SIDE = 16  # of the small recipe's anchors, in canvas pixels; twice that on each level up
PAPER_SIDE = 32
LITE0_WIDTH, LITE0_DEPTH = 80, 2
PAPER_WIDTH, PAPER_DEPTH = 256, 4

THRESHOLDS = Thresholds(
    score_threshold=0.3,
    iou_threshold=0.5,
    limit_before=None,
    limit_before_per_group=1000,
    max_detections=300,
)


def anchors(smallest_side: int) -> PriorsByLevel:
    """Nine anchors per level: three ratios of three sides a third of an octave apart."""
    bases = [smallest_side * 2**level for level in range(len(STRIDES))]
    return scaled(tuple(tuple(int(side * octave) for octave in OCTAVES) for side in bases), RATIOS)


def retinanet_lite0(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """A pyramid of 80 channels, towers of two convolutions, anchors half the paper's sides."""
    head = RetinaHead(LITE0_WIDTH, anchors=ANCHORS, class_count=class_count, depth=LITE0_DEPTH)
    return Recipe(
        name="retinanet-lite0",
        canvas_hw=canvas_hw,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        network=OneStageNetwork(
            Lite0(frozen_stages=4, pretrained=pretrained),
            FeaturePyramid(LITE0_CHANNELS, LITE0_WIDTH, "pyramid"),
            head,
        ),
        coder=AnchorDeltas(class_count, STRIDES, priors),
        loss=AnchorLoss(beta=0.1),
        augmentation=AUGMENTATION,
        optimisation=LITE0,
        thresholds=THRESHOLDS,
    )


def retinanet_resnet50(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """The paper's, with L1 on the deltas as torchvision has it; no weights come with pip."""
    del pretrained
    head = RetinaHead(PAPER_WIDTH, anchors=ANCHORS, class_count=class_count, depth=PAPER_DEPTH)
    coder = AnchorDeltas(class_count, STRIDES, priors)
    return _resnet50("retinanet-resnet50", canvas_hw, head, "pyramid", coder, AnchorLoss())


def retinanet_resnet50_v2(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """The improved one: group norm in the towers, GIoU for the boxes, P6 from the backbone."""
    del pretrained
    head = RetinaHead(
        PAPER_WIDTH, anchors=ANCHORS, class_count=class_count, depth=PAPER_DEPTH, groups=32
    )
    coder = AnchorDeltas(class_count, STRIDES, priors)
    loss = AnchorLoss(beta=None)
    return _resnet50("retinanet-resnet50-v2", canvas_hw, head, "top", coder, loss)


def _resnet50(
    name: str,
    canvas_hw: tuple[int, int],
    head: RetinaHead,
    extra: Extra,
    coder: AnchorDeltas,
    loss: AnchorLoss,
) -> Recipe:
    backbone = TimmBackbone("resnet50", (3, 4, 5))
    return Recipe(
        name=name,
        canvas_hw=canvas_hw,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        network=OneStageNetwork(
            backbone, FeaturePyramid(backbone.channels, PAPER_WIDTH, extra), head
        ),
        coder=coder,
        loss=loss,
        augmentation=AUGMENTATION,
        optimisation=RESNET50,
        thresholds=THRESHOLDS,
    )


PAPER_ANCHORS = fixed(anchors(PAPER_SIDE))
BLUEPRINTS = {
    "retinanet-lite0": Blueprint(retinanet_lite0, size=320, priors=fixed(anchors(SMALLEST_SIDE))),
    "retinanet-resnet50": Blueprint(retinanet_resnet50, size=800, priors=PAPER_ANCHORS),
    "retinanet-resnet50-v2": Blueprint(retinanet_resnet50_v2, size=800, priors=PAPER_ANCHORS),
}
