"""`boxray classify`: what patches of a picture show, by the classes of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from rich.console import RenderableType

from boxray import bundle, data, images
from boxray.classification.classifier import Classifier, Guess
from boxray.errors import FormatError, ModelError, SettingError
from boxray.images import Pixels
from boxray.inspection import pictures, plots
from boxray.verbs.reading import PLAIN
from boxray.verbs.running import has_own_weights, missing_extra, require_bare
from boxray.verbs.sources import prepare_output
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown

SCHEMA = "boxray.classify/1"
CHART, HISTOGRAM = "classes.png", "pixels.png"

Box: TypeAlias = tuple[float, ...]


class Patch(NamedTuple):
    """A piece of a picture and its most probable classes, best first.

    box: in pixels, None for the whole picture. truth: the class that annotations give it.
    """

    box: Box | None
    top: list[Guess]
    truth: str | None = None

    @property
    def edges(self) -> str:
        """Its box in words, in whole pixels."""
        return "all" if self.box is None else ",".join(f"{edge:.0f}" for edge in self.box)

    @property
    def title(self) -> str:
        """Its edges, and what it is said to be."""
        return self.edges if self.truth is None else f"{self.truth}: {self.edges}"


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which classifier: a shipped one, an `.onnx` file, or one of timm's with `weights`.

    weights: a `.safetensors` of timm's or an `.h5` of Keras'. classes: a file with names for what
    these tell apart, ImageNet's if None. threads: how many work on a batch, None for all.
    """

    model: str = "lite0-imagenet"
    weights: Path | None = None
    classes: Path | None = None
    threads: int | None = None

    def classifier(self) -> Classifier:
        """The classifier; ModelError for what is none, MissingExtra for one that needs torch."""
        if self.weights is None:
            if self.classes is not None:
                raise SettingError("--classes goes with --weights; other models have their own.")
            return self._whole()
        require_bare(self.model)
        try:
            from boxray.recipes import patches
        except ModuleNotFoundError as error:
            raise missing_extra(error, f"running {self.model} from {self.weights}") from error
        names = None if self.classes is None else data.read_class_file(self.classes).names
        return patches.classifier(self.model, self.weights, classes=names, threads=self.threads)

    def _whole(self) -> Classifier:
        try:
            return bundle.load_classifier(self.model, threads=self.threads)
        except ModelError as error:
            if has_own_weights(self.model):
                raise
            raise ModelError(
                f"{error} A network of timm's needs a file with its weights: --weights FILE."
            ) from error


@dataclass(frozen=True)
class ClassifyReport:
    """The most probable classes of every patch."""

    model: str
    path: Path
    size_hw: tuple[int, int]
    patches: tuple[Patch, ...]
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
                {
                    "box": list(patch.box or (0, 0, width, height)),
                    "truth": patch.truth,
                    "top": [asdict(one) for one in patch.top],
                }
                for patch in self.patches
            ],
        }

    def parts(self) -> list[RenderableType]:
        """One row per patch and class, for people."""
        marked = any(patch.truth is not None for patch in self.patches)
        first = ("patch: x0,y0,x1,y1", *(["marked as"] if marked else []))
        rows = table(*first, "wnid", "name", "probability")
        for patch in self.patches:
            head = [patch.edges, shown(patch.truth or "")][: len(first)]
            for number, one in enumerate(patch.top):
                rows.add_row(
                    *([""] * len(first) if number else head),
                    one.wnid or "",
                    shown(one.name),
                    f"{one.probability:.3f}",
                )
        written = [f"{CHART} and {HISTOGRAM} are in {shown(str(self.output))}"]
        return [rows, *(written if self.output else [])]


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """Which pieces of a picture: all of these together, the whole picture if there are none.

    patches: boxes in pixels. grid: the cells of a grid of N by N. annotations: a data set, read in
    this manner, each of whose objects in the picture is one.
    """

    patches: Sequence[Sequence[float]] = ()
    grid: int | None = None
    annotations: Path | None = None
    manner: data.Manner = PLAIN

    def of(self, image: Path, size_hw: tuple[int, int]) -> list[tuple[Box, str | None]]:
        """Their boxes, and the class of those that annotations mark."""
        found: list[tuple[Box, str | None]] = [
            (tuple(map(float, box)), None) for box in self.patches
        ]
        found += [(box, None) for box in cells(size_hw, self.grid)] if self.grid else []
        return found + (self._marked(self.annotations, image) if self.annotations else [])

    def _marked(self, annotations: Path, image: Path) -> list[tuple[Box, str | None]]:
        dataset = self.manner.read(annotations)
        truths = pictures.find(dataset, image.name).truths
        if not len(truths):
            raise FormatError(f"{annotations} marks nothing in {image.name}.")
        return [
            (tuple(map(float, box)), dataset.classes[label])
            for box, label in zip(truths.boxes, truths.labels, strict=True)
        ]


def classify(
    image: Path,
    *,
    choice: Choice | None = None,
    pieces: Pieces | None = None,
    top: int = 5,
    output: Path | None = None,
    overwrite: bool = False,
) -> ClassifyReport:
    """Classify pieces of a picture.

    output: a folder for a bar chart, and a histogram of the pixels before and after preprocessing.
    Raises ImageError, ModelError, BoxError for a patch outside, FormatError for annotations that
    mark nothing there, SettingError, MissingExtra.
    """
    classifier = (choice or Choice()).classifier()
    pixels = images.load(image)
    size_hw = (pixels.shape[0], pixels.shape[1])
    asked = (pieces or Pieces()).of(image, size_hw)
    if output is not None:
        prepare_output(output, (), default=Path(), overwrite=overwrite)
    boxes = np.array([box for box, _ in asked], float).reshape(-1, 4) if asked else None
    guesses = classifier.classify(pixels, boxes, top=top)
    of_what: Sequence[tuple[Box | None, str | None]] = asked or [(None, None)]
    named = tuple(
        Patch(box, best, truth) for (box, truth), best in zip(of_what, guesses, strict=True)
    )
    if output is not None:
        _draw(classifier, pixels, boxes, named, output)
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
    patches: Sequence[Patch],
    output: Path,
) -> None:
    """The bar chart and the histogram."""
    bars = {patch.title: [(one.name, one.probability) for one in patch.top] for patch in patches}
    plots.save_guesses(bars, output / CHART)
    seeing = classifier if boxes is None else classifier.of_whole()
    pieces = [pixels] if boxes is None else [images.crop(pixels, box) for box in boxes]
    seen = [seeing.preprocessing.pixels(piece) for piece in pieces]
    values = [seeing.preprocessing.values(piece) for piece in seen]
    before = np.concatenate([piece.reshape(-1, 3) for piece in pieces])
    plots.save_pixels(before, np.concatenate(values).reshape(-1, 3), output / HISTOGRAM)
