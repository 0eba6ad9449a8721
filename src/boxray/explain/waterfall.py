"""The recall waterfall: at which stage a data set's objects are lost, and what a knob would do.

The stages are those of `misses`, so what is counted here is what `explain` says of every single
object: the found and the lost, added up, are the truths.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from boxray import images
from boxray.errors import ImageError
from boxray.explain.decision import Decision
from boxray.explain.stages import STAGES, reached, stages_of
from boxray.explain.target import Target, claims, targets_of
from boxray.images import Pixels
from boxray.records import FLAGS, Detections, Sample, Truths
from boxray.selection import Thresholds

FOUND = "found"
FALSE = "false"  # a detection that finds none
UNREADABLE = "unreadable"  # the image could not be read: no stage was ever reached
UNFLAGGED = "none"

# COCO's sizes, by the square root of the area in pixels of the image
SIZES = (("small", 32.0), ("medium", 96.0), ("large", float("inf")))
SCORES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
OVERLAPS = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
Knob: TypeAlias = Literal["score_threshold", "iou_threshold"]
KNOBS: dict[Knob, tuple[float, ...]] = {"score_threshold": SCORES, "iou_threshold": OVERLAPS}
MOST_IMAGES = 10


@runtime_checkable
class Deciding(Protocol):
    """A detector that leaves a record."""

    @property
    def classes(self) -> tuple[str, ...]: ...

    def detect_array(self, image: Pixels) -> Detections: ...

    def decision(self, found: Detections, size_hw: tuple[int, int]) -> Decision: ...


@dataclass(frozen=True)
class Turned:
    """What a threshold would do: truths found, and detections shown that find none.

    now: this is where the threshold stands.
    """

    value: float
    found: int
    false_alarms: int
    now: bool

    @property
    def told(self) -> str:
        """The value as tables say it."""
        return f"{self.value:g}" + (", as it is" if self.now else "")


@dataclass(frozen=True)
class Waterfall:
    """How many objects got how far.

    outcomes: of all truths, the found first, then as many lost as each stage lost. groups: the same
    by class, size and flag, none of them left out, each kind in its own order.
    curves: for each knob by its value, the other one as it is. worst: the images that lost most,
    and how many.
    """

    truths: int
    outcomes: dict[str, int]
    groups: dict[str, dict[str, dict[str, int]]]
    curves: dict[str, tuple[Turned, ...]]
    worst: tuple[tuple[str, int], ...]


def waterfall(
    detector: Deciding,
    samples: Sequence[Sample],
    names: Sequence[str],
    on_image: Callable[[], None] | None = None,
) -> Waterfall:
    """Ask of every truth of these images what became of it, at the detector's own thresholds.

    names: the classes that the truths' labels index. An image that nobody labelled is left out;
    in one that cannot be read all is lost.
    """
    total: Counter[str] = Counter()
    groups: dict[tuple[str, str], Counter[str]] = {}
    turned: Counter[tuple[Knob, float, bool, str]] = Counter()
    lost: Counter[Path] = Counter()
    stages: tuple[str, ...] = STAGES
    for sample in samples:
        if not sample.labelled:
            continue
        decision = _decided(detector, sample)
        outcomes = [UNREADABLE] * len(sample.truths)
        if decision is not None:
            stages = stages_of(decision)
            targets = targets_of(sample.truths, names, detector.classes)
            _turn(decision, targets, turned)
            outcomes = _outcomes(decision, targets)
        total.update(outcomes)
        lost[sample.path] = sum(outcome != FOUND for outcome in outcomes)
        for row, outcome in enumerate(outcomes):
            for group in _groups(sample.truths, row, names):
                groups.setdefault(group, Counter())[outcome] += 1
        if on_image is not None:
            on_image()
    columns = (FOUND, UNREADABLE, *stages)
    return Waterfall(
        truths=total.total(),
        outcomes={name: total[name] for name in columns},
        groups={
            kind: {
                group: {name: groups[kind, group][name] for name in columns}
                for group in order
                if (kind, group) in groups
            }
            for kind, order in _orders(names).items()
        },
        curves={knob: _curve(knob, turned) for knob in KNOBS},
        worst=tuple((str(path), count) for path, count in lost.most_common(MOST_IMAGES) if count),
    )


def _decided(detector: Deciding, sample: Sample) -> Decision | None:
    """What the detector decided about an image, None if it cannot be read."""
    try:
        image = images.load(sample.path)
    except ImageError:
        return None
    return detector.decision(detector.detect_array(image), image.shape[:2])


def _outcomes(decision: Decision, targets: Sequence[Target]) -> list[str]:
    return [one.killer or FOUND for one in reached(decision, targets)]


def _turn(
    decision: Decision, targets: Sequence[Target], turned: Counter[tuple[Knob, float, bool, str]]
) -> None:
    """Decide again at every value of the two knobs, and at those where they stand."""
    for knob, values in KNOBS.items():
        now: float = getattr(decision.thresholds, knob)
        for value in {*values, now}:
            then = decision.again(_with(decision.thresholds, knob, value))
            found = sum(place >= 0 for place in claims(then, targets))
            turned[knob, value, value == now, FOUND] += found
            turned[knob, value, value == now, FALSE] += len(then.selection.kept) - found


def _with(thresholds: Thresholds, knob: Knob, value: float) -> Thresholds:
    if knob == "score_threshold":
        return replace(thresholds, score_threshold=value)
    return replace(thresholds, iou_threshold=value)


def _curve(knob: Knob, turned: Counter[tuple[Knob, float, bool, str]]) -> tuple[Turned, ...]:
    """What was counted of one knob, by its value; nothing where no image was decided."""
    tried = sorted({(value, now) for of, value, now, _ in turned if of == knob})
    return tuple(
        Turned(value, turned[knob, value, now, FOUND], turned[knob, value, now, FALSE], now)
        for value, now in tried
    )


def _orders(names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """All groups that a truth may be in, in the order in which they are shown."""
    sizes = tuple(name for name, _ in SIZES)
    return {"class": tuple(names), "size": sizes, "flag": (*FLAGS, UNFLAGGED)}


def _groups(truths: Truths, row: int, names: Sequence[str]) -> list[tuple[str, str]]:
    """The groups that a truth is counted in: its class, its size, and each flag, or none."""
    side = float(np.sqrt(truths.area[row]))
    size = next(name for name, below in SIZES if side < below)
    flags = [("flag", flag) for flag in FLAGS if getattr(truths, flag)[row]]
    label = names[int(truths.labels[row])]
    return [("class", label), ("size", size), *(flags or [("flag", UNFLAGGED)])]
