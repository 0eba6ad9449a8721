"""Whether the evidence from pixels points at the object, and what it takes.

    python benchmarks/pointing_game.py DATA [--split val] [--boxes 100] [--seed 0] [--json]

DATA is a folder of annotated pictures. One object is drawn at random from each of as many pictures
drawn at random, difficult ones left out; the evidence for it is gathered whether it was found or
not, and it is a hit if the pixel that speaks most for it lies in its box (Zhang et al. 2018, the
pointing game, without their 15 pixels of tolerance). One thread. Takes up to a minute for each box.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from reporting import deliver, machine, spread

import boxray
from boxray import data, images
from boxray.data.classes import ClassMap
from boxray.explain import Hiding
from boxray.records import Sample


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--boxes", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model", default="default")
    parser.add_argument("--cells", type=int, default=Hiding().cells)
    parser.add_argument("--most", type=int, default=Hiding().most)
    parser.add_argument("--json", action="store_true", dest="as_json")
    given = parser.parse_args()

    detector = boxray.load(given.model, threads=1)
    dataset = data.read(given.data, given.split, classes=ClassMap(detector.classes))
    hiding = Hiding(cells=given.cells, most=given.most, seed=given.seed)
    chance = np.random.default_rng(given.seed)
    rows: dict[str, list[float]] = {"hit": [], "found": [], "inside": [], "masks": []}
    rows |= {"converged": [], "cpu s": [], "wall s": []}
    for place in chance.permutation(len(dataset)).tolist():
        sample = dataset.samples[place]
        counted = np.flatnonzero(~sample.truths.difficult)
        if len(counted) and len(rows["hit"]) < given.boxes:
            judge(detector, sample, int(chance.choice(counted)), dataset.classes, hiding, rows)
            if not given.as_json:
                print(len(rows["hit"]), f"{np.mean(rows['hit']):.3f}", sample.path.name, flush=True)
    hit, found = np.array(rows["hit"], bool), np.array(rows["found"], bool)
    shares = {"all": hit, "found": hit[found], "missed": hit[~found]}
    document = {
        "schema": "boxray.benchmark.pointing_game/1",
        "machine": machine("boxray", "numpy", "onnxruntime"),
        "boxes": {name: len(some) for name, some in shares.items()},
        "hits": {name: float(some.mean()) if len(some) else None for name, some in shares.items()},
        "converged": float(np.mean(rows["converged"])),
        "spread": {name: spread(rows[name]) for name in ("inside", "masks", "cpu s", "wall s")},
    }
    table = [["boxes", "number", "hits"]]
    table += [[n, str(len(some)), f"{some.sum()}"] for n, some in shares.items()]
    table.append(["what", "median", "worst"])
    for name, values in document["spread"].items():
        table.append([name, f"{values['median']:.3g}", f"{values['worst']:.3g}"])
    deliver(document, table, as_json=given.as_json)


def judge(
    detector: boxray.detectors.OneStage,
    sample: Sample,
    row: int,
    names: tuple[str, ...],
    hiding: Hiding,
    rows: dict[str, list[float]],
) -> None:
    """One object more."""
    image = images.load(sample.path)
    truths = sample.truths.take(np.array([row]))
    (verdict,) = detector.explain_truth(image, truths, names)
    cpu, wall = time.process_time(), time.perf_counter()
    (evidence,) = detector.evidence_truth(image, truths, names, hiding)
    x, y = evidence.peak
    x0, y0, x1, y1 = truths.boxes[0].tolist()
    rows["cpu s"].append(time.process_time() - cpu)
    rows["wall s"].append(time.perf_counter() - wall)
    rows["hit"].append(float(x0 <= x < x1 and y0 <= y < y1))
    rows["found"].append(float(verdict.killer is None))
    rows["inside"].append(evidence.inside or 0.0)
    rows["masks"].append(float(evidence.masks))
    rows["converged"].append(float(evidence.converged))


if __name__ == "__main__":
    main()
