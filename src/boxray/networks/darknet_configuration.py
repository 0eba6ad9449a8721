"""Reads a Darknet `.cfg` file as a canvas and a list of layers, without torch.

Every option of every section is checked; what boxray does not know, or does not do, is refused by
name, file and line. Options that steer Darknet's own training are checked and left aside, except
those of the heads that define the loss.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from boxray.coders.anchors import PriorSizes
from boxray.errors import ModelError
from boxray.networks.darknet_layers import (
    PICTURE,
    Activation,
    Convolutional,
    Layer,
    Map,
    Maxpool,
    Region,
    Reorg,
    Route,
    Shortcut,
    Upsample,
    Yolo,
    levels_of,
)
from boxray.networks.darknet_sections import LARGEST, Section, sections

LARGEST_FILE = 1_000_000  # bytes
MOST_LAYERS = 2000
LARGEST_SIDE = 4096  # pixels, of a canvas
MOST_CHANNELS = 16384
MOST_CLASSES = 10_000


@dataclass(frozen=True)
class Configuration:
    """What a `.cfg` file says. canvas_hw: height and width in pixels that it was made for."""

    canvas_hw: tuple[int, int]
    layers: tuple[Layer, ...]


def read(path: Path | str) -> Configuration:
    """The configuration in a file. Raises ModelError for one that cannot be read, or as `parse`."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ModelError(f"cannot read the configuration {str(path)!r}: {reason}.") from error
    if len(content) > LARGEST_FILE:
        raise ModelError(f"{path} is longer than {LARGEST_FILE} bytes: no .cfg file is.")
    return parse(text, str(path))


def parse(text: str, name: str) -> Configuration:
    """The configuration in a text; `name` is what errors call it.

    Raises ModelError, with the line, for an unknown section or option, a value that is not what
    it must be, layers that do not fit each other, and heads that are not of one network.
    """
    found = sections(text, name)
    if not found or found[0].kind not in ("net", "network"):
        raise ModelError(f"{name}: a Darknet configuration starts with the section [net].")
    net, *rest = found
    if not 0 < len(rest) <= MOST_LAYERS:
        raise net.error(f"expected 1 to {MOST_LAYERS} layers, got {len(rest)}.")
    canvas_hw = _canvas(net)
    layers: list[Layer] = []
    maps = [PICTURE]
    for section in rest:
        layer = _layer(section)
        try:
            maps.append(layer.after(maps))
        except ModelError as error:
            raise section.error(str(error)) from error
        layers.append(layer)
        _require_reasonable(section, maps[-1])
    try:
        coarsest = levels_of(layers)[-1].stride
    except ModelError as error:
        raise ModelError(f"{name}: {error}") from error
    if any(side % coarsest for side in canvas_hw):
        raise net.error(f"height and width must be multiples of {coarsest}, got {canvas_hw}.")
    return Configuration(canvas_hw, tuple(layers))


def _require_reasonable(section: Section, made: Map) -> None:
    if made.channels > MOST_CHANNELS or made.stride > LARGEST_SIDE:
        raise section.error(f"{made} is beyond any network: is a number of it a slip?")


def _canvas(net: Section) -> tuple[int, int]:
    canvas_hw = net.whole("height", high=LARGEST_SIDE), net.whole("width", high=LARGEST_SIDE)
    net.only("channels", 3, "pictures have red, green and blue")
    net.unused("batch", "subdivisions", "momentum", "decay", "angle", "saturation", "exposure")
    net.unused("hue", "learning_rate", "burn_in", "max_batches", "steps", "scales", "random")
    if "policy" in net.options:
        net.word("policy", ("constant", "steps", "step", "exp", "poly", "sig", "random"))
    net.finish()
    return canvas_hw


def _layer(section: Section) -> Layer:
    if section.kind not in READERS:
        raise section.error(
            f"boxray knows no such layer; it knows {', '.join(f'[{kind}]' for kind in READERS)}."
        )
    layer = READERS[section.kind](section)
    section.finish()
    return layer


def _activation(section: Section) -> Activation:
    return cast(Activation, section.word("activation", get_args(Activation)))


def _convolutional(section: Section) -> Convolutional:
    size = section.whole("size", 1, high=99)
    # Darknet pads by size // 2 where pad=1, else by `padding`: here both must keep the map's size
    near = size // 2 if section.flag("pad") else section.whole("padding", 0, low=0)
    section.whole("padding", 0, low=0)
    if 2 * near != size - 1:
        raise section.error(
            f"size={size} with {near} cells around it would cut the map: use pad=1."
        )
    return Convolutional(
        filters=section.whole("filters", high=MOST_CHANNELS),
        size=size,
        stride=section.whole("stride", 1, high=64),
        batch_normalize=section.flag("batch_normalize"),
        activation=_activation(section),
        groups=section.whole("groups", 1, high=MOST_CHANNELS),
    )


def _maxpool(section: Section) -> Maxpool:
    stride = section.whole("stride", 1, high=64)
    size = section.whole("size", stride, high=99)
    section.only("padding", size - 1, "a map would be cut")
    return Maxpool(size, stride)


def _reorg(section: Section) -> Reorg:
    for name in ("reverse", "flatten", "extra"):
        section.only(name, 0, "no published detector uses it")
    return Reorg(section.whole("stride", high=64))


def _upsample(section: Section) -> Upsample:
    section.only("scale", 1, "no published detector uses it")
    return Upsample(section.whole("stride", 2, high=64))


def _route(section: Section) -> Route:
    groups = section.whole("groups", 1, high=MOST_CHANNELS)
    return Route(
        layers=section.wholes("layers", low=-LARGEST),
        groups=groups,
        group=section.whole("group_id", 0, low=0, high=groups - 1),
    )


def _shortcut(section: Section) -> Shortcut:
    return Shortcut(section.whole("from", low=-LARGEST), _activation(section))


def _priors(section: Section, *, low: float, high: float) -> PriorSizes:
    count = section.whole("num", 1, high=1000)
    sides = section.numbers("anchors", low=low, high=high)
    if len(sides) != 2 * count:
        line = section.options["anchors"].line
        raise section.error(
            f"num={count} anchors need {2 * count} numbers, width before height, got {len(sides)}.",
            line,
        )
    return tuple(zip(sides[::2], sides[1::2], strict=True))


def _region(section: Section) -> Region:
    section.only("coords", 4, "a box has four")
    section.only("background", 0, "background is no class")
    section.only("bias_match", 1, "truths are given to anchors by their shapes")
    section.unused("jitter", "random", "absolute")
    return Region(
        class_count=section.whole("classes", high=MOST_CLASSES),
        priors=_priors(section, low=1e-3, high=1e5),
        softmax=section.flag("softmax"),
        ignore_iou=section.number("thresh", 0.5, low=0.0, high=1.0),
        rescore=section.flag("rescore"),
        object_scale=section.number("object_scale", 1.0, low=0.0, high=1e6),
        no_object_scale=section.number("noobject_scale", 1.0, low=0.0, high=1e6),
        class_scale=section.number("class_scale", 1.0, low=0.0, high=1e6),
        box_scale=section.number("coord_scale", 1.0, low=0.0, high=1e6),
        most_truths=section.whole("max", 30),
    )


def _yolo(section: Section) -> Yolo:
    priors = _priors(section, low=1e-2, high=1e5)
    mask = section.wholes("mask", range(len(priors)), low=0, high=len(priors) - 1)
    if len(set(mask)) < len(mask):
        raise section.error(f"mask names an anchor twice: {mask}.", section.options["mask"].line)
    section.unused("jitter", "random", "thresh")  # thresh: a score threshold of OpenCV's
    return Yolo(
        class_count=section.whole("classes", high=MOST_CLASSES),
        priors=priors,
        mask=mask,
        ignore_iou=section.number("ignore_thresh", 0.5, low=0.0, high=1.0),
        truth_iou=section.number("truth_thresh", 1.0, low=0.0, high=1.0),
        most_truths=section.whole("max", 90),
    )


READERS: dict[str, Callable[[Section], Layer]] = {
    "convolutional": _convolutional,
    "maxpool": _maxpool,
    "reorg": _reorg,
    "route": _route,
    "shortcut": _shortcut,
    "upsample": _upsample,
    "region": _region,
    "yolo": _yolo,
}
