"""What training does to pictures: zoom, shift, flip and colour, four in one (mosaic), two seen
through each other (mixup), and parts of objects hidden (erasing).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch.nn import functional

from boxray import images
from boxray.boxes import Array, area, clip
from boxray.images import Placement

GREY = 127  # the canvas outside the picture; zero after the default network's normalisation
SMALLEST = 2  # pixels: what is narrower or lower after cutting is noise, and no truth


@dataclass(frozen=True)
class Picture:
    """A decoded image with its truths, on its way to the network.

    ignored: rows that count neither way: difficult, crowd, or mostly cut off by augmentation.
    """

    image: UInt8[np.ndarray, "h w 3"]
    boxes: Float[np.ndarray, "n 4"]
    labels: Int[np.ndarray, "n"]
    ignored: Bool[np.ndarray, "n"]


@dataclass(frozen=True)
class Augmentation:
    """The numbers of a recipe's augmentation.

    zoom: smallest and largest size against the letterboxed picture; mosaic_zoom: the same for
    each of the four pictures of a mosaic; squeeze: largest change of the aspect ratio;
    colour: largest relative change of brightness, contrast and saturation;
    visible: a truth cut below this share of its area is ignored. mixup_share: canvases on which
    two pictures are seen through each other; erasing: objects of which a part is hidden; mirror:
    canvases of which left and right are swapped.
    """

    zoom: tuple[float, float]
    mosaic_zoom: tuple[float, float]
    mosaic_share: float
    squeeze: float
    colour: float
    visible: float
    mixup_share: float = 0.0
    erasing: float = 0.0
    mirror: float = 0.5


class Placed(NamedTuple):
    """Where a picture lies on a canvas, and in which window of it: top, left, bottom, right."""

    picture: Picture
    placement: Placement
    window: tuple[int, int, int, int]


def augment(
    pictures: Sequence[Picture],
    size_hw: tuple[int, int],
    numbers: Augmentation,
    random: np.random.Generator,
) -> Picture:
    """One training canvas from one picture, two or four; deterministic in `random`.

    Two are seen through each other (`mixup`), four make a mosaic.
    """
    if len(pictures) == 4:
        canvas = mosaic(pictures, size_hw, numbers, random)
    elif len(pictures) == 2:
        canvas = mixup(pictures, size_hw, numbers, random)
    else:
        canvas = zoom_and_shift(pictures[0], size_hw, numbers, random)
    if numbers.erasing > 0:
        erase(canvas, numbers.erasing, random)
    return flip_and_colour(canvas, numbers, random)


def zoom_and_shift(
    picture: Picture,
    size_hw: tuple[int, int],
    numbers: Augmentation,
    random: np.random.Generator,
) -> Picture:
    """The picture at a random scale and place; a place that shows as much of it as fits."""
    resized = _random_size(picture, size_hw, numbers.zoom, numbers.squeeze, random)
    slack = [canvas - size for canvas, size in zip(size_hw, resized, strict=True)]
    top, left = (int(random.integers(min(s, 0), max(s, 0) + 1)) for s in slack)
    placement = Placement(picture.image.shape[:2], size_hw, resized, (top, left))
    return _assembled([Placed(picture, placement, (0, 0, *size_hw))], numbers.visible)


def mosaic(
    pictures: Sequence[Picture],
    size_hw: tuple[int, int],
    numbers: Augmentation,
    random: np.random.Generator,
) -> Picture:
    """Four pictures that meet in one point near the middle of the canvas.

    Shows objects smaller and among strangers. Source: Bochkovskiy et al. 2020 (YOLOv4), sec. 3.3.
    """
    height, width = size_hw
    y, x = (int(side * random.uniform(0.35, 0.65)) for side in size_hw)
    windows = (0, 0, y, x), (0, x, y, width), (y, 0, height, x), (y, x, height, width)
    placed = []
    for picture, window in zip(pictures, windows, strict=True):
        resized = _random_size(picture, size_hw, numbers.mosaic_zoom, numbers.squeeze, random)
        top = y if window[0] == y else y - resized[0]
        left = x if window[1] == x else x - resized[1]
        placement = Placement(picture.image.shape[:2], size_hw, resized, (top, left))
        placed.append(Placed(picture, placement, window))
    return _assembled(placed, numbers.visible)


def mixup(
    pictures: Sequence[Picture],
    size_hw: tuple[int, int],
    numbers: Augmentation,
    random: np.random.Generator,
) -> Picture:
    """Two pictures seen through each other, about half of each, with the truths of both.

    So no object is known by its surroundings alone. Source: Zhang et al. 2019 (bag of freebies for
    training object detection), section 3.1, there with truths that weigh what their picture does.
    """
    first, second = (zoom_and_shift(picture, size_hw, numbers, random) for picture in pictures)
    share = random.uniform(0.4, 0.6)
    image = first.image * np.float32(share) + second.image * np.float32(1 - share)
    return Picture(
        np.rint(image).astype(np.uint8),
        np.concatenate([first.boxes, second.boxes]),
        np.concatenate([first.labels, second.labels]),
        np.concatenate([first.ignored, second.ignored]),
    )


def erase(canvas: Picture, share: float, random: np.random.Generator) -> None:
    """Hide a part of some objects under a rectangle of one colour, in place.

    share: of the objects that are taught. So none is known by a single part. Source: Zhong et al.
    2020 (random erasing), section 3, each object a picture of its own.
    """
    taught = canvas.boxes[~canvas.ignored]
    for x0, y0, x1, y1 in taught[random.random(len(taught)) < share]:
        hidden, shape = random.uniform(0.1, 0.35), np.exp(random.uniform(-0.7, 0.7))
        width, height = (x1 - x0) * np.sqrt(hidden * shape), (y1 - y0) * np.sqrt(hidden / shape)
        left, top = random.uniform(x0, x1 - width), random.uniform(y0, y1 - height)
        rows = slice(round(top), round(top + height))
        columns = slice(round(left), round(left + width))
        canvas.image[rows, columns] = random.integers(256, size=3)


def flip_and_colour(
    picture: Picture, numbers: Augmentation, random: np.random.Generator
) -> Picture:
    """Left and right swapped in a share of them; brightness, contrast and saturation changed."""
    flipped = random.random() < numbers.mirror
    brightness, contrast, saturation = 1 + numbers.colour * random.uniform(-1, 1, size=3)
    image = _coloured(Image.fromarray(picture.image), brightness, contrast, saturation)
    if not flipped:
        return replace(picture, image=np.array(image))
    width = np.float32(image.width)
    x0, y0, x1, y1 = picture.boxes.T
    boxes = np.stack([width - x1, y0, width - x0, y1], axis=1)
    mirrored = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return replace(picture, image=np.array(mirrored), boxes=boxes)


def _coloured(
    image: Image.Image, brightness: float, contrast: float, saturation: float
) -> Image.Image:
    """Each pixel x becomes b (c (s x + (1 - s) w x) + (1 - c) m), cut to what a byte holds.

    b, c, s: brightness, contrast and saturation, each 1 for no change; w x: the pixel's grey; m:
    the picture's mean grey. One linear map, for the three do not depend on their order.
    Source: Haeberli & Voorhies 1994, "Image processing by interpolation and extrapolation".
    """
    grey = np.tile(images.LUMA, (3, 1))
    mean = np.asarray(image.reduce(8)).mean((0, 1)) @ images.LUMA
    mixed = brightness * contrast * (saturation * np.eye(3) + (1 - saturation) * grey)
    shifted = np.full((3, 1), brightness * (1 - contrast) * mean)
    return image.convert("RGB", tuple(np.hstack([mixed, shifted]).ravel()))


def letterbox(picture: Picture, size_hw: tuple[int, int]) -> tuple[Picture, Placement]:
    """The picture as the detector sees it: no augmentation."""
    canvas, placement = images.fit(picture.image, size_hw)
    boxes = placement.to_canvas(picture.boxes).astype(np.float32)
    return replace(picture, image=canvas, boxes=boxes), placement


def _random_size(
    picture: Picture,
    size_hw: tuple[int, int],
    zoom: tuple[float, float],
    squeeze: float,
    random: np.random.Generator,
) -> tuple[int, int]:
    """Height and width at a random scale (log-uniform) against the letterboxed picture."""
    fitted = images.place(picture.image.shape[:2], size_hw).resized_hw
    scale = np.exp(random.uniform(*np.log(zoom)))
    stretch = np.exp(random.uniform(-1, 1) * np.log(squeeze) / 2)
    return max(1, round(fitted[0] * scale * stretch)), max(1, round(fitted[1] * scale / stretch))


def _assembled(placed: Sequence[Placed], visible: float) -> Picture:
    """All pictures pasted on one canvas, each within its window, and their truths that show."""
    canvas = np.full((*placed[0].placement.canvas_hw, 3), GREY, np.uint8)
    parts = [_paste(canvas, one, visible) for one in placed]
    boxes, labels, ignored = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Picture(canvas, boxes.astype(np.float32), labels, ignored)


def _paste(
    canvas: UInt8[np.ndarray, "h w 3"], placed: Placed, visible: float
) -> tuple[Array, Array, Array]:
    """Paint one picture into its window; the truths left, cut to it, hardly seen ones ignored."""
    picture, placement, window = placed
    top, left = placement.offset
    y0, x0 = max(top, window[0]), max(left, window[1])
    y1 = min(top + placement.resized_hw[0], window[2])
    x1 = min(left + placement.resized_hw[1], window[3])
    resized = _resized(picture.image, placement.resized_hw)
    canvas[y0:y1, x0:x1] = resized[y0 - top : y1 - top, x0 - left : x1 - left]
    corner = np.array([x0, y0, x0, y0])
    whole = placement.to_canvas(picture.boxes) - corner
    cut = clip(whole, (y1 - y0, x1 - x0))
    shows = (cut[:, 2:] - cut[:, :2] >= SMALLEST).all(1)
    share = area(cut) / np.maximum(area(whole), 1e-9)
    ignored = picture.ignored | (share < visible)
    return (cut + corner)[shows], picture.labels[shows], ignored[shows]


def _resized(image: UInt8[np.ndarray, "_ _ 3"], size_hw: tuple[int, int]) -> np.ndarray:
    """`images.resize` to within one level of 255, in a sixth of its time (docs/decisions, 37)."""
    batch_of_one = torch.from_numpy(image)[None].permute(0, 3, 1, 2)
    resized = functional.interpolate(batch_of_one, size_hw, mode="bilinear", antialias=True)
    return resized[0].permute(1, 2, 0).numpy()
