"""Counts and priors of 14.6 million Open Images rows, beside pandas and scikit-learn.

    python benchmarks/open_images_scale.py FOLDER [--rows 14600000] [--seed 0] [--json]

FOLDER gets a made-up table in the published layout of the train split (21 columns, 2.2 GB at full
length) and keeps it for the next time. Both sides run as programs of their own on the same file
and answer the same questions: boxes and images per class, flags, a histogram of sides per class,
of aspects, of centres; then 9 priors by k-means under squared distance from one start. boxray
streams the rows into bins and clusters the weighted bins; the peer reads the columns into memory
and clusters all rows, by Lloyd's rounds until no row changes its cluster, at most 300. How many
rounds scikit-learn's default tolerance would take is told too: with it the peer is quicker, and
its objective higher. Both results are judged on all rows, once more, by the mean squared distance.

Takes about three minutes of two cores, 2.2 GB of disk and 5 GB of memory for the peer, which
needs `pip install pandas scikit-learn`. Times are wall clock, with the processor time beside them;
memory is the largest resident set. The file should be in the page cache for both: it is read once
before.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from reporting import deliver, machine

CLASSES, PRIORS, CHUNK = 601, 9, 1_000_000
BOXES_PER_IMAGE = 8.4  # as in the published train split
CORNERS = ("XMin", "XMax", "YMin", "YMax")
FLAGS = {
    "IsOccluded": 0.66,
    "IsTruncated": 0.25,
    "IsGroupOf": 0.06,
    "IsDepiction": 0.05,
    "IsInside": 0.002,
}


def main() -> None:
    """Write the table if it is not there, run both sides, and report."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=14_600_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--side", choices=sorted(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--start", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    path = arguments.folder / f"train-annotations-bbox-{arguments.rows}-{arguments.seed}.csv"
    if arguments.side:
        print(json.dumps(SIDES[arguments.side](path, np.load(arguments.start))))
        return
    arguments.folder.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        write_table(path, arguments.rows, arguments.seed)
    sizes = all_sizes(path)
    start = arguments.folder / "start.npy"
    np.save(start, np.unique(sizes[: 100 * PRIORS], axis=0)[::11][:PRIORS])
    found = {side: run(side, arguments.folder, arguments) for side in SIDES}
    for side in found.values():
        side["objective"] = objective(sizes, np.array(side["priors"]))
    report(path, arguments, found)


def report(path: Path, arguments: argparse.Namespace, found: dict[str, dict]) -> None:
    """One row per side, and what boxray makes of the peer's numbers."""
    ours, peer = found["boxray"], found["pandas"]
    document = {
        "rows": arguments.rows,
        "bytes": path.stat().st_size,
        "sides": {
            name: {k: v for k, v in one.items() if k != "priors"} for name, one in found.items()
        },
        "times_faster": peer["total_s"] / ours["total_s"],
        "objective_over_lloyds": ours["objective"] / peer["objective"] - 1,
        "same_counts": ours["boxes"] == peer["boxes"] and ours["images"] == peer["images"],
        "machine": machine("boxray", "numpy", "polars", "pandas", "scikit-learn"),
    }
    rows = [("", "counting s", "k-means s", "total s", "processor s", "memory MB", "objective")]
    for name, one in found.items():
        numbers = [f"{one[key]:.2f}" for key in ("count_s", "cluster_s", "total_s", "processor_s")]
        rows.append((name, *numbers, f"{one['memory_mb']:.0f}", f"{one['objective']:.6f}"))
    deliver(document, rows, as_json=arguments.json)
    if not arguments.json:
        print(
            f"{document['times_faster']:.1f} times faster; the objective on all rows is "
            f"{document['objective_over_lloyds']:+.4%} of Lloyd's; "
            f"the same counts: {document['same_counts']}"
        )


def run(side: str, folder: Path, arguments: argparse.Namespace) -> dict:
    """One side as a program of its own, for its memory."""
    words = [sys.executable, __file__, str(folder), "--side", side]
    words += ["--rows", str(arguments.rows), "--seed", str(arguments.seed)]
    words += ["--start", str(folder / "start.npy")]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def with_boxray(path: Path, start: np.ndarray) -> dict:
    """Streamed into bins; clusters of the bins."""
    from boxray.coders import anchors
    from boxray.data.table_scan import scan

    clock = Clock()
    counted = scan(path)
    clock.lap()
    anchors.kmeans(counted.sizes_wh, PRIORS, distance="iou", weights=counted.weights)
    iou_s = clock.since()
    clock.lap()
    shares = counted.weights / counted.weights.sum()
    priors = anchors._lloyd(counted.sizes_wh, shares, start, "euclidean")
    boxes = {name: int(n) for name, n in zip(counted.classes, counted.boxes, strict=True)}
    images = {name: int(n) for name, n in zip(counted.classes, counted.images, strict=True)}
    return clock.told(priors, boxes, images, clock.since()) | {"nine_iou_priors_s": iou_s}


def with_pandas(path: Path, start: np.ndarray) -> dict:
    """Read into memory; clusters of all rows."""
    import pandas as pd
    from sklearn.cluster import KMeans

    clock = Clock()
    frame = pd.read_csv(path, usecols=["ImageID", "LabelName", *CORNERS, *FLAGS])
    width, height = frame["XMax"] - frame["XMin"], frame["YMax"] - frame["YMin"]
    boxes = frame["LabelName"].value_counts().to_dict()
    images = frame.groupby("LabelName")["ImageID"].nunique().to_dict()
    frame.groupby("LabelName")[list(FLAGS)].sum()
    labels, _ = pd.factorize(frame["LabelName"])
    side = np.minimum(((width * height) ** 0.125 * 256).astype(int), 255)
    np.bincount(labels * 256 + side, minlength=CLASSES * 256)
    np.histogram(np.log2(width / height), 80, (-5, 5))
    centres = (frame["YMin"] + frame["YMax"]) / 2, (frame["XMin"] + frame["XMax"]) / 2
    np.histogram2d(*centres, 32, ((0, 1), (0, 1)))
    clock.lap()
    sizes = np.stack([width, height], -1)
    found = KMeans(PRIORS, init=start, n_init=1, tol=0, max_iter=300).fit(sizes)
    cluster_s = clock.since()
    loose = KMeans(PRIORS, init=start, n_init=1, max_iter=found.n_iter_).fit(sizes)
    told = clock.told(found.cluster_centers_, boxes, images, cluster_s)
    return told | {"rounds": found.n_iter_, "rounds_by_default": loose.n_iter_}


SIDES: dict[str, Callable[[Path, np.ndarray], dict]] = {
    "boxray": with_boxray,
    "pandas": with_pandas,
}


class Clock:
    """Wall clock of two parts, and what the process used."""

    def __init__(self) -> None:
        self.laps = [time.perf_counter()]

    def since(self) -> float:
        """Seconds since the last lap."""
        return time.perf_counter() - self.laps[-1]

    def lap(self) -> None:
        """Another part begins."""
        self.laps.append(time.perf_counter())

    def told(
        self, priors: np.ndarray, boxes: dict[str, int], images: dict[str, int], cluster_s: float
    ) -> dict:
        """The report of a side, whose clustering took so long."""
        count_s = self.laps[1] - self.laps[0]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "count_s": count_s,
            "cluster_s": cluster_s,
            "total_s": count_s + cluster_s,
            "processor_s": usage.ru_utime + usage.ru_stime,
            "memory_mb": usage.ru_maxrss / 1024,
            "priors": priors.tolist(),
            "boxes": dict(sorted(boxes.items())),
            "images": dict(sorted(images.items())),
        }


def all_sizes(path: Path) -> np.ndarray:
    """Width and height of every row."""
    import polars as pl

    types = dict.fromkeys(CORNERS, pl.Float64)
    frame = pl.scan_csv(path, infer_schema=False, schema_overrides=types).select(
        width=pl.col("XMax") - pl.col("XMin"), height=pl.col("YMax") - pl.col("YMin")
    )
    return frame.collect(engine="streaming").to_numpy()


def objective(sizes: np.ndarray, priors: np.ndarray) -> float:
    """The mean squared distance of all rows to their nearest prior."""
    total = 0.0
    for first in range(0, len(sizes), CHUNK):
        part = sizes[first : first + CHUNK, None] - priors
        total += float((part**2).sum(-1).min(1).sum())
    return total / len(sizes)


def write_table(path: Path, rows: int, seed: int) -> None:
    """A table like the train split's: classes of very different frequency, sizes log-normal."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, CLASSES + 1)
    half = path.with_suffix(".part")
    with half.open("wb") as file:
        for first in range(0, rows, CHUNK):
            count = min(CHUNK, rows - first)
            frame = made_up(rng, first, count, chance / chance.sum())
            frame.write_csv(file, include_header=first == 0, float_precision=6)
    os.replace(half, path)  # noqa: PTH105


def made_up(rng: np.random.Generator, first: int, count: int, chance: np.ndarray):
    """Rows `first` and following, as a polars frame."""
    import polars as pl

    label = rng.choice(CLASSES, count, p=chance)
    area = np.exp(rng.normal(-3.2, 1.7, count)).clip(2e-5, 1)
    aspect = np.exp(rng.normal(-0.1, 0.6, count) + 0.3 * np.sin(label))
    width, height = np.sqrt(area * aspect).clip(1e-3, 1), np.sqrt(area / aspect).clip(1e-3, 1)
    x, y = rng.random(count) * (1 - width), rng.random(count) * (1 - height)
    image = ((first + np.arange(count)) / BOXES_PER_IMAGE).astype(np.int64)
    names = np.array([f"/m/{number:05x}" for number in range(CLASSES)])
    clicks = {
        f"XClick{i}{axis}": pl.Series(corner + share * side)
        for axis, corner, side in (("X", x, width), ("Y", y, height))
        for i, share in enumerate((0, 0.3, 0.6, 0.9), 1)
    }
    flags = {
        name: pl.Series((rng.random(count) < share).astype(np.int8))
        for name, share in FLAGS.items()
    }
    return pl.DataFrame({"ImageID": image}).select(
        pl.col("ImageID").cast(pl.String).str.zfill(16),
        Source=pl.lit("xclick"),
        LabelName=pl.Series(names[label]),
        Confidence=pl.lit(1),
        XMin=pl.Series(x),
        XMax=pl.Series(x + width),
        YMin=pl.Series(y),
        YMax=pl.Series(y + height),
        **flags,
        **clicks,
    )


if __name__ == "__main__":
    main()
