"""What the doctor looks at: a data set as it was read, its splits, files and pixels."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from boxray import images
from boxray.data import Dataset
from boxray.data.near_duplicates import perceptual_hash
from boxray.errors import ImageError
from boxray.records import Sample

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Finding:
    """One thing that a check found.

    path, line: the file, and the line or the position of the object in it, from 1; 0 where it is
    about the whole file. pictures: what to look at. box: edges in pixels of the first picture.
    count: how often it is so in this file.
    """

    path: Path
    reason: str
    line: int = 0
    pictures: tuple[Path, ...] = ()
    box: Box | None = None
    count: int = 1


@dataclass(frozen=True)
class Look:
    """What the pixels of a picture said. error: why they cannot be read, empty if they can."""

    error: str
    hash: Bool[np.ndarray, "64"] | None = None
    blank: bool = False


@dataclass(frozen=True)
class Examination:
    """Everything that checks may ask about. Pixels are read when the first check asks for them.

    dataset: all of it. splits: name → that split alone, for the splits that the data itself has.
    canvas: side in pixels of the canvas that a detector would see. on_image: told after each
    picture how many of how many are decoded.
    """

    dataset: Dataset
    splits: dict[str, Dataset]
    canvas: int
    on_image: Callable[[int, int], None] | None = None

    @cached_property
    def samples(self) -> dict[Path, Sample]:
        """Every picture once, with its truths."""
        return {sample.path: sample for sample in self.dataset.samples}

    @cached_property
    def pictures_of_sources(self) -> dict[str, Path]:
        """Annotation file → picture, for annotation files of one picture each."""
        found: defaultdict[str, list[Path]] = defaultdict(list)
        for path, sample in self.samples.items():
            found[sample.truths.source].append(path)
        return {source: paths[0] for source, paths in found.items() if len(paths) == 1}

    @cached_property
    def splits_of(self) -> dict[Path, tuple[str, ...]]:
        """The splits that each picture is in."""
        names: defaultdict[Path, list[str]] = defaultdict(list)
        for name, part in self.splits.items():
            for path in dict.fromkeys(sample.path for sample in part.samples):
                names[path].append(name)
        return {path: tuple(found) for path, found in names.items()}

    @cached_property
    def looks(self) -> dict[Path, Look]:
        """What the pixels of every picture say."""
        seen = {}
        for path in self.samples:
            seen[path] = _look(path)
            if self.on_image is not None:
                self.on_image(len(seen), len(self.samples))
        return seen

    @cached_property
    def same_bytes(self) -> list[list[Path]]:
        """Pictures whose files are equal, each list with at least two."""
        by_size: defaultdict[int, list[Path]] = defaultdict(list)
        for path in self.samples:
            by_size[path.stat().st_size].append(path)
        by_content: defaultdict[bytes, list[Path]] = defaultdict(list)
        for path in (path for paths in by_size.values() if len(paths) > 1 for path in paths):
            with path.open("rb") as file:
                by_content[hashlib.file_digest(file, "sha256").digest()].append(path)
        return [paths for paths in by_content.values() if len(paths) > 1]

    def rows(self) -> Iterator[tuple[Sample, int]]:
        """Every truth: its sample and its row there."""
        for sample in self.samples.values():
            for row in range(len(sample.truths)):
                yield sample, row


def at(sample: Sample, row: int, reason: str, count: int = 1) -> Finding:
    """A finding about one truth."""
    truths = sample.truths
    x0, y0, x1, y1 = truths.boxes[row].tolist()
    source = Path(truths.source) if truths.source else sample.path
    return Finding(source, reason, int(truths.lines[row]), (sample.path,), (x0, y0, x1, y1), count)


def _look(path: Path) -> Look:
    try:
        pixels = images.load(path)
    except ImageError as error:
        return Look(str(error))
    hopeful = (pixels[::16, ::16] == pixels[0, 0]).all()  # few pictures need the longer look
    blank = bool(hopeful and (pixels == pixels[0, 0]).all())
    return Look("", perceptual_hash(pixels), blank)
