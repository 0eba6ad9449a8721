"""Judge a detector by an official protocol, with an interval on every number.

`evaluate` runs a detector over a data set; `score` judges detections that are already there.
A detector is asked for everything above a score of 0.001, whatever it shows to people, because
average precision looks at the whole curve.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from boxray import images
from boxray.boxes import Array
from boxray.errors import ImageError, SettingError
from boxray.metrics import coco, voc
from boxray.metrics.matching import Matches, MatchPolicy, match
from boxray.metrics.precision_recall import mean_over_classes, one_weighting
from boxray.metrics.uncertainty import bootstrap
from boxray.protocols import Detector
from boxray.records import Detections, Sample, Truths

SCORE_FLOOR = 0.001


@dataclass(frozen=True)
class Rules:
    """A protocol: how to match, what to measure, and how many detections an image may have."""

    policy: MatchPolicy
    measure: Callable[[Matches, Int[Array, "n r"]], dict[str, Float[Array, "r"]]]
    max_detections: int


# COCO allows 100 (pycocotools: per class); VOC has no limit, and 300 is more than ever matters.
_PROTOCOLS = {
    "coco": Rules(coco.POLICY, coco.measure, 100),
    "voc": Rules(voc.POLICY, voc.measure, 300),
}
PROTOCOLS = tuple(_PROTOCOLS)

NO_DETECTIONS = Detections(np.zeros((0, 4)), np.zeros(0, np.int64), np.zeros(0))


@runtime_checkable
class AnnotatedImages(Protocol):
    """What `evaluate` needs of a data set."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The names that the truths' labels index."""

    @property
    def samples(self) -> tuple[Sample, ...]:
        """The images with their truths."""

    @property
    def split(self) -> str:
        """Which part of a data set these are."""


@dataclass(frozen=True)
class Evaluation:
    """The numbers of one evaluation and what they were made from.

    metrics: name to value, None where undefined (no truth counts); intervals: 95 % bootstrap
    intervals over images (`metrics.uncertainty`), for the metrics that are defined.
    per_class: class name to its metrics.
    score_floor: detections below it were not asked for; max_detections: per image.
    unmatched_classes: classes of the data that the detector does not know: their truths count as
    missed. errors: images that could not be read: their truths count as missed, too.
    unlabelled: images left out because nobody annotated them. seconds: detection included.
    """

    protocol: str
    split: str
    images: int
    metrics: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]
    per_class: dict[str, dict[str, float | None]]
    score_floor: float
    max_detections: int
    seconds: float
    unmatched_classes: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    unlabelled: int = 0

    def to_json(self) -> dict[str, object]:
        """The document `boxray.evaluate/1`, ready for json.dumps; intervals are [low, high]."""
        return {
            "schema": "boxray.evaluate/1",
            "protocol": self.protocol,
            "split": self.split,
            "images": self.images,
            "metrics": self.metrics,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
            "per_class": self.per_class,
            "score_floor": self.score_floor,
            "max_detections": self.max_detections,
        }


def evaluate(
    detector: Detector,
    dataset: AnnotatedImages,
    *,
    protocol: str = "coco",
    split: str | None = None,
    on_image: Callable[[], None] | None = None,
    resamples: int = 200,
) -> Evaluation:
    """Run `detector` over the images of `dataset` and judge it by `protocol` ("coco" or "voc").

    Classes are the same if their names are. `split` is the name to report, by default the data
    set's own. `on_image` is called after each image. An image that cannot be read has no detections
    and is listed in `errors`. The resamples of the intervals are always the same ones, so that two
    detectors meet the same luck; `score` takes another seed.

    Raises SettingError for an unknown protocol, or if detector and data share no class name.
    """
    rules = rules_of(protocol)
    labels = labels_in_dataset(detector.classes, dataset.classes)
    start = time.perf_counter()
    labelled = [sample for sample in dataset.samples if sample.labelled]
    detections, errors = [], []
    for sample in labelled:
        try:
            found = detector.detect_array(
                images.load(sample.path),
                score_threshold=SCORE_FLOOR,
                max_detections=rules.max_detections,
            )
            detections.append(relabelled(found, labels))
        except ImageError as error:
            detections.append(NO_DETECTIONS)
            errors.append(str(error))
        if on_image is not None:
            on_image()
    truths = [sample.truths for sample in labelled]
    scored = score(truths, detections, dataset.classes, protocol=protocol, resamples=resamples)
    return replace(
        scored,
        split=dataset.split if split is None else split,
        score_floor=SCORE_FLOOR,
        seconds=time.perf_counter() - start,
        unmatched_classes=tuple(c for c in dataset.classes if c not in detector.classes),
        errors=tuple(errors),
        unlabelled=len(dataset.samples) - len(labelled),
    )


def score(
    truths: Sequence[Truths],
    detections: Sequence[Detections],
    classes: Sequence[str],
    *,
    protocol: str = "coco",
    resamples: int = 200,
    seed: int = 0,
) -> Evaluation:
    """Judge the detections of each image against its truths; labels of both index `classes`.

    Nothing is cut but what the protocol cuts (COCO: 100 per class and image), so `score_floor` is
    0. `resamples=0` leaves the intervals out, which saves most of the time.
    Raises SettingError for an unknown protocol, sequences of different lengths or foreign labels.
    """
    rules = rules_of(protocol)
    start = time.perf_counter()
    matches = match(truths, detections, class_count=len(classes), policy=rules.policy)

    def mean(weights: Int[Array, "n r"]) -> dict[str, Float[Array, "r"]]:
        return mean_over_classes([rules.measure(one, weights) for one in matches])

    per_class = [rules.measure(one, one_weighting(len(truths))) for one in matches]
    return Evaluation(
        protocol=protocol,
        split="",
        images=len(truths),
        metrics=_plain(mean_over_classes(per_class)),
        intervals=bootstrap(mean, len(truths), resamples=resamples, seed=seed),
        per_class={name: _plain(values) for name, values in zip(classes, per_class, strict=True)},
        score_floor=0.0,
        max_detections=rules.max_detections,
        seconds=time.perf_counter() - start,
    )


def rules_of(protocol: str) -> Rules:
    """The protocol of this name. Raises SettingError for another, with the nearest known one."""
    if protocol not in _PROTOCOLS:
        near = get_close_matches(protocol.lower(), PROTOCOLS, 1)
        raise SettingError(
            f"no protocol '{protocol}'."
            + (f" Did you mean '{near[0]}'?" if near else "")
            + f" Known: {', '.join(PROTOCOLS)}."
        )
    return _PROTOCOLS[protocol]


def _plain(values: Mapping[str, Float[Array, "1"]]) -> dict[str, float | None]:
    """Numbers of one weighting; undefined ones as None, which JSON can say."""
    return {name: None if np.isnan(value[0]) else float(value[0]) for name, value in values.items()}


def labels_in_dataset(of_detector: tuple[str, ...], of_dataset: tuple[str, ...]) -> Int[Array, "c"]:
    """For each of the detector's labels the data set's label of the same name, -1 if none."""
    labels = {name: label for label, name in enumerate(of_dataset)}
    mapped = np.array([labels.get(name, -1) for name in of_detector], np.int64)
    if not (mapped >= 0).any():
        raise SettingError(
            "the detector and the data share no class name, so there is nothing to judge.\n"
            f"  The detector knows: {', '.join(of_detector) or '(none)'}.\n"
            f"  The data has: {', '.join(of_dataset) or '(none)'}.\n"
            "  Names are compared letter by letter; give the data a class map that renames them."
        )
    return mapped


def relabelled(found: Detections, labels: Int[Array, "c"]) -> Detections:
    """The detections whose class the data set has, without the record of their making."""
    mapped = labels[found.labels]
    known = mapped >= 0
    return Detections(found.boxes[known], mapped[known], found.scores[known])
