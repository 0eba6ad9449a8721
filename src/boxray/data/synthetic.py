"""A small made-up data set with exact boxes: coloured shapes on soft textures.

For tests and demonstrations: learned in seconds, and every box is known to the pixel.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageDraw

from boxray.boxes import area, intersection
from boxray.data.formats import named
from boxray.data.parts import Part
from boxray.errors import OutputError, SettingError
from boxray.records import Sample, Truths

Box = tuple[int, int, int, int]
SIDES = (96, 160)  # pixels, of the images
MOST_OBJECTS = 4
# How a picture is stored so that its EXIF orientation turns it back (images.load undoes it).
_STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@dataclass(frozen=True)
class Dials:
    """How hard a made-up data set is; as it stands, easy.

    diameters: the least and the largest, in pixels. overlap: the share of a shape's box, or of one
    drawn before, that both may have in common. imbalance: how many times rarer each class is than
    the one before it. label_noise: the share of objects whose annotation is wrong: another class,
    a box shifted by half its size, or none at all, in turn; the same seed without it gives the
    truth. exif: pictures are stored in the eight orientations in turn, and boxes are annotated as
    they are seen.
    """

    diameters: tuple[int, int] = (20, 56)
    overlap: float = 0.0
    imbalance: float = 1.0
    label_noise: float = 0.0
    exif: bool = False

    def __post_init__(self) -> None:
        least, largest = self.diameters
        if not 2 <= least <= largest < SIDES[0]:
            raise SettingError(f"diameters are {self.diameters}: expected 2 to {SIDES[0] - 1}.")
        if not (0 <= self.overlap <= 1 and 0 <= self.label_noise <= 1 and self.imbalance >= 1):
            raise SettingError(
                "expected overlap and label_noise from 0 to 1 and imbalance from 1, "
                f"got {self.overlap}, {self.label_noise} and {self.imbalance}."
            )


EASY = Dials()


def make(
    folder: Path | str,
    *,
    images: int,
    seed: int,
    classes: Sequence[str] = ("circle", "square", "triangle"),
    dials: Dials = EASY,
    format: str = "voc",  # noqa: A002  the word that users type
) -> Path:
    """Write `images` pictures with annotations and splits into a new `folder`, and return it.

    Every fifth picture is in `val`, the others are in `train`. The same seed gives the same
    annotations everywhere, and the same pixels with the same Pillow. Each class has its own hue;
    the shapes circle, square, triangle take turns. Raises OutputError for a folder in use.
    """
    folder, line = Path(folder), named(format)
    if images < 1 or not classes:
        raise SettingError(f"expected at least 1 image and 1 class, got {images} and {classes}.")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty: give a new folder for the made-up data.")
    folder.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Sample]] = {"train": [], "val": []}
    for number in range(images):
        split = "val" if number % 5 == 4 else "train"
        place = folder / line.pictures.format(split=split) / f"shapes_{number:05d}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        picture, objects = draw(np.random.default_rng([seed, number]), len(classes), dials)
        _save(picture, place, number % 8 + 1 if dials.exif else 1)
        noisy = _with_noise(objects, np.random.default_rng([seed, number, 1]), len(classes), dials)
        parts[split].append(_sample(place, picture.size, noisy))
    written = [
        Part(split, tuple(samples), tuple(sample.path.name for sample in samples))
        for split, samples in parts.items()
    ]
    line.write(written, tuple(classes), folder)
    return folder


def _save(picture: Image.Image, place: Path, orientation: int) -> None:
    """The picture in a file, stored so that this EXIF orientation shows it upright."""
    exif = Image.Exif()
    if orientation > 1:
        exif[ExifTags.Base.Orientation] = orientation
        picture = picture.transpose(_STORED[orientation])
    picture.save(place, quality=92, exif=exif)


def _with_noise(
    objects: list[tuple[int, Box]], rng: np.random.Generator, class_count: int, dials: Dials
) -> list[tuple[int, Box]]:
    """The objects as a careless person annotates them."""
    annotated = []
    for i, (label, (x0, y0, x1, y1)) in enumerate(objects):
        if rng.uniform() >= dials.label_noise:
            annotated.append((label, (x0, y0, x1, y1)))
        elif i % 3 == 0 and class_count > 1:
            annotated.append(((label + 1) % class_count, (x0, y0, x1, y1)))
        elif i % 3 == 1:
            half = (x1 - x0) // 2
            shift = half if x0 < half else -half
            annotated.append((label, (x0 + shift, y0, x1 + shift, y1)))
    return annotated


def _sample(place: Path, size_wh: tuple[int, int], objects: list[tuple[int, Box]]) -> Sample:
    boxes = np.array([box for _, box in objects], np.float64).reshape(-1, 4)
    labels = np.array([label for label, _ in objects], np.int64)
    return Sample(place, size_wh[::-1], Truths.of(boxes, labels))


def draw(
    rng: np.random.Generator, class_count: int, dials: Dials = EASY
) -> tuple[Image.Image, list[tuple[int, Box]]]:
    """One picture and its objects: label and edges x0, y0, x1, y1 in pixels."""
    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    picture = _texture(rng, width, height)
    objects: list[tuple[int, Box]] = []
    for _ in range(int(rng.integers(1, MOST_OBJECTS + 1))):
        label = _label(rng, class_count, dials.imbalance)
        diameter = int(rng.integers(dials.diameters[0], dials.diameters[1] + 1))
        left, top = int(rng.integers(width - diameter)), int(rng.integers(height - diameter))
        mask = _shape(label % 3, diameter, left, top, picture.size)
        box = mask.getbbox()
        if box is None or _covered(box, [other for _, other in objects]) > dials.overlap:
            continue
        hue = label / class_count + float(rng.uniform(-0.02, 0.02))
        red, green, blue = colorsys.hsv_to_rgb(hue % 1, 0.9, float(rng.uniform(0.8, 1)))
        picture.paste((int(255 * red), int(255 * green), int(255 * blue)), mask=mask)
        objects.append((label, box))
    return picture, objects


def _texture(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """A soft grey pattern with a touch of colour."""
    grey = rng.integers(90, 170, (8, 8, 1)) + rng.integers(-10, 11, (8, 8, 3))
    patches = Image.fromarray(grey.astype(np.uint8))
    return patches.resize((width, height), Image.Resampling.BICUBIC)


def _shape(kind: int, diameter: int, left: int, top: int, size: tuple[int, int]) -> Image.Image:
    """A mask of the picture's size; its own bounds are the exact box."""
    mask = Image.new("1", size)
    pen = ImageDraw.Draw(mask)
    right, bottom = left + diameter - 1, top + diameter - 1  # Pillow draws the last pixel too
    if kind == 0:
        pen.ellipse((left, top, right, bottom), fill=1)
    elif kind == 1:
        pen.rectangle((left, top, right, bottom), fill=1)
    else:
        pen.polygon([((left + right) // 2, top), (right, bottom), (left, bottom)], fill=1)
    return mask


def _label(rng: np.random.Generator, class_count: int, imbalance: float) -> int:
    if imbalance == 1:
        return int(rng.integers(class_count))
    weights = imbalance ** -np.arange(class_count, dtype=np.float64)
    return int(rng.choice(class_count, p=weights / weights.sum()))


def _covered(box: Box, others: list[Box]) -> float:
    """The largest share of a box that it has in common with another, of the smaller of the two."""
    if not others:
        return 0.0
    one, many = np.array([box], np.float64), np.array(others, np.float64)
    smaller = np.minimum(area(one)[:, None], area(many)[None])
    return float((intersection(one, many) / smaller).max())
