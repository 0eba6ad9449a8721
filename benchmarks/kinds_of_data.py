"""What `boxray train` reaches without any setting on ten kinds of made-up data.

    python benchmarks/kinds_of_data.py [--minutes 1] [--threads 1] [--only tiny wide] [--json]

Each kind is drawn by `boxray.data.synthetic`, several of its pictures side by side: objects of
2 to 5 % of the long side, pictures four times as wide as high, or as high as wide, grey ones of
16 bits, 80 % without any object, one class with 1 % of the objects, twelve classes, one class
in 12 pictures, objects of 1 to 2 % of the long side, two hundred in each picture, and objects
whose class is the side that lies in shadow, left or right. A fifth of the pictures is held out,
and AP50 (VOC's rule) is counted on it. The formats take turns. Takes ten times N minutes and a
little.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image
from reporting import deliver, machine

from boxray.data import synthetic
from boxray.data.formats import FORMATS
from boxray.data.parts import Part
from boxray.records import Sample, Truths

TILE = 128  # pixels, of a side


class Kind(NamedTuple):
    """images: of train and held out together. grid: drawn pictures down and across in each.

    empty: the share of pictures without objects. grey: stored as 16 bits, PNG. sided: an object's
    class is which half of it is dark.
    """

    format: str
    images: int = 100
    grid: tuple[int, int] = (2, 2)
    classes: int = 3
    dials: synthetic.Dials = synthetic.EASY
    empty: float = 0.0
    grey: bool = False
    sided: bool = False


KINDS = {
    "tiny": Kind("coco", grid=(4, 5), dials=synthetic.Dials(diameters=(13, 25))),
    "wide": Kind("yolo", grid=(1, 4)),
    "tall": Kind("voc", grid=(4, 1)),
    "grey": Kind("voc", grey=True),
    "empty": Kind("yolo", images=200, empty=0.8),
    "rare": Kind("coco", classes=2, dials=synthetic.Dials(imbalance=99.0)),
    "twelve": Kind("open-images", images=150, classes=12),
    "few": Kind("yolo", images=15, classes=1),
    "aerial": Kind("coco", images=60, grid=(8, 10), dials=synthetic.Dials(diameters=(13, 25))),
    "sided": Kind("yolo", classes=2, sided=True),
}


def drawn(kind: Kind, rng: np.random.Generator) -> tuple[Image.Image, Truths]:
    """One picture of a kind: drawn ones side by side, and their objects."""
    down, across = kind.grid
    picture = Image.new("RGB", (across * TILE, down * TILE))
    boxes: list[np.ndarray] = []
    labels: list[int] = []
    bare = rng.uniform() < kind.empty
    for row, column in np.ndindex(down, across):
        tile, objects = synthetic.draw(rng, 1 if kind.sided else kind.classes, kind.dials)
        if kind.sided:
            tile, objects = shaded(tile, objects, rng)
        if bare:
            tile, objects = tile.resize((1, 1)), []  # its mean colour, and nothing on it
        scale = np.array([TILE / tile.width, TILE / tile.height] * 2)
        corner = np.array([column, row] * 2) * TILE
        picture.paste(tile.resize((TILE, TILE)), (column * TILE, row * TILE))
        boxes += [np.array(box) * scale + corner for _, box in objects]
        labels += [label for label, _ in objects]
    truths = Truths.of(np.array(boxes).reshape(-1, 4), np.array(labels, np.int64))
    return picture, truths


def shaded(
    tile: Image.Image, objects: list[tuple[int, synthetic.Box]], rng: np.random.Generator
) -> tuple[Image.Image, list[tuple[int, synthetic.Box]]]:
    """The left half of each object darkened, which makes it class 0, or the right one, class 1."""
    pixels = np.array(tile)
    sides = rng.integers(2, size=len(objects)).tolist()
    for side, (_, (x0, y0, x1, y1)) in zip(sides, objects, strict=True):
        middle = (x0 + x1) // 2
        left, right = (middle, x1) if side else (x0, middle)
        pixels[y0:y1, left:right] //= 3
    boxes = [box for _, box in objects]
    return Image.fromarray(pixels), list(zip(sides, boxes, strict=True))


def make(kind: Kind, folder: Path, seed: int) -> Path:
    """Write the pictures and annotations of a kind, every fifth picture in `val`."""
    line = FORMATS[kind.format]
    samples: dict[str, list[Sample]] = {"train": [], "val": []}
    for number in range(kind.images):
        split = "val" if number % 5 == 4 else "train"
        picture, truths = drawn(kind, np.random.default_rng([seed, number]))
        ending = "png" if kind.grey else "jpg"
        path = folder / line.pictures.format(split=split) / f"drawn_{number:04d}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind.grey:
            picture = Image.fromarray(np.asarray(picture.convert("L"), np.uint16) * 257)
        picture.save(path)
        samples[split].append(Sample(path, (picture.height, picture.width), truths))
    names = ("circle", "square", "triangle") if kind.classes <= 3 else map(str, range(kind.classes))
    parts = [
        Part(split, tuple(own), tuple(sample.path.name for sample in own))
        for split, own in samples.items()
    ]
    line.write(parts, tuple(names)[: kind.classes], folder)
    return folder


def boxray(*words: object) -> str:
    """What a command of boxray prints."""
    command = [sys.executable, "-m", "boxray", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def measure(name: str, folder: Path, asked: argparse.Namespace) -> list[object]:
    """One row: the kind, its pictures and classes, AP50 and its interval."""
    data, run = make(KINDS[name], folder / name, asked.seed), folder / f"{name}-run"
    threads = ("--threads", asked.threads)
    boxray("train", data, "--minutes", asked.minutes, "--output", run, *threads)
    told = boxray("evaluate", run, data, "--split", "val", "--protocol", "voc", "--json", *threads)
    found = json.loads(told)
    low, high = found["intervals"]["AP50"]
    kind = KINDS[name]
    train = kind.images - found["images"]
    return [
        name, kind.format, train, found["images"], kind.classes,
        f"{found['metrics']['AP50']:.3f}", f"{low:.2f} to {high:.2f}",
    ]  # fmt: skip


def main() -> None:
    """Draw, train and judge each kind, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        for name in asked.only:
            rows.append(measure(name, Path(folder), asked))
            print(*rows[-1], file=sys.stderr)
    head = ["kind", "format", "train", "held out", "classes", "AP50", "95 %"]
    document = {
        "minutes": asked.minutes,
        "rows": [dict(zip(head, row, strict=True)) for row in rows],
        "machine": machine("boxray", "torch"),
    }
    deliver(document, [head, *rows], as_json=asked.json)


if __name__ == "__main__":
    main()
