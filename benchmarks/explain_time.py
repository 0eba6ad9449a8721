"""What explaining costs: nothing while detecting, and how long when it is asked for.

    python benchmarks/explain_time.py DATA [--split val] [--images 40] [--model MODEL] [--json]

DATA is a folder of annotated pictures. Takes a few seconds. One thread, processor time: for each
picture the detection, then the lives of all its detections and the verdicts on all its truths.
`per explanation` is the time of all of these divided by their number.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from reporting import deliver, machine, spread

import boxray
from boxray import data, explain
from boxray.data.classes import ClassMap


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--model", default="default")
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()

    detector = boxray.load(given.model, threads=1)
    dataset = data.read(given.data, given.split, classes=ClassMap(detector.classes))
    taken: dict[str, list[float]] = {"detect": [], "explain all": [], "per explanation": []}
    for sample in dataset.samples[: given.images]:
        start = time.process_time()
        result = detector.detect(sample.path)
        detected = time.process_time()
        decision = detector.decision(result.detections, result.size_hw)
        explain.of_truths(decision, sample.truths, dataset.classes)
        for number in range(len(result)):
            explain.of_detection(decision, number)
        told = max(1, len(sample.truths) + len(result))
        seconds = time.process_time() - detected
        taken["detect"].append(1000 * (detected - start))
        taken["explain all"].append(1000 * seconds)
        taken["per explanation"].append(1000 * seconds / told)
    measured = {name: spread(values) for name, values in taken.items()}
    document = {
        "schema": "boxray.benchmark.explain_time/1",
        "machine": machine("boxray", "numpy", "onnxruntime"),
        "images": len(taken["detect"]),
        "milliseconds": measured,
    }
    rows = [["what", "median ms", "p10", "p90", "worst"]]
    for name, values in measured.items():
        rows.append([name, *(f"{values[k]:.1f}" for k in ("median", "p10", "p90", "worst"))])
    deliver(document, rows, as_json=given.as_json)


if __name__ == "__main__":
    main()
