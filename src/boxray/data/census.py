"""What a data set's boxes are like: how many of each class, how large, how wide, and where.

Everything is counted into bins while boxes pass by, so that memory does not grow with their
number: `Census.add` takes any part of them, and `close` gives the `Statistics`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array
from boxray.data.dataset import Dataset
from boxray.data.report import Report
from boxray.records import FLAGS

BINS = 256  # per axis, of equal width in the fourth root of a share: fine for small boxes
PLACES = 32  # cells across and down, for centres
OCTAVES, PER_OCTAVE = 10, 8  # of width / height, from 1/32 to 32


@dataclass(frozen=True)
class Statistics:
    """The counts of c classes.

    boxes, images: per class, how many boxes and how many images that have one; image_count is of
    all images. flags: flag → boxes per class. sides: per class, boxes by √(area as a share of the
    picture's), in BINS of its fourth root. aspects: per class, boxes by log2(width / height).
    places: all centres, rows from the top. sizes_wh, weights: the different sizes and how many
    boxes have each; shares of the picture's longer side where `aspect_kept`, else of its width
    and height.
    """

    name: str
    classes: tuple[str, ...]
    image_count: int
    boxes: Int[Array, "c"]
    images: Int[Array, "c"]
    flags: Mapping[str, Int[Array, "c"]]
    sides: Int[Array, "c s"]
    aspects: Int[Array, "c a"]
    places: Int[Array, "y x"]
    sizes_wh: Float[Array, "n 2"]
    weights: Float[Array, "n"]
    aspect_kept: bool
    report: Report

    def side(self, label: int | None, share: float) -> float:
        """The side √(area) that this share of a class's boxes (None: of all) stays below."""
        return float((_quantile(_row(self.sides, label), share) / BINS) ** 4)

    def aspect(self, label: int | None, share: float) -> float:
        """The width / height that this share of the boxes stays below."""
        place = _quantile(_row(self.aspects, label), share)
        return float(2 ** (place / PER_OCTAVE - OCTAVES / 2))


def _row(counts: Int[Array, "c s"], label: int | None) -> Int[Array, "s"]:
    return counts.sum(0) if label is None else counts[label]


def _quantile(counts: Int[Array, "s"], share: float) -> float:
    """The place, in bins, below which this share of the counts lies; NaN where there are none."""
    sums = np.cumsum(counts)
    if not sums[-1]:
        return float("nan")
    wanted = share * sums[-1]
    i = int(np.searchsorted(sums, wanted))
    return float(i + 1 - (sums[i] - wanted) / max(1, counts[i]))


@dataclass
class Census:
    """Where boxes are counted. Classes may be added while it goes on: labels just grow.

    aspect_kept: whether sizes are shares of the picture's longer side.
    """

    aspect_kept: bool
    boxes: Int[Array, "c"] = field(default_factory=lambda: np.zeros(0, np.int64))
    sides: Int[Array, "c s"] = field(default_factory=lambda: np.zeros((0, BINS), np.int64))
    aspects: Int[Array, "c a"] = field(
        default_factory=lambda: np.zeros((0, OCTAVES * PER_OCTAVE), np.int64)
    )
    flags: dict[str, Int[Array, "c"]] = field(default_factory=dict)
    places: Int[Array, "y x"] = field(default_factory=lambda: np.zeros((PLACES, PLACES), np.int64))
    sizes: Float[Array, "3 n"] = field(default_factory=lambda: np.zeros((3, BINS * BINS)))

    def add(
        self,
        labels: Int[Array, "n"],
        boxes_unit: Float[Array, "n 4"],
        flags: Mapping[str, Bool[Array, "n"]],
        *,
        scale_wh: Float[Array, "n 2"] | None = None,
    ) -> None:
        """Count these boxes, shares of their pictures.

        scale_wh: what turns a share of the width and one of the height into shares of the longer
        side, where the pictures' sizes are known.
        """
        count = max(len(self.boxes), int(labels.max(initial=-1)) + 1)
        x0, y0, x1, y1 = boxes_unit.T
        width, height = x1 - x0, y1 - y0
        side = np.sqrt(width * height)
        if scale_wh is not None:
            width, height = width * scale_wh[:, 0], height * scale_wh[:, 1]
        aspect = (np.log2(width / height) + OCTAVES / 2) * PER_OCTAVE
        aspect_bin = np.clip(aspect, 0, self.aspects.shape[1] - 1).astype(np.int64)
        self.boxes = _sum(self.boxes, np.bincount(labels, minlength=count))
        self.sides = _sum(self.sides, _by_class(labels, _bin(side), count, BINS))
        self.aspects = _sum(
            self.aspects, _by_class(labels, aspect_bin, count, self.aspects.shape[1])
        )
        for flag, is_set in flags.items():
            counted = np.bincount(labels[is_set], minlength=count)
            self.flags[flag] = _sum(self.flags.get(flag, np.zeros(0, np.int64)), counted)
        self.places += _by_class(_place(y0 + y1), _place(x0 + x1), PLACES, PLACES)
        key = _bin(width) * BINS + _bin(height)
        for i, weight in enumerate((None, width, height)):
            self.sizes[i] += np.bincount(key, weight, BINS * BINS)

    def close(
        self,
        name: str,
        classes: tuple[str, ...],
        *,
        image_count: int,
        images: Int[Array, "c"],
        report: Report,
    ) -> Statistics:
        """The statistics, given what only the caller can count."""
        count = len(classes)
        used = np.flatnonzero(self.sizes[0])
        weights = self.sizes[0, used]
        return Statistics(
            name,
            classes,
            image_count,
            boxes=_grown(self.boxes, count),
            images=_grown(images, count),
            flags={flag: _grown(counts, count) for flag, counts in self.flags.items()},
            sides=_grown(self.sides, count),
            aspects=_grown(self.aspects, count),
            places=self.places,
            sizes_wh=(self.sizes[1:, used] / weights).T,  # the mean of each bin, not its middle
            weights=weights,
            aspect_kept=self.aspect_kept,
            report=report,
        )


def _bin(share: Float[Array, "n"]) -> Int[Array, "n"]:
    return np.minimum((np.sqrt(np.sqrt(share)) * BINS).astype(np.int64), BINS - 1)


def _place(twice: Float[Array, "n"]) -> Int[Array, "n"]:
    """The row or column of a centre, given the sum of its two edges."""
    return np.clip((twice * (PLACES / 2)).astype(np.int64), 0, PLACES - 1)


def _by_class(
    rows: Int[Array, "n"], columns: Int[Array, "n"], row_count: int, column_count: int
) -> Int[Array, "r c"]:
    flat = np.bincount(rows * column_count + columns, minlength=row_count * column_count)
    return flat.reshape(row_count, column_count)


def _grown(counts: Array, count: int) -> Array:
    """The counts with zeros for the classes that came later."""
    wanted = np.zeros((count, *counts.shape[1:]), counts.dtype)
    wanted[: len(counts)] = counts
    return wanted


def _sum(old: Array, new: Array) -> Array:
    return _grown(old, len(new)) + new


def of_dataset(dataset: Dataset) -> Statistics:
    """The statistics of a data set in memory; sizes keep the pictures' aspect."""
    census = Census(aspect_kept=True)
    images = np.zeros(len(dataset.classes), np.int64)
    for sample in dataset.samples:
        truths, (height, width) = sample.truths, sample.size_hw
        image_labels = np.unique(truths.labels)
        images[image_labels] += 1
        picture = np.array([width, height], np.float64)
        census.add(
            truths.labels,
            truths.boxes / np.tile(picture, 2),
            {flag: getattr(truths, flag) for flag in FLAGS},
            scale_wh=np.tile(picture / picture.max(), (len(truths), 1)),
        )
    count = len(dataset.samples)
    name, report = dataset.name, dataset.report
    return census.close(name, dataset.classes, image_count=count, images=images, report=report)
