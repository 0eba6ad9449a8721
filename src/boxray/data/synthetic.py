"""A small made-up data set with exact boxes: coloured shapes on soft textures, written as VOC.

For tests and demonstrations: learned in seconds, and every box is known to the pixel.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np
from PIL import Image, ImageDraw

from boxray.boxes import intersection
from boxray.errors import OutputError, SettingError

Box = tuple[int, int, int, int]
SIDES = (96, 160)  # pixels, of the images
DIAMETERS = (20, 56)  # pixels, of the shapes
MOST_OBJECTS = 4


def make(
    folder: Path | str,
    *,
    images: int,
    seed: int,
    classes: Sequence[str] = ("circle", "square", "triangle"),
) -> Path:
    """Write `images` pictures with annotations and splits into a new `folder`, and return it.

    Every fifth picture is in `val`, the others are in `train`. The same seed gives the same
    annotations everywhere, and the same pixels with the same Pillow. Each class has its own hue;
    the shapes circle, square, triangle take turns. Raises OutputError for a folder in use.
    """
    folder = Path(folder)
    if images < 1 or not classes:
        raise SettingError(f"expected at least 1 image and 1 class, got {images} and {classes}.")
    if folder.exists() and any(folder.iterdir()):
        raise OutputError(f"{folder} is not empty: give a new folder for the made-up data.")
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    stems = [f"shapes_{number:05d}" for number in range(images)]
    for number, stem in enumerate(stems):
        picture, objects = draw(np.random.default_rng([seed, number]), len(classes))
        picture.save(folder / "JPEGImages" / f"{stem}.jpg", quality=92)
        rows = [(classes[label], box) for label, box in objects]
        text = _xml(stem, picture.size, rows)
        (folder / "Annotations" / f"{stem}.xml").write_text(text, "utf-8")
    lists = folder / "ImageSets" / "Main"
    held_out = stems[4::5]
    (lists / "val.txt").write_text("".join(f"{stem}\n" for stem in held_out), "utf-8")
    learned = [stem for stem in stems if stem not in held_out]
    (lists / "train.txt").write_text("".join(f"{stem}\n" for stem in learned), "utf-8")
    return folder


def draw(rng: np.random.Generator, class_count: int) -> tuple[Image.Image, list[tuple[int, Box]]]:
    """One picture and its objects: label and edges x0, y0, x1, y1 in pixels. None overlap."""
    width, height = (int(side) for side in rng.integers(SIDES[0], SIDES[1] + 1, 2))
    picture = _texture(rng, width, height)
    objects: list[tuple[int, Box]] = []
    for _ in range(int(rng.integers(1, MOST_OBJECTS + 1))):
        label = int(rng.integers(class_count))
        diameter = int(rng.integers(DIAMETERS[0], DIAMETERS[1] + 1))
        left, top = int(rng.integers(width - diameter)), int(rng.integers(height - diameter))
        mask = _shape(label % 3, diameter, left, top, picture.size)
        box = mask.getbbox()
        if box is None or _touches(box, [other for _, other in objects]):
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


def _touches(box: Box, others: list[Box]) -> bool:
    if not others:
        return False
    one, many = np.array([box], np.float64), np.array(others, np.float64)
    return bool(intersection(one, many).any())


def _xml(stem: str, size: tuple[int, int], objects: list[tuple[str, Box]]) -> str:
    """The annotation as VOC writes it: the first pixel is 1, the last one is included."""
    rows = "".join(
        f"<object><name>{escape(name)}</name><truncated>0</truncated><difficult>0</difficult>"
        f"<bndbox><xmin>{x0 + 1}</xmin><ymin>{y0 + 1}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax>"
        "</bndbox></object>\n"
        for name, (x0, y0, x1, y1) in objects
    )
    return (
        f"<annotation>\n<filename>{stem}.jpg</filename>\n"
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>\n"
        f"{rows}</annotation>\n"
    )
