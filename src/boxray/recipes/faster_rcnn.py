"""Faster R-CNN (Ren et al. 2015) with a feature pyramid (Lin et al. 2017), small and as published.

    boxray train DATA --recipe faster-rcnn-lite0 --output RUN

The network on ResNet-50 is torchvision's and loads its weights (networks/published.py); from
nothing it wants more pictures and time than a CPU has. docs/experiments.md says what was reached.
"""

from __future__ import annotations

from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas
from boxray.coders.anchors import scaled
from boxray.losses.anchors import BoxHeadLoss, ProposalLoss
from boxray.networks.anchor_heads import ProposalHead
from boxray.networks.backbones import LITE0_CHANNELS, LITE0_STRIDES, Lite0, TimmBackbone
from boxray.networks.necks import FeaturePyramid
from boxray.networks.two_stage import BoxHead, TwoStageNetwork
from boxray.recipes.recipe import (
    Blueprint,
    PriorsByLevel,
    Recipe,
    SecondStage,
    fixed,
)
from boxray.recipes.training_numbers import AUGMENTATION, LITE0, RESNET50
from boxray.selection import Thresholds

RATIOS = (0.5, 1.0, 2.0)  # height / width
LITE0_SIDES = ((24,), (48,), (96,), (192,))  # of the anchors of each level, in canvas pixels
PAPER_SIDES = ((32,), (64,), (128,), (256,), (512,))
PAPER_STRIDES = (4, 8, 16, 32)
LITE0_WIDTH, LITE0_HIDDEN = 64, 256
PAPER_WIDTH, PAPER_HIDDEN = 256, 1024


def proposals(limit: int, most: int) -> Thresholds:
    """At most `limit` of each level enter suppression, at most `most` proposals come out of it."""
    return Thresholds(
        score_threshold=0.0,
        iou_threshold=0.7,
        limit_before=None,
        limit_before_per_group=limit,
        suppress_within="group",
        max_detections=most,
    )


def detections(score_threshold: float) -> Thresholds:
    """Suppression within a class, and at most a hundred detections."""
    return Thresholds(
        score_threshold=score_threshold, iou_threshold=0.5, limit_before=None, max_detections=100
    )


def faster_rcnn_lite0(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """Levels from stride 8 on, 64 channels, few proposals and a small box head."""
    strides = (*LITE0_STRIDES, 2 * LITE0_STRIDES[-1])
    network = TwoStageNetwork(
        Lite0(frozen_stages=4, pretrained=pretrained),
        FeaturePyramid(LITE0_CHANNELS, LITE0_WIDTH, "pool"),
        ProposalHead(LITE0_WIDTH, anchors=len(RATIOS)),
        BoxHead(
            LITE0_WIDTH,
            strides=LITE0_STRIDES,
            hidden=LITE0_HIDDEN,
            class_count=class_count,
            canonical=112,
        ),
    )
    return Recipe(
        name="faster-rcnn-lite0",
        canvas_hw=canvas_hw,
        mean=(127.0, 127.0, 127.0),
        std=(128.0, 128.0, 128.0),
        network=network,
        coder=AnchorDeltas(1, strides, priors),
        loss=ProposalLoss(),
        augmentation=AUGMENTATION,
        optimisation=LITE0,
        thresholds=detections(0.3),
        second=SecondStage(
            coder=ProposalDeltas(class_count),
            loss=BoxHeadLoss(sampled=128),
            proposals=proposals(500, 300),
            taught=proposals(500, 500),
        ),
    )


def faster_rcnn_resnet50(
    class_count: int,
    priors: PriorsByLevel,
    canvas_hw: tuple[int, int],
    *,
    pretrained: bool = True,
) -> Recipe:
    """The paper's with a pyramid, as torchvision has it; no weights come with pip."""
    del pretrained
    backbone = TimmBackbone("resnet50", (2, 3, 4, 5))
    network = TwoStageNetwork(
        backbone,
        FeaturePyramid(backbone.channels, PAPER_WIDTH, "pool"),
        ProposalHead(PAPER_WIDTH, anchors=len(RATIOS)),
        BoxHead(PAPER_WIDTH, strides=PAPER_STRIDES, hidden=PAPER_HIDDEN, class_count=class_count),
    )
    return Recipe(
        name="faster-rcnn-resnet50",
        canvas_hw=canvas_hw,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        network=network,
        coder=AnchorDeltas(1, (*PAPER_STRIDES, 64), priors),
        loss=ProposalLoss(),
        augmentation=AUGMENTATION,
        optimisation=RESNET50,
        thresholds=detections(0.3),
        second=SecondStage(
            coder=ProposalDeltas(class_count),
            loss=BoxHeadLoss(),
            proposals=proposals(1000, 1000),
            taught=proposals(2000, 2000),
        ),
    )


BLUEPRINTS = {
    "faster-rcnn-lite0": Blueprint(
        faster_rcnn_lite0, size=320, priors=fixed(scaled(LITE0_SIDES, RATIOS))
    ),
    "faster-rcnn-resnet50": Blueprint(
        faster_rcnn_resnet50, size=800, priors=fixed(scaled(PAPER_SIDES, RATIOS))
    ),
}
