"""Where the milliseconds of one detection go.

    python benchmarks/detect_time.py photo.jpg [--model MODEL] [--threads N] [--json]

Takes about ten seconds. The ONNX engine, one picture, one process: each stage is called alone on
what the stage before it left, in turn, so that a slow moment of the machine meets all of them.
`whole` is `detector.detect` itself, so that what the stages leave out can be seen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from reporting import cores, deliver, machine, spread

import boxray
from boxray import images
from boxray.detectors import OneStage
from boxray.selection import select


def stages(detector: OneStage, photo: Path) -> dict[str, Callable[[], object]]:
    """Each stage as a call without arguments, in the order of `OneStage.detect`."""
    image = images.load(photo)
    canvas, placement = images.fit(image, detector.canvas_hw)
    raw = tuple(level[0] for level in detector.engine(canvas[None]))
    candidates = detector.coder.decode(raw, detector.thresholds.score_threshold)
    kept = candidates.boxes[select(candidates, detector.thresholds).kept]
    return {
        "read": lambda: images.load(photo),
        "fit": lambda: images.fit(image, detector.canvas_hw),
        "engine": lambda: detector.engine(canvas[None]),
        "decode": lambda: detector.coder.decode(raw, detector.thresholds.score_threshold),
        "select": lambda: select(candidates, detector.thresholds),
        "place": lambda: placement.to_image(kept, clip=True),
        "whole": lambda: detector.detect(photo),
    }


def milliseconds(
    calls: dict[str, Callable[[], object]], repeats: int, warm_up: int
) -> dict[str, dict[str, float]]:
    """Median and spread of each call over `repeats` rounds, after `warm_up` that do not count."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(warm_up + repeats):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - start))
    return {name: spread(values[warm_up:]) for name, values in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("photo", type=Path)
    parser.add_argument("--model", default="default")
    parser.add_argument("--threads", type=int, default=None, help="all processors if unset")
    parser.add_argument("--size", type=int, default=None, help="canvas side in pixels")
    parser.add_argument("--score-threshold", type=float, default=None)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    detector = boxray.load(asked.model, size=asked.size, threads=asked.threads)
    detector = detector.with_thresholds(score_threshold=asked.score_threshold)
    result = detector.detect(asked.photo)
    measured = milliseconds(stages(detector, asked.photo), asked.repeats, asked.warm_up)
    whole = measured["whole"]["median"]
    measured["rest"] = {  # of medians: what calls, checks and records take between the stages
        "median": whole - sum(m["median"] for name, m in measured.items() if name != "whole")
    }
    document = {
        "schema": "boxray.benchmark.detect_time/1",
        "machine": machine("boxray", "numpy", "pillow", "onnxruntime"),
        "model": detector.name,
        "image_hw": list(result.image.shape[:2]),
        "canvas_hw": list(detector.canvas_hw),
        "threads": asked.threads or cores(),
        "score_threshold": detector.thresholds.score_threshold,
        "detections": len(result.boxes),
        "repeats": asked.repeats,
        "milliseconds": measured,
    }
    rows = [["stage", "median ms", "p10", "p90", "worst", "share"]]
    for name, values in measured.items():
        cells = [
            f"{values[k]:.3f}" if k in values else "" for k in ("median", "p10", "p90", "worst")
        ]
        rows.append([name, *cells, f"{100 * values['median'] / whole:.0f} %"])
    deliver(document, rows, as_json=asked.as_json)
    if not asked.as_json:
        chosen = ("model", "image_hw", "canvas_hw", "threads", "score_threshold", "detections")
        print(", ".join(f"{name} {document[name]}" for name in chosen))


if __name__ == "__main__":
    main()
