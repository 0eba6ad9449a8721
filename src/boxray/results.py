"""What a person gets back for one image: to look at, to loop over, to save, to hand on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image

from boxray import draw as drawing
from boxray import explain, images
from boxray.boxes import Array
from boxray.errors import MissingExtra, SettingError
from boxray.explain import Decision, Evidence, Hiding, Life, Looking
from boxray.records import Detections

Box: TypeAlias = tuple[float, float, float, float]

SCHEMA = "boxray.detect/1"
_MOST_NAMED = 5  # detections that a one-line summary spells out
_NOTEBOOK_SIDE = 1600  # pixels; a notebook keeps every picture it shows


@runtime_checkable
class Explainable(Looking, Protocol):
    """A detector that still knows how it decided."""

    def decision(self, found: Detections, size_hw: tuple[int, int]) -> Decision:
        """The record behind what it said of an image of this size."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The detections in one image, best first, with the image and the names they need.

    image: as displayed (EXIF orientation applied), the frame of the boxes. path: where it was
    read, None for pixels without a file. model: the name of the model file. detector: what found
    them, and can say why.
    """

    image: UInt8[np.ndarray, "h w 3"]
    path: Path | None
    detections: Detections
    classes: tuple[str, ...]
    model: str
    detector: Explainable | None = None

    @property
    def boxes(self) -> Float[Array, "n 4"]:
        """Edges in pixels of the image: x0, y0, x1, y1."""
        return self.detections.boxes

    @property
    def scores(self) -> Float[Array, "n"]:
        """From 0 to 1, falling."""
        return self.detections.scores

    @property
    def labels(self) -> Int[Array, "n"]:
        """Which of `classes` each detection is."""
        return self.detections.labels

    @property
    def names(self) -> list[str]:
        """The class of each detection, as a word."""
        return [self.classes[label] for label in self.labels.tolist()]

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the image in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def __len__(self) -> int:
        return len(self.detections)

    def __iter__(self) -> Iterator[tuple[Box, float, str]]:
        """(x0, y0, x1, y1), score and name of each detection, best first."""
        corners = [(x0, y0, x1, y1) for x0, y0, x1, y1 in self.boxes.tolist()]
        return iter(zip(corners, self.scores.tolist(), self.names, strict=True))

    def __repr__(self) -> str:
        place = "the image" if self.path is None else _printable(self.path.name)
        counted = f"{len(self) or 'no'} detection{'' if len(self) == 1 else 's'} in {place}"
        found = [f"{_printable(name)} {score:.2f}" for _, score, name in self]
        more = [f"{len(self) - _MOST_NAMED} more"] if len(self) > _MOST_NAMED else []
        return counted + (": " if found else "") + ", ".join(found[:_MOST_NAMED] + more)

    def explain(self, number: int) -> Life:
        """The life of detection `number`, 0 is the best: where it came from and what it beat.

        Raises SettingError for a number that none has.
        """
        if self.detector is None:
            raise SettingError("a result that no detector made cannot be explained.")
        return explain.of_detection(self.detector.decision(self.detections, self.size_hw), number)

    def evidence(self, number: int, hiding: Hiding | None = None) -> Evidence:
        """Which pixels speak for detection `number`: hidden at random, many times over.

        Takes as long as some hundred detections. Raises SettingError for a number that none has.
        """
        if self.detector is None:
            raise SettingError("a result that no detector made cannot be explained.")
        decision = self.detector.decision(self.detections, self.size_hw)
        target = explain.target_of(decision, number)
        (found,) = explain.occlude(self.detector, self.image, [target], hiding)
        return found

    def draw(self) -> Image.Image:
        """A copy of the image with its boxes, names and scores on it."""
        return Image.fromarray(self._drawn())

    def save(self, path: str | Path) -> None:
        """Write the drawn image, as what its ending says: .jpg, .png, .webp or .bmp.

        Raises OutputError for another ending, or where the file cannot be written.
        """
        drawing.save(self._drawn(), Path(path))

    def to_dict(self) -> dict[str, Any]:
        """The image's entry in a detect document; pixels to 2 decimals, scores to 4."""
        return {
            "path": None if self.path is None else str(self.path),
            "size_hw": list(self.size_hw),
            "detections": [
                {
                    "box": [_rounded(edge, 2) for edge in box],
                    "score": _rounded(score, 4),
                    "label": name,
                }
                for box, score, name in self
            ],
            "error": None,
        }

    def to_json(self) -> str:
        """A whole detect document about this one image."""
        return document([self.to_dict()], model=self.model)

    def to_supervision(self) -> Any:
        """The same as `supervision.Detections`, with names under `data["class_name"]`.

        Raises MissingExtra where supervision is not installed.
        """
        try:
            import supervision
        except ImportError as error:
            raise MissingExtra("to_supervision needs: pip install supervision") from error
        return supervision.Detections(
            xyxy=np.asarray(self.boxes, np.float32),
            confidence=np.asarray(self.scores, np.float32),
            class_id=np.asarray(self.labels, np.int64),
            data={"class_name": np.array(self.names, dtype=str)},
        )

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        drawn = self._drawn()
        if max(self.size_hw) > _NOTEBOOK_SIDE:
            placement = images.place(self.size_hw, (_NOTEBOOK_SIDE, _NOTEBOOK_SIDE))
            drawn = images.resize(drawn, placement.resized_hw)
        return drawing.encoded(drawn, "PNG")

    def _drawn(self) -> UInt8[np.ndarray, "h w 3"]:
        return drawing.draw(
            self.image,
            self.boxes,
            [f"{name} {score:.2f}" for _, score, name in self],
            colours=[drawing.colour_of(label) for label in self.labels.tolist()],
        )


def document(entries: Sequence[dict[str, Any]], *, model: str) -> str:
    """The JSON of a detect run over any number of images: one entry each, as `Result.to_dict`.

    ASCII only, so that a path that is not UTF-8 survives (escaped); never NaN or Infinity.
    """
    whole = {"schema": SCHEMA, "model": model, "images": list(entries)}
    return json.dumps(whole, allow_nan=False)


def _rounded(number: float, decimals: int) -> float:
    """Rounded, and 0.0 for what would be -0.0."""
    return round(number, decimals) + 0.0


def _printable(text: str | Path) -> str:
    return str(text).encode("utf-8", "backslashreplace").decode()
