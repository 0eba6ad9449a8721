"""Which detection claims which truth: one greedy matcher for every protocol.

In each image and class the detections choose in the order of their scores, best first, equal
scores in the order given. What they may choose is a `MatchPolicy`: COCO and VOC differ only by its
values (`coco.POLICY`, `voc.POLICY`).

Shapes: n images, a area ranges, t IoU thresholds, d detections and g truths of one class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray import boxes as geometry
from boxray.boxes import Array
from boxray.errors import BoxError, SettingError
from boxray.records import Detections, Truths

_JUST_BELOW_ONE = 1 - 1e-10  # pycocotools: a threshold of 1 still accepts a rounded perfect overlap


@dataclass(frozen=True)
class MatchPolicy:
    """The rules by which detections claim truths.

    iou_thresholds: a truth is reached by an overlap of at least this.
    area_ranges: the truth areas that count, in square pixels, both ends included. Truths outside
    are ignored, and so are detections of an area outside that claim nothing.
    max_detections: so many of an image's best detections of a class take part; None means all.
    set_aside: flags of `Truths`. A truth with one of them is ignored (neither found nor missed)
    and any number of detections may match it without being hits or false alarms.
    crowds_by_detection_area: the overlap with a crowd is the share of the detection inside it.
    counting_first: a truth that counts is preferred to an ignored one of higher overlap.
    if_claimed: a detection whose best truth is taken asks for the "next best", or is a
    "false alarm" at once.
    equal_overlaps: which of several truths with the same overlap is best, in the order given.
    """

    iou_thresholds: tuple[float, ...]
    area_ranges: tuple[tuple[float, float], ...]
    max_detections: int | None
    set_aside: tuple[str, ...]
    crowds_by_detection_area: bool
    counting_first: bool
    if_claimed: Literal["next best", "false alarm"]
    equal_overlaps: Literal["first", "last"]


@dataclass(frozen=True)
class Matches:
    """What became of every detection of one class, best score first, and how many truths counted.

    image: the image of each detection; rank: its place in that image and class, 0 is the best.
    claimed: the row of its truth among that image's truths, -1 where it matched none.
    ignored: neither hit nor false alarm. truth_counts: per image the truths that count.
    """

    scores: Float[Array, "d"]
    image: Int[Array, "d"]
    rank: Int[Array, "d"]
    claimed: Int[Array, "a t d"]
    ignored: Bool[Array, "a t d"]
    truth_counts: Int[Array, "a n"]


@dataclass(frozen=True)
class _Rows:
    """Boxes of many images in one table, sorted by label, then image, then best first.

    row: the place of each in its image; area: what area ranges look at; the flags are False for
    detections, the scores 0 for truths.
    """

    boxes: Float[Array, "k 4"]
    labels: Int[Array, "k"]
    image: Int[Array, "k"]
    row: Int[Array, "k"]
    scores: Float[Array, "k"]
    area: Float[Array, "k"]
    set_aside: Bool[Array, "k"]
    crowd: Bool[Array, "k"]

    def take(self, rows: Int[Array, "j"] | Bool[Array, "k"] | slice) -> _Rows:
        return _Rows(**{name: values[rows] for name, values in vars(self).items()})

    def span(self, column: Literal["labels", "image"], value: int) -> slice:
        """The rows with this value in a sorted column."""
        start, stop = np.searchsorted(getattr(self, column), [value, value + 1])
        return slice(int(start), int(stop))


def match(
    truths: Sequence[Truths],
    detections: Sequence[Detections],
    *,
    class_count: int,
    policy: MatchPolicy,
) -> tuple[Matches, ...]:
    """The matches of each class over all images; `truths[i]` and `detections[i]` are of image i.

    Overlaps are computed in float64 from edges. pycocotools computes them from left, top, width
    and height: both agree exactly wherever x + w - x == w in floating point (whole and quarter
    pixels, for example); elsewhere an overlap may differ in its last bits, which matters only if
    it lies within about 1e-15 of a threshold or of a rival's. Equal scores in different images
    rank in the order of the images, in pycocotools in that of the image ids.

    Raises SettingError if the two sequences differ in length or a label is not below
    `class_count`; BoxError for a detection whose box or score is not finite.
    """
    if len(truths) != len(detections):
        raise SettingError(
            f"expected detections for each of the {len(truths)} images, got {len(detections)}. "
            "An image without detections needs an empty record."
        )
    truth_rows = _truth_rows(truths, policy)
    detection_rows = _limit(_detection_rows(detections), policy.max_detections)
    for rows, what in ((truth_rows, "truth"), (detection_rows, "detection")):
        _refuse_foreign_labels(rows, class_count, what)
    return tuple(
        _match_class(
            truth_rows.take(truth_rows.span("labels", label)),
            detection_rows.take(detection_rows.span("labels", label)),
            len(truths),
            policy,
        )
        for label in range(class_count)
    )


def _truth_rows(truths: Sequence[Truths], policy: MatchPolicy) -> _Rows:
    image, row = _addresses([len(one) for one in truths])
    flags = [_joined([getattr(one, flag) for one in truths], bool) for flag in policy.set_aside]
    rows = _Rows(
        boxes=_joined([one.boxes for one in truths]).reshape(-1, 4),
        labels=_joined([one.labels for one in truths], np.int64),
        image=image,
        row=row,
        scores=np.zeros(len(image)),
        area=_joined([one.area for one in truths]),
        set_aside=np.any(flags, axis=0) if flags else np.zeros(len(image), bool),
        crowd=_joined([one.crowd for one in truths], bool),
    )
    return rows.take(np.lexsort((rows.image, rows.labels)))


def _detection_rows(detections: Sequence[Detections]) -> _Rows:
    image, row = _addresses([len(one) for one in detections])
    boxes = _joined([one.boxes for one in detections]).reshape(-1, 4)
    nothing = np.zeros(len(image), bool)
    rows = _Rows(
        boxes=boxes,
        labels=_joined([one.labels for one in detections], np.int64),
        image=image,
        row=row,
        scores=_joined([one.scores for one in detections]),
        area=geometry.area(boxes),
        set_aside=nothing,
        crowd=nothing,
    )
    good = np.isfinite(boxes).all(1) & np.isfinite(rows.scores)
    if not good.all():
        bad = int(np.flatnonzero(~good)[0])
        raise BoxError(
            f"detection {row[bad]} of image {image[bad]} has a number that is not finite: box "
            f"{tuple(boxes[bad].tolist())}, score {rows.scores[bad]}. A detector that says this "
            "is broken; leave such detections out before they are judged."
        )
    return rows.take(np.lexsort((-rows.scores, rows.image, rows.labels)))


def _addresses(lengths: list[int]) -> tuple[Int[Array, "k"], Int[Array, "k"]]:
    """The image and the row in it, for images with so many boxes each."""
    image = np.repeat(np.arange(len(lengths)), lengths)
    starts = np.cumsum([0, *lengths])[:-1]
    return image, np.arange(len(image)) - np.repeat(starts, lengths)


def _joined(arrays: list[Array], kind: type = np.float64) -> Array:
    return np.concatenate(arrays).astype(kind) if arrays else np.zeros(0, kind)


def _ranks_in_image(rows: _Rows) -> Int[Array, "k"]:
    """The place of each row in its label and image, given that the rows are sorted."""
    place = np.arange(len(rows.image))
    first = np.ones(len(place), bool)
    first[1:] = (np.diff(rows.image) != 0) | (np.diff(rows.labels) != 0)
    return place - np.maximum.accumulate(np.where(first, place, 0))


def _limit(rows: _Rows, max_detections: int | None) -> _Rows:
    return rows if max_detections is None else rows.take(_ranks_in_image(rows) < max_detections)


def _refuse_foreign_labels(rows: _Rows, class_count: int, what: str) -> None:
    foreign = np.flatnonzero((rows.labels < 0) | (rows.labels >= class_count))
    if len(foreign):
        bad = int(foreign[0])
        raise SettingError(
            f"{what} {rows.row[bad]} of image {rows.image[bad]} has label {rows.labels[bad]}; "
            f"expected 0 to {class_count - 1}, one per class name."
        )


def _outside(area: Float[Array, "k"], policy: MatchPolicy) -> Bool[Array, "a k"]:
    low, high = np.array(policy.area_ranges).T[:, :, None]
    return (area < low) | (area > high)


def _match_class(truths: _Rows, detections: _Rows, images: int, policy: MatchPolicy) -> Matches:
    """One class: image by image where there is something to match, then sorted by score."""
    skipped = _outside(truths.area, policy) | truths.set_aside
    outside = _outside(detections.area, policy)
    shape = (len(policy.area_ranges), len(policy.iou_thresholds), len(detections.image))
    claimed = np.full(shape, -1, np.int32)
    ignored = np.repeat(outside[:, None, :], shape[1], axis=1)
    for image in np.intersect1d(truths.image, detections.image).tolist():
        there, here = truths.span("image", image), detections.span("image", image)
        overlap = _overlaps(detections.take(here), truths.take(there), policy)
        chosen = claim(overlap, skipped[:, there], truths.set_aside[there], policy)
        claimed[:, :, here] = np.where(chosen >= 0, truths.row[there][chosen], -1)
        of_chosen = np.take_along_axis(skipped[:, None, there], chosen.clip(0), axis=2)
        ignored[:, :, here] = np.where(chosen >= 0, of_chosen, ignored[:, :, here])
    order = np.argsort(-detections.scores, kind="stable")
    counts = [np.bincount(truths.image[~row], minlength=images) for row in skipped]
    return Matches(
        scores=detections.scores[order],
        image=detections.image[order],
        rank=_ranks_in_image(detections)[order],
        claimed=claimed[:, :, order],
        ignored=ignored[:, :, order],
        truth_counts=np.array(counts),
    )


def _overlaps(detections: _Rows, truths: _Rows, policy: MatchPolicy) -> Float[Array, "d g"]:
    overlap = geometry.iou(detections.boxes, truths.boxes)
    if policy.crowds_by_detection_area and truths.crowd.any():
        inside = geometry.intersection_over_area(detections.boxes, truths.boxes)
        overlap = np.where(truths.crowd, inside, overlap)
    return overlap


def claim(
    overlap: Float[Array, "d g"],
    skipped: Bool[Array, "a g"],
    set_aside: Bool[Array, "g"],
    policy: MatchPolicy,
) -> Int[Array, "a t d"]:
    """The truth that each detection of one image and class claims, -1 for none.

    Detections come best first. `skipped` truths are ignored; those `set_aside` never get taken.
    The order of preference is made of whole numbers, so that no rounding can make or break a tie.
    """
    thresholds = np.minimum(policy.iou_thresholds, _JUST_BELOW_ONE)
    reached = overlap[:, None, :] >= thresholds[:, None]  # d t g
    wish = _preferences(overlap, policy)[:, None, :]  # d a g
    if policy.counting_first:
        wish = wish + len(set_aside) * ~skipped
    ranges, levels = np.ogrid[: len(skipped), : len(thresholds)]
    taken = np.zeros((len(skipped), len(thresholds), len(set_aside)), bool)
    claimed = np.full((len(skipped), len(thresholds), len(overlap)), -1)
    for i in np.flatnonzero(reached.any(axis=(1, 2))):
        wanted = np.where(reached[i], wish[i][:, None, :], -1)  # a t g
        if policy.if_claimed == "next best":
            wanted[taken] = -1
        best = wanted.argmax(-1)
        free = (wanted[ranges, levels, best] >= 0) & ~taken[ranges, levels, best]
        claimed[:, :, i] = np.where(free, best, -1)
        taken[ranges, levels, best] |= free & ~set_aside[best]
    return claimed


def _preferences(overlap: Float[Array, "d g"], policy: MatchPolicy) -> Int[Array, "d g"]:
    """Per detection 0 for the truth it overlaps least, g - 1 for the one it overlaps most."""
    if policy.equal_overlaps == "first":
        return _ranks(overlap[:, ::-1])[:, ::-1]
    return _ranks(overlap)


def _ranks(values: Float[Array, "d g"]) -> Int[Array, "d g"]:
    """The place of each value in its row, smallest first; of equal ones the later is higher."""
    ranks = np.empty(values.shape, np.int64)
    places = np.broadcast_to(np.arange(values.shape[1]), values.shape)
    np.put_along_axis(ranks, np.argsort(values, axis=1, kind="stable"), places, axis=1)
    return ranks
