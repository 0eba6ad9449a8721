"""The layers of a Darknet network as plain records, without torch.

Each record says what one section of a `.cfg` says. `after` is the size arithmetic: the map that
a layer makes of the maps before it. Layers are named by their place: from 0 at the first layer,
or backwards from the layer that names them, -1 being the one just before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from boxray.coders.anchors import PriorSizes
from boxray.coders.yolo_grid import YoloGrid
from boxray.errors import ModelError

LARGEST_LOG_SCALE = 20.0  # Darknet has no limit; this one only keeps areas finite
Activation = Literal["linear", "leaky"]


@dataclass(frozen=True)
class Map:
    """A feature map: its channels, and the canvas pixels from one cell to the next."""

    channels: int
    stride: int


PICTURE = Map(channels=3, stride=1)


@dataclass(frozen=True)
class Convolutional:
    """A convolution that keeps the size of the map, or divides it by the stride."""

    filters: int
    size: int
    stride: int = 1
    batch_normalize: bool = True
    activation: Activation = "leaky"
    groups: int = 1

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        if maps[-1].channels % self.groups or self.filters % self.groups:
            raise ModelError(
                f"{maps[-1].channels} channels in and {self.filters} filters cannot be parted "
                f"into {self.groups} groups."
            )
        return Map(self.filters, maps[-1].stride * self.stride)


@dataclass(frozen=True)
class Maxpool:
    """The largest of size × size cells; the map keeps its size, or is divided by the stride."""

    size: int
    stride: int

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        return Map(maps[-1].channels, maps[-1].stride * self.stride)


@dataclass(frozen=True)
class Reorg:
    """Cells that stand together become channels of one cell, in Darknet's own order."""

    stride: int

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        if maps[-1].channels % self.stride**2:
            raise ModelError(
                f"{maps[-1].channels} channels are no multiple of the stride squared, "
                f"{self.stride**2}."
            )
        return Map(maps[-1].channels * self.stride**2, maps[-1].stride * self.stride)


@dataclass(frozen=True)
class Upsample:
    """Each cell becomes stride × stride equal ones."""

    stride: int

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        if maps[-1].stride % self.stride:
            raise ModelError(f"a map of stride {maps[-1].stride} cannot grow {self.stride} times.")
        return Map(maps[-1].channels, maps[-1].stride // self.stride)


@dataclass(frozen=True)
class Route:
    """The channels of several maps side by side; of each only one part, where there are groups."""

    layers: tuple[int, ...]
    groups: int = 1
    group: int = 0

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        sources = [maps[source(place, len(maps))] for place in self.layers]
        if len({found.stride for found in sources}) != 1:
            strides = [found.stride for found in sources]
            raise ModelError(f"maps of strides {strides} are not of one size.")
        if any(found.channels % self.groups for found in sources):
            channels = [found.channels for found in sources]
            raise ModelError(f"{channels} channels cannot be parted into {self.groups} groups.")
        return Map(sum(found.channels // self.groups for found in sources), sources[0].stride)


@dataclass(frozen=True)
class Shortcut:
    """The map before plus an earlier one."""

    layer: int
    activation: Activation = "linear"

    def after(self, maps: Sequence[Map]) -> Map:
        """The map of this layer, given the picture and all maps before."""
        other = maps[source(self.layer, len(maps))]
        if other != maps[-1]:
            raise ModelError(f"{maps[-1]} and {other} cannot be added: they must be alike.")
        return maps[-1]


@dataclass(frozen=True)
class Region:
    """YOLOv2's head: classes exclude each other. Source: Redmon & Farhadi 2017, section 2.

    priors: in cells. The rest is for training (losses.darknet): a row whose IoU with a truth is
    above ignore_iou is not told to be silent; rescore teaches objectness the IoU in place of 1.
    """

    class_count: int
    priors: PriorSizes
    softmax: bool = True
    ignore_iou: float = 0.6
    rescore: bool = True
    object_scale: float = 5.0
    no_object_scale: float = 1.0
    class_scale: float = 1.0
    box_scale: float = 1.0
    most_truths: int = 30

    @property
    def mask(self) -> tuple[int, ...]:
        """The numbers of the priors that this head uses: all of them."""
        return tuple(range(len(self.priors)))

    def after(self, maps: Sequence[Map]) -> Map:
        """The map before, once it is sure that it holds this head's numbers."""
        return _said(maps[-1], self.mask, self.class_count)

    def priors_px(self, stride: int) -> PriorSizes:
        """All priors in canvas pixels."""
        return tuple((width * stride, height * stride) for width, height in self.priors)


@dataclass(frozen=True)
class Yolo:
    """YOLOv3's head: each class for itself. Source: Redmon & Farhadi 2018, section 2.

    priors: of all heads together, in canvas pixels; mask: the numbers of those that this head
    uses. The rest is for training: a row whose IoU with a truth is above ignore_iou is not told
    to be silent, and above truth_iou answers for it.
    """

    class_count: int
    priors: PriorSizes
    mask: tuple[int, ...]
    ignore_iou: float = 0.7
    truth_iou: float = 1.0
    most_truths: int = 90

    def after(self, maps: Sequence[Map]) -> Map:
        """The map before, once it is sure that it holds this head's numbers."""
        return _said(maps[-1], self.mask, self.class_count)

    def priors_px(self, stride: int) -> PriorSizes:  # noqa: ARG002  # as Region has it
        """All priors in canvas pixels."""
        return self.priors


Head: TypeAlias = Region | Yolo
Layer: TypeAlias = Convolutional | Maxpool | Reorg | Upsample | Route | Shortcut | Head


@dataclass(frozen=True)
class Level:
    """A head, and which layer it is and on which stride it stands."""

    place: int
    stride: int
    head: Head


def source(place: int, count: int) -> int:
    """Where in the list of maps, the picture first, the layer named `place` is found.

    count: how many maps there are so far. Raises ModelError for a layer that is not before.
    """
    found = count + place if place < 0 else place + 1
    if not 0 < found < count:
        raise ModelError(f"there is no layer {place} before this one, which is layer {count - 1}.")
    return found


def maps_of(layers: Sequence[Layer]) -> list[Map]:
    """The picture, then each layer's map. Raises ModelError for layers that do not fit."""
    maps = [PICTURE]
    for place, layer in enumerate(layers):
        try:
            maps.append(layer.after(maps))
        except ModelError as error:
            raise ModelError(f"layer {place}, {type(layer).__name__}: {error}") from error
    return maps


def levels_of(layers: Sequence[Layer]) -> tuple[Level, ...]:
    """The heads, finest first, whatever their order in the network.

    Raises ModelError for heads that are not of one network: none at all, two of one stride,
    strides of maps that do not divide the coarsest head's, or other classes or priors.
    """
    maps = maps_of(layers)
    found = [
        Level(place, maps[place + 1].stride, layer)
        for place, layer in enumerate(layers)
        if isinstance(layer, Head)
    ]
    levels = tuple(sorted(found, key=lambda level: level.stride))
    strides = [level.stride for level in levels]
    if not levels or len(set(strides)) < len(strides) or any(strides[-1] % m.stride for m in maps):
        raise ModelError(
            f"heads on strides {strides}; expected at least one [region] or [yolo], each on its "
            "own stride, and no map coarser than the coarsest of them."
        )
    alike = {(type(x.head), x.head.class_count, x.head.priors_px(x.stride)) for x in levels}
    if len(alike) > 1:
        raise ModelError(
            "the heads differ in kind, classes or anchors; expected one list of classes and one "
            "of anchors, which [yolo] heads share out by mask."
        )
    return levels


def coder_of(layers: Sequence[Layer]) -> YoloGrid:
    """What the numbers of the heads mean, on priors in canvas pixels; errors as `levels_of`."""
    levels = levels_of(layers)
    head = levels[0].head
    return YoloGrid(
        class_count=head.class_count,
        strides=tuple(level.stride for level in levels),
        priors=tuple(
            tuple(level.head.priors_px(level.stride)[number] for number in level.head.mask)
            for level in levels
        ),
        softmax=isinstance(head, Region) and head.softmax,
        largest_log_scale=LARGEST_LOG_SCALE,
    )


def _said(before: Map, mask: tuple[int, ...], class_count: int) -> Map:
    wanted = len(mask) * (5 + class_count)
    if before.channels != wanted:
        raise ModelError(
            f"{len(mask)} anchors of 5 + {class_count} numbers need {wanted} channels, the layer "
            f"before has {before.channels}: set its filters to {wanted}."
        )
    return before
