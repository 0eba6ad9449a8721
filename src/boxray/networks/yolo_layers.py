"""The layers of the published YOLOv2 and YOLOv3, without a `.cfg` file and without torch.

Sources: Redmon & Farhadi 2017, table 6 (Darknet-19) and section 2; 2018, table 1 (Darknet-53) and
section 2.3; the tiny and spp variants as their authors' configurations have them. Priors are in
canvas pixels, by level, finest first.
"""

from __future__ import annotations

from itertools import chain

from boxray.coders.anchors import PriorSizes
from boxray.networks.darknet_layers import (
    Convolutional,
    Layer,
    Maxpool,
    Region,
    Reorg,
    Route,
    Shortcut,
    Upsample,
    Yolo,
)

Layers = list[Layer]
REGION_STRIDE = 32  # pixels per cell of YOLOv2, whose anchors are told in cells
HALVE = Maxpool(2, 2)


def yolov2(class_count: int, priors: tuple[PriorSizes, ...]) -> tuple[Layer, ...]:
    """Darknet-19, and its map of stride 16 laid beside the last one by a reorg."""
    layers: Layers = [Convolutional(32, 3), HALVE, Convolutional(64, 3), HALVE]
    for filters, count in ((128, 3), (256, 3), (512, 5), (1024, 5)):
        layers += [_alternating(filters, place) for place in range(count)]
        layers += [HALVE] if filters < 1024 else []
    layers += [Convolutional(1024, 3), Convolutional(1024, 3)]
    layers += [Route((-9,)), Convolutional(64, 1), Reorg(2), Route((-1, -4))]
    layers += [Convolutional(1024, 3)]
    return tuple(layers + _region(class_count, priors, rescore=True))


def yolov2_tiny(class_count: int, priors: tuple[PriorSizes, ...]) -> tuple[Layer, ...]:
    """Seven convolutions, then one of 512 channels."""
    layers = [*_tiny_backbone(), Convolutional(512, 3)]
    return tuple(layers + _region(class_count, priors, rescore=False))


def yolov3(
    class_count: int, priors: tuple[PriorSizes, ...], *, spatial_pyramid: bool = False
) -> tuple[Layer, ...]:
    """Darknet-53 and heads on strides 32, 16 and 8. spatial_pyramid: pools of 5, 9 and 13 cells."""
    layers: Layers = [Convolutional(32, 3)]
    ends = []  # the last layer of each stage
    for filters, repeats in ((64, 1), (128, 2), (256, 8), (512, 8), (1024, 4)):
        layers.append(Convolutional(filters, 3, 2))
        for _ in range(repeats):
            layers += [Convolutional(filters // 2, 1), Convolutional(filters, 3), Shortcut(-3)]
        ends.append(len(layers) - 1)
    layers += _neck(512, pools=spatial_pyramid) + _yolo(class_count, priors, level=2)
    for level, width, end in ((1, 256, ends[3]), (0, 128, ends[2])):
        layers += _from_coarser(width, end)
        layers += _neck(width, pools=False) + _yolo(class_count, priors, level=level)
    return tuple(layers)


def yolov3_tiny(class_count: int, priors: tuple[PriorSizes, ...]) -> tuple[Layer, ...]:
    """Seven convolutions and heads on strides 32 and 16."""
    layers = [*_tiny_backbone(), Convolutional(256, 1), Convolutional(512, 3)]
    layers += _yolo(class_count, priors, level=1)
    layers += [*_from_coarser(128, 8), Convolutional(256, 3)]
    return tuple(layers + _yolo(class_count, priors, level=0))


def _tiny_backbone() -> Layers:
    layers: Layers = []
    for filters in (16, 32, 64, 128, 256):
        layers += [Convolutional(filters, 3), HALVE]
    return [*layers, Convolutional(512, 3), Maxpool(2, 1), Convolutional(1024, 3)]


def _alternating(filters: int, place: int) -> Layer:
    """3 × 3 of all channels, then 1 × 1 of half of them, and so on."""
    return Convolutional(filters // 2, 1) if place % 2 else Convolutional(filters, 3)


def _neck(width: int, *, pools: bool) -> Layers:
    """1 × 1 and 3 × 3 convolutions in turn, six in all, the pools after the third."""
    turn: Layers = [Convolutional(width, 1), Convolutional(2 * width, 3)]
    if not pools:
        return turn * 3
    pyramid: Layers = [Maxpool(5, 1), Route((-2,)), Maxpool(9, 1), Route((-4,)), Maxpool(13, 1)]
    beside = Route((-1, -3, -5, -6))
    return [*turn, Convolutional(width, 1), *pyramid, beside, *turn, *turn]


def _from_coarser(width: int, finer: int) -> Layers:
    """The coarser level's features, doubled in size, beside layer `finer`'s."""
    return [Route((-4,)), Convolutional(width, 1), Upsample(2), Route((-1, finer))]


def _output(channels: int) -> Layer:
    return Convolutional(channels, 1, batch_normalize=False, activation="linear")


def _yolo(class_count: int, priors: tuple[PriorSizes, ...], *, level: int) -> Layers:
    start = sum(len(finer) for finer in priors[:level])
    mask = tuple(range(start, start + len(priors[level])))
    head = Yolo(class_count, tuple(chain(*priors)), mask)
    return [_output(len(mask) * (5 + class_count)), head]


def _region(class_count: int, priors: tuple[PriorSizes, ...], *, rescore: bool) -> Layers:
    cells = tuple((width / REGION_STRIDE, height / REGION_STRIDE) for width, height in priors[0])
    return [
        _output(len(cells) * (5 + class_count)),
        Region(class_count, cells, rescore=rescore),
    ]
