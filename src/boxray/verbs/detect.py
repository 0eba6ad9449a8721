"""`boxray detect`: pictures in, drawn pictures and one JSON document out."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from boxray.detectors import OneStage, TwoStage
from boxray.errors import ImageError, SettingError
from boxray.files import write_atomically
from boxray.results import Result, document
from boxray.verbs.running import Running
from boxray.verbs.sources import Picture, collect, make_parent, prepare_output

DEFAULT_OUTPUT = Path("boxray-detections")
JSON_FILE = "detections.json"


@dataclass(frozen=True)
class DetectReport:
    """What `detect` found, picture by picture, in the order in which they were read.

    images: the entries of the document `boxray.detect/1` (see `Result.to_dict`); one that could
    not be read has its reason under "error". output: where pictures and JSON were written, None
    if they were not. notes: what was left aside while collecting the pictures.
    """

    model: str
    images: tuple[dict[str, Any], ...]
    output: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """Why pictures could not be read, one line for each."""
        return tuple(image["error"] for image in self.images if image["error"] is not None)

    def to_json(self) -> str:
        """The document `boxray.detect/1`; boxes in pixels of the picture."""
        return document(self.images, model=self.model)


def detect(
    sources: Sequence[str | Path],
    running: Running | None = None,
    *,
    output: Path | None = None,
    classes: Sequence[str] = (),
    overwrite: bool = False,
    on_image: Callable[[int, int], None] | None = None,
) -> DetectReport:
    """Detect on files, folders and globs; a picture that cannot be read is reported, not fatal.

    With an output folder, every picture is drawn into it, beside one `detections.json`.
    classes: report these only. on_image: told after each picture how many of how many are done.
    Raises FormatError, SettingError or ModelError before any work, OutputError if the disk fails.
    """
    running = running or Running()
    pictures = collect(sources)
    detector = running.detector()
    wanted = _labels(detector.classes, classes)
    if output is not None:
        prepare_output(output, pictures.folders, default=DEFAULT_OUTPUT, overwrite=overwrite)
    images = []
    for done, picture in enumerate(pictures.files, 1):
        images.append(_one(detector, picture, wanted, output))
        if on_image is not None:
            on_image(done, len(pictures.files))
    report = DetectReport(detector.name, tuple(images), output, pictures.notes)
    if output is not None:
        write_atomically(output / JSON_FILE, report.to_json().encode() + b"\n")
    return report


def _one(
    detector: OneStage | TwoStage, picture: Picture, wanted: frozenset[int], output: Path | None
) -> dict[str, Any]:
    """The picture's entry in the document; drawn on the way if there is an output folder."""
    try:
        result = detector.detect(picture.path)
    except ImageError as error:
        return {
            "path": str(picture.path),
            "size_hw": None,
            "detections": [],
            "error": str(error),
        }
    if wanted:
        result = _only(result, wanted)
    if output is not None:
        target = output / picture.drawn
        make_parent(target)
        result.save(target)
    return result.to_dict()


def _labels(known: tuple[str, ...], wanted: Sequence[str]) -> frozenset[int]:
    """The labels of these class names; SettingError for one that the model does not know."""
    for name in wanted:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise SettingError(
                f"--classes: the model knows no {name!r}.{hint} It knows: {', '.join(known)}."
            )
    return frozenset(known.index(name) for name in wanted)


def _only(result: Result, wanted: frozenset[int]) -> Result:
    """The same result with the detections of these labels alone."""
    found = result.detections
    rows = np.flatnonzero(np.isin(found.labels, sorted(wanted)))
    chosen = replace(
        found,
        boxes=found.boxes[rows],
        labels=found.labels[rows],
        scores=found.scores[rows],
        places=None if found.places is None else found.places[rows],
    )
    return replace(result, detections=chosen)
