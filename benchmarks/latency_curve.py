"""Average precision against time over the sizes of the canvas, ours and a peer's.

    python benchmarks/latency_curve.py DATA [--models default …] [--sizes 224 256 … 416]
        [--peer-weights RUN/weights/best.pt --peer-python OTHER/bin/python] [--output FOLDER]

Takes about a minute for each size and model. Each model judges the pictures of the split on a
canvas of each size: AP50 by VOC's rule. Time is that of `detect_array` on pictures that already
have the canvas's size, so of the network, the decoding and the selection for one picture; median
over pictures, the models taking turns after each block of them. The peer's weights are exported
by its own command `yolo export format=onnx`, in its own environment, and run by the same
onnxruntime and the same selection as ours. Writes curve.json and curve.png.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from matplotlib.figure import Figure
from reporting import deliver, machine

from boxray import boxes as geometry
from boxray import bundle, data, images
from boxray.boxes import Array
from boxray.data import Dataset
from boxray.engines.onnx import open_session
from boxray.evaluation import evaluate
from boxray.protocols import Detector
from boxray.records import Candidates, Detections
from boxray.selection import Thresholds, select

SIZES = [224, 256, 288, 320, 352, 384, 416]
BLOCKS, BLOCK, WARM_UP = 4, 30, 10  # of pictures, of which the first do not count
SCORE_THRESHOLD = 0.25  # while the time is taken, for all: what a user sees


@dataclass(frozen=True)
class PeerFile:
    """The peer's ONNX file as a detector: one output (1, 4 + classes, rows) of centres and sizes in
    canvas pixels and of scores, read and selected by boxray.
    """

    session: onnxruntime.InferenceSession
    classes: tuple[str, ...]
    canvas_hw: tuple[int, int]

    def detect_array(
        self,
        image: Array,
        *,
        score_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> Detections:
        """As `boxray.protocols.Detector` asks."""
        thresholds = Thresholds(
            score_threshold=SCORE_THRESHOLD if score_threshold is None else score_threshold,
            iou_threshold=0.7,  # its own default
            max_detections=max_detections or 300,
        )
        canvas, placement = images.fit(image, self.canvas_hw)
        pixels = np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32)[None] / 255
        (output,) = self.session.run(None, {self.session.get_inputs()[0].name: pixels})
        scores = output[0, 4:].T
        rows, labels = np.nonzero(scores >= thresholds.score_threshold)
        found = Candidates(
            boxes=geometry.edges(output[0, :4].T[rows]),
            labels=labels,
            scores=scores[rows, labels],
            row=rows,
            group=np.zeros_like(rows),
        )
        chosen = select(found, thresholds)
        places = placement.to_image(chosen.boxes, clip=True)
        return Detections(places, labels[chosen.kept], chosen.scores)


def peer_at(size: int, asked: argparse.Namespace, classes: tuple[str, ...]) -> Detector:
    """The peer's weights as a file for this canvas, which is kept in the output folder."""
    weights = asked.output / f"peer-{size}.pt"
    exported = weights.with_suffix(".onnx")
    if not exported.exists():
        weights.unlink(missing_ok=True)
        weights.symlink_to(asked.peer_weights.resolve())
        yolo = asked.peer_python.with_name("yolo")
        command = [str(yolo), "export", f"model={weights.absolute()}", "format=onnx"]
        folder = str(asked.output.absolute())
        quiet = {"YOLO_CONFIG_DIR": folder, "YOLO_OFFLINE": "true", "YOLO_AUTOINSTALL": "false"}
        wanted = [*command, f"imgsz={size}", "simplify=False"]
        subprocess.run(wanted, env={**os.environ, **quiet}, stdout=subprocess.DEVNULL, check=True)
    session = open_session(exported.read_bytes(), threads=asked.threads)
    return PeerFile(session, classes, (size, size))


def milliseconds(
    detectors: dict[str, Detector], dataset: Dataset, size: int
) -> dict[str, list[float]]:
    """The time of each model for each picture, a block of pictures at a time.

    In turn picture by picture each would meet the threads of the one before, which still wait.
    """
    canvases = [images.fit(images.load(s.path), (size, size))[0] for s in dataset.samples[:BLOCK]]
    times: dict[str, list[float]] = {name: [] for name in detectors}
    for _ in range(BLOCKS):
        for name, detector in detectors.items():
            for number, canvas in enumerate(canvases):
                start = time.perf_counter()
                detector.detect_array(canvas)
                if number >= WARM_UP:
                    times[name].append(1000 * (time.perf_counter() - start))
    return times


def measure(asked: argparse.Namespace, dataset: Dataset) -> list[dict[str, Any]]:
    """One row for each size and model; all times are taken before anything is judged."""
    detectors: dict[int, dict[str, Detector]] = {}
    for size in asked.sizes:
        detectors[size] = {
            model: bundle.load(model, size=size, threads=asked.threads) for model in asked.models
        }
        if asked.peer_weights is not None:
            detectors[size]["peer"] = peer_at(size, asked, dataset.classes)
    times = {size: milliseconds(models, dataset, size) for size, models in detectors.items()}
    rows = []
    for size, models in detectors.items():
        for name, detector in models.items():
            found = evaluate(detector, dataset, protocol="voc")
            low, median, high = np.percentile(times[size][name], [25, 50, 75]).round(2).tolist()
            rows.append(
                {
                    "model": Path(name).name,
                    "size": size,
                    "AP50": found.metrics["AP50"],
                    "interval": found.intervals["AP50"],
                    "ms": median,
                    "ms_quartiles": [low, high],
                }
            )
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """A line for each model, a mark for each size."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, model in enumerate(dict.fromkeys(row["model"] for row in rows)):
        mine = [row for row in rows if row["model"] == model]
        points = [(row["ms"], row["AP50"]) for row in mine]
        axes.plot(*zip(*points, strict=True), "o-", color=f"C{number}", label=model)
        for row, point in zip(mine, points, strict=True):
            axes.annotate(str(row["size"]), point, (3, -10), textcoords="offset points", size=7)
    axes.set(xlabel="milliseconds per picture", ylabel="AP50", ylim=(0, 1))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    """Read the command line, measure, print and write the curve."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--models", nargs="+", default=["default"], help="names, runs or files")
    parser.add_argument("--peer-weights", type=Path, help="a .pt file of the peer")
    parser.add_argument("--peer-python", type=Path, help="the interpreter of its environment")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=None, help="pictures that are judged")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--output", type=Path, default=Path("curve"))
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    if (asked.peer_weights is None) != (asked.peer_python is None):
        parser.error("--peer-weights and --peer-python go together.")
    dataset = data.read(asked.data, asked.split)
    dataset = replace(dataset, samples=dataset.samples[: asked.limit])
    asked.output.mkdir(parents=True, exist_ok=True)
    rows = measure(asked, dataset)
    document: dict[str, object] = {
        "schema": "boxray.benchmark.latency_curve/1",
        "machine": machine("boxray", "numpy", "onnxruntime"),
        "data": asked.data.name,
        "split": asked.split,
        "images": len(dataset.samples),
        "threads": asked.threads,
        "rows": rows,
    }
    text = json.dumps(document, indent=2) + "\n"
    (asked.output / "curve.json").write_text(text, encoding="utf-8")
    draw(rows, asked.output / "curve.png")
    table: list[list[object]] = [["model", "canvas", "AP50", "ms", "middle half"]]
    for row in rows:
        middle = "{:.1f} to {:.1f}".format(*row["ms_quartiles"])
        cells = [row["model"], row["size"], f"{row['AP50']:.3f}", f"{row['ms']:.1f}", middle]
        table.append(cells)
    deliver(document, table, as_json=asked.as_json)


if __name__ == "__main__":
    main()
