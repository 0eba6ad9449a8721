"""What a detector costs and how far it could get, beside what it reaches: one side of a comparison.

Every picture is detected once with a stopwatch, as a person would have it; what the network said
then is played back for the questions that need other thresholds, so that nothing is asked twice.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Int

from boxray import images
from boxray.boxes import Array, iou
from boxray.detectors import OneStage, TwoStage
from boxray.engines.recorded import Recording, RecordingStages
from boxray.errors import ImageError
from boxray.evaluation import (
    NO_DETECTIONS,
    SCORE_FLOOR,
    AnnotatedImages,
    Evaluation,
    Rules,
    labels_in_dataset,
    relabelled,
    rules_of,
    score,
)
from boxray.images import Pixels
from boxray.records import Detections, Sample, Truths
from boxray.selection import select

Contestant: TypeAlias = OneStage | TwoStage

STAGES = ("read", "proposals", "network", "decode", "selection")
ENOUGH = 0.5  # of overlap: what VOC asks of a detection
WARM_UP = 2  # pictures that are detected before any counts


@dataclass(frozen=True)
class Measured:
    """One detector on one data set.

    truths: those that count, and reached, those of them that a candidate of their class overlaps by
    at least half, whatever its score: the recall that perfect scores and selection would give.
    passes: pictures that the network is given per picture: the canvas for most, each window of it
    for some, each crop of it for R-CNN; each step of other two stages is one.
    milliseconds: per picture and stage. `read` is decoding the picture and laying it on a canvas;
    `proposals`, what proposes without a network; `decode` holds all that is in no other stage, in
    two stages the selection of proposals, too.
    memory: the most that this process ever held after its first pictures, in bytes; None where the
    system does not tell.
    """

    evaluation: Evaluation
    truths: int
    reached: int
    passes: float
    milliseconds: dict[str, float]
    memory: int | None

    @property
    def recall_ceiling(self) -> float | None:
        """The share of truths that are reached; None without truths."""
        return self.reached / self.truths if self.truths else None


@dataclass
class _Tally:
    """What is added up over the pictures; seconds by stage."""

    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    passes: int = 0
    timed: int = 0
    truths: int = 0
    reached: int = 0


def measure(
    detector: Contestant,
    dataset: AnnotatedImages,
    *,
    protocol: str = "coco",
    on_image: Callable[[], None] | None = None,
) -> Measured:
    """Run a detector over annotated pictures and say what it reaches and what that takes.

    Peak memory is that of the whole process, so measure each detector in one of its own.
    Raises SettingError for an unknown protocol, or if detector and data share no class name.
    """
    rules = rules_of(protocol)
    labels = labels_in_dataset(detector.classes, dataset.classes)
    samples = [sample for sample in dataset.samples if sample.labelled]
    _warm_up(detector, samples[:WARM_UP])
    memory, tally = peak_memory(), _Tally()
    found: list[Detections] = []
    errors: list[str] = []
    for sample in samples:
        try:
            found.append(_measure_one(detector, sample, labels, rules, tally))
        except ImageError as error:
            found.append(NO_DETECTIONS)
            tally.truths += int(_counted(sample.truths, rules).sum())
            errors.append(str(error))
        if on_image is not None:
            on_image()
    truths = [sample.truths for sample in samples]
    judged = replace(
        score(truths, found, dataset.classes, protocol=protocol),
        split=dataset.split,
        score_floor=SCORE_FLOOR,
        errors=tuple(errors),
    )
    timed = max(1, tally.timed)
    return Measured(
        evaluation=judged,
        truths=tally.truths,
        reached=tally.reached,
        passes=tally.passes / timed,
        milliseconds={stage: 1000 * tally.seconds[stage] / timed for stage in STAGES},
        memory=memory,
    )


def _warm_up(detector: Contestant, samples: Sequence[Sample]) -> None:
    for sample in samples:
        try:
            detector.detect_array(images.load(sample.path))
        except ImageError:
            continue  # it will be told of when its turn comes


def _measure_one(
    detector: Contestant, sample: Sample, labels: Int[Array, "c"], rules: Rules, tally: _Tally
) -> Detections:
    """Detect one picture, add to the tally, and return what the protocol asks for."""
    start = time.perf_counter()
    image = images.load(sample.path)
    tally.seconds["read"] += time.perf_counter() - start
    again = _timed(detector, image, tally)
    everything = again().detect_array(image, score_threshold=0.0)
    counted = _counted(sample.truths, rules)
    placement = images.place(image.shape[:2], detector.canvas_hw)
    tally.truths += int(counted.sum())
    tally.reached += int((counted & _reached(everything, sample.truths, labels, placement)).sum())
    judged = again().detect_array(
        image, score_threshold=SCORE_FLOOR, max_detections=rules.max_detections
    )
    return relabelled(judged, labels)


def _timed(detector: Contestant, image: Pixels, tally: _Tally) -> Callable[[], Contestant]:
    """Detect as in use, with a stopwatch; what comes back makes detectors that play it back."""
    heard, listened = _listened_to(detector)
    start = time.perf_counter()
    found = listened.detect_array(image)
    whole_s = time.perf_counter() - start
    # these two are done again, alone: there is nobody to listen to between them and the others
    start = time.perf_counter()
    images.fit(image, detector.canvas_hw)
    fitting_s = time.perf_counter() - start
    assert found.candidates is not None  # filled in by detect_array
    start = time.perf_counter()
    select(found.candidates, detector.thresholds)
    selecting_s = time.perf_counter() - start
    tally.seconds["read"] += fitting_s
    tally.seconds["proposals"] += heard.proposing_s
    tally.seconds["network"] += heard.seconds
    tally.seconds["selection"] += selecting_s
    known_s = fitting_s + heard.proposing_s + heard.seconds + selecting_s
    tally.seconds["decode"] += max(0.0, whole_s - known_s)
    tally.passes += heard.passes
    tally.timed += 1
    return lambda: replace(detector, engine=heard.played())  # type: ignore[arg-type]


def _listened_to(detector: Contestant) -> tuple[Recording | RecordingStages, Contestant]:
    if isinstance(detector, TwoStage):
        stages = RecordingStages(detector.engine)
        return stages, replace(detector, engine=stages)
    engine = Recording(detector.engine)
    return engine, replace(detector, engine=engine)


def _counted(truths: Truths, rules: Rules) -> Bool[Array, "n"]:
    """The truths that the protocol does not set aside."""
    aside = np.zeros(len(truths), bool)
    for flag in rules.policy.set_aside:
        aside |= getattr(truths, flag)
    return ~aside


def _reached(
    found: Detections, truths: Truths, labels: Int[Array, "c"], placement: images.Placement
) -> Bool[Array, "n"]:
    """Which truths some candidate of their class overlaps by at least half."""
    assert found.candidates is not None  # filled in by detect_array
    boxes = placement.to_image(found.candidates.boxes, clip=True)
    said = labels[found.candidates.labels]
    reached = np.zeros(len(truths), bool)
    for label in np.unique(truths.labels):
        here, there = truths.labels == label, said == label
        if there.any():
            reached[here] = iou(truths.boxes[here], boxes[there]).max(1) >= ENOUGH
    return reached


def peak_memory() -> int | None:
    """The most bytes that this process ever held; None where the system does not tell.

    Linux's getrusage would count what the parent held before it started this program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    if sys.platform == "win32":
        return None
    import resource  # not on every system

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
