"""What explaining costs: nothing while detecting, and how long when it is asked for.

    python benchmarks/explain_time.py DATA [--split val] [--images 40] [--model MODEL] [--json]

DATA is a folder of annotated pictures. Takes a few seconds. One thread, processor time: for each
picture the detection, once more without keeping a record, then the lives of all its detections and
the verdicts on all its truths, each timed alone, as a person would ask for it, and all together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from reporting import deliver, machine, spread

import boxray
from boxray import data, explain, images
from boxray.data.classes import ClassMap
from boxray.detectors import OneStage
from boxray.records import Detections, Truths
from boxray.selection import select


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()

    detector, chance = boxray.load(given.model, threads=1), np.random.default_rng(0)
    dataset = data.read(given.data, given.split, classes=ClassMap(detector.classes))
    names = ("detect", "detect without record", "explain one", "explain all")
    taken: dict[str, list[float]] = {name: [] for name in names}
    for sample in dataset.samples[: given.images]:
        image = images.load(sample.path)
        found = [None, None]
        for keeps in chance.permutation(2).tolist():
            found[keeps] = timed(taken, names[1 - keeps], WAYS[keeps], detector, image)
        decision = detector.decision(found[1], image.shape[:2])
        timed(taken, "explain all", everything, decision, sample.truths, dataset.classes)
        for number in range(len(found[1])):
            alone = detector.decision(found[1], image.shape[:2])
            timed(taken, "explain one", explain.of_detection, alone, number)
        for row in range(len(sample.truths)):
            alone = detector.decision(found[1], image.shape[:2])
            truth = sample.truths.take(np.array([row]))
            timed(taken, "explain one", explain.of_truths, alone, truth, dataset.classes)
    measured = {
        name: {**spread(values), "p95": float(np.quantile(values, 0.95))}
        for name, values in taken.items()
    }
    document = {
        "schema": "boxray.benchmark.explain_time/1",
        "machine": machine("boxray", "numpy", "onnxruntime"),
        "images": len(taken["detect"]),
        "kept record costs": measured["detect"]["median"] / measured[names[1]]["median"] - 1,
        "milliseconds": measured,
    }
    rows = [["what", "median ms", "p10", "p90", "p95", "worst"]]
    for name, values in measured.items():
        rows.append([name, *(f"{values[k]:.1f}" for k in ("median", "p10", "p90", "p95", "worst"))])
    deliver(document, rows, as_json=given.as_json)


def timed(
    taken: dict[str, list[float]], name: str, work: Callable[..., Any], *arguments: object
) -> Any:
    """What the work gives; its processor time in milliseconds is added to `taken`."""
    start = time.process_time()
    given = work(*arguments)
    taken[name].append(1000 * (time.process_time() - start))
    return given


def without_record(detector: OneStage, image: images.Pixels) -> Detections:
    """The lines of `OneStage.detect_array` that give boxes, labels and scores."""
    canvas, placement = images.fit(image, detector.canvas_hw)
    raw = tuple(level[0] for level in detector.engine(canvas[None]))
    candidates = detector.coder.decode(raw, detector.thresholds.score_threshold)
    selection = select(candidates, detector.thresholds)
    boxes = placement.to_image(selection.boxes, clip=True)
    (inside,) = (boxes[:, 2:] > boxes[:, :2]).all(1).nonzero()
    labels = candidates.labels[selection.kept[inside]]
    return Detections(boxes[inside], labels, selection.scores[inside])


def with_record(detector: OneStage, image: images.Pixels) -> Detections:
    return detector.detect_array(image)


WAYS = (without_record, with_record)


def everything(decision: explain.Decision, truths: Truths, names: Sequence[str]) -> None:
    """Every detection and every truth."""
    explain.of_truths(decision, truths, names)
    for number in range(len(decision.places)):
        explain.of_detection(decision, number)


if __name__ == "__main__":
    main()
