"""How many objects Selective Search and Edge Boxes reach, and at what price.

    python benchmarks/proposal_recall.py voc07 --output FOLDER [--images 200] [--json]

For each way to propose and each size of the picture: the share of objects that are not difficult
with an IoU of at least 0.5 and 0.7 to one of the first 300, 1,000, 2,000 or of all proposals, over
all objects and as the mean of the classes; how many there are; seconds of one processor. Selective
Search counts twice: as it is, and without the boxes that overlap an earlier one by more than 0.8.
Takes half an hour of one core for 200 pictures of 384 pixels. What was proposed stays in FOLDER:
stopped and started again, it goes on where it was. The pictures are the first of the split.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from pathlib import Path

import numpy as np
from reporting import deliver, machine
from rich.progress import track

from boxray import data, images
from boxray.engines.proposals import EdgeBoxes, SelectiveSearch, apart
from boxray.files import write_atomically
from boxray.metrics.proposal_recall import Reach, reach
from boxray.records import Sample

ALL = sys.maxsize
COUNTS = (300, 1000, 2000, ALL)
HEAD = (
    "proposals", "side", "apart", "IoU", *(f"first {count}" for count in COUNTS[:-1]), "all",
    "classes, 2000", "classes, all", "boxes", "s",
)  # fmt: skip
PROPOSERS = {
    **{
        (f"selective search, {mode}", side): SelectiveSearch(mode, side, limit=ALL, overlap=1.0)
        for side in (384, 500)
        for mode in ("fast", "quality")
    },
    **{("edge boxes", side): EdgeBoxes(side=side, limit=10_000) for side in (384, 500)},
}


def proposed(
    sample: Sample, proposer: SelectiveSearch | EdgeBoxes, kept: Path
) -> tuple[np.ndarray, float]:
    """The proposals of one picture and the processor's seconds for them, computed once."""
    if not kept.exists():
        image = images.load(sample.path)
        start = time.process_time()
        boxes = proposer(image)
        seconds = time.process_time() - start
        content = io.BytesIO()
        np.savez_compressed(content, boxes=boxes.astype(np.float32), seconds=seconds)
        write_atomically(kept, content.getvalue())
    with np.load(kept) as found:
        return found["boxes"], float(found["seconds"])


def measured(reached: Reach, iou: float) -> tuple[str, ...]:
    """Recall over objects for each of `COUNTS`, of classes for the last two, boxes per picture."""
    of_objects, of_classes = reached.recall(iou), reached.mean_of_classes(iou)[2:]
    shares = (f"{share:.3f}" for share in (*of_objects, *of_classes))
    return (*shares, f"{reached.proposals.mean():.0f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    samples = data.read(given.data, split=given.split).samples[: given.images]
    rows: list[tuple[object, ...]] = []
    for (name, side), proposer in PROPOSERS.items():
        folder = given.output / f"{name} {side}".replace(",", "").replace(" ", "-")
        folder.mkdir(parents=True, exist_ok=True)
        found = [
            proposed(sample, proposer, folder / f"{sample.path.stem}.npz")
            for sample in track(samples, f"{name}, {side} pixels", disable=given.json)
        ]
        seconds = float(np.median([s for _, s in found]))
        for overlap in (1.0, 0.8) if isinstance(proposer, SelectiveSearch) else (proposer.overlap,):
            boxes = [apart(one, overlap) for one, _ in found]
            reached = reach([sample.truths for sample in samples], boxes, COUNTS)
            rows += [(name, side, overlap, iou, *measured(reached, iou), f"{seconds:.2f}")
                     for iou in (0.5, 0.7)]  # fmt: skip
    document = {
        "benchmark": "proposal recall",
        "machine": machine("numpy", "opencv-contrib-python-headless"),
        "images": len(samples),
        "objects": len(reached.labels),
        "rows": [dict(zip(HEAD, row, strict=True)) for row in rows],
    }
    deliver(document, [HEAD, *rows], as_json=given.json)


if __name__ == "__main__":
    main()
