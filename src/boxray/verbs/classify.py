"""`boxray classify`: what patches of a picture show, by the classes of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import RenderableType

from boxray import bundle, images
from boxray.classification.classifier import Classifier, Guess
from boxray.images import Pixels
from boxray.inspection import plots
from boxray.verbs.sources import prepare_output
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown

SCHEMA = "boxray.classify/1"
CHART, HISTOGRAM = "classes.png", "pixels.png"


@dataclass(frozen=True)
class ClassifyReport:
    """The most probable classes of every patch; a box of None is the whole picture."""

    model: str
    path: Path
    size_hw: tuple[int, int]
    patches: tuple[tuple[tuple[float, ...] | None, list[Guess]], ...]
    output: Path | None = None

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.classify/1`, ready for json.dumps."""
        height, width = self.size_hw
        return {
            "schema": SCHEMA,
            "model": self.model,
            "path": str(self.path),
            "size_hw": [height, width],
            "patches": [
                {"box": list(box or (0, 0, width, height)), "top": [asdict(one) for one in top]}
                for box, top in self.patches
            ],
        }

    def parts(self) -> list[RenderableType]:
        """One row per patch and class, for people."""
        rows = table("patch: x0, y0, x1, y1", "wnid", "name", "probability")
        for box, top in self.patches:
            edges = "all" if box is None else ", ".join(f"{edge:g}" for edge in box)
            for number, one in enumerate(top):
                rows.add_row(
                    "" if number else edges,
                    one.wnid or "",
                    shown(one.name),
                    f"{one.probability:.3f}",
                )
        written = [f"{CHART} and {HISTOGRAM} are in {shown(str(self.output))}"]
        return [rows, *(written if self.output else [])]


def classify(
    image: Path,
    *,
    model: str = "lite0-imagenet",
    patches: Sequence[Sequence[float]] = (),
    grid: int | None = None,
    top: int = 5,
    output: Path | None = None,
    overwrite: bool = False,
) -> ClassifyReport:
    """Classify patches of a picture, the cells of a grid over it, or the whole where none is named.

    output: a folder for a bar chart, and a histogram of the pixels before and after preprocessing.
    Raises ImageError, ModelError, BoxError for a patch outside, SettingError, MissingExtra.
    """
    classifier = bundle.load_classifier(model)
    pixels = images.load(image)
    size_hw = (pixels.shape[0], pixels.shape[1])
    boxes = [tuple(float(edge) for edge in patch) for patch in patches]
    boxes += cells(size_hw, grid) if grid else []
    if output is not None:
        prepare_output(output, (), default=Path(), overwrite=overwrite)
    given = np.array(boxes, float).reshape(-1, 4) if boxes else None
    guesses = classifier.classify(pixels, given, top=top)
    asked: Sequence[tuple[float, ...] | None] = boxes or [None]
    named = tuple(zip(asked, guesses, strict=True))
    if output is not None:
        _draw(classifier, pixels, given, named, output)
    return ClassifyReport(classifier.name, image, size_hw, named, output)


def cells(size_hw: tuple[int, int], count: int) -> list[tuple[float, ...]]:
    """The boxes of a grid of `count` by `count` cells, row by row, in pixels."""
    rows, columns = (np.linspace(0, side, count + 1) for side in size_hw)
    return [
        (float(columns[j]), float(rows[i]), float(columns[j + 1]), float(rows[i + 1]))
        for i in range(count)
        for j in range(count)
    ]


def _draw(
    classifier: Classifier,
    pixels: Pixels,
    boxes: np.ndarray | None,
    named: Sequence[tuple[tuple[float, ...] | None, list[Guess]]],
    output: Path,
) -> None:
    """The bar chart and the histogram."""
    bars = {
        "all" if box is None else ",".join(f"{edge:g}" for edge in box): [
            (one.name, one.probability) for one in top
        ]
        for box, top in named
    }
    plots.save_guesses(bars, output / CHART)
    seeing = classifier if boxes is None else classifier.of_whole()
    pieces = [pixels] if boxes is None else [images.crop(pixels, box) for box in boxes]
    seen = [seeing.preprocessing.pixels(piece) for piece in pieces]
    values = [seeing.preprocessing.values(piece) for piece in seen]
    before = np.concatenate([piece.reshape(-1, 3) for piece in pieces])
    plots.save_pixels(before, np.concatenate(values).reshape(-1, 3), output / HISTOGRAM)
