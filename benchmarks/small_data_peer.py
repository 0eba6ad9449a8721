"""The other side of small_data_race.py: Ultralytics' nano model, run from outside. Not a program.

Only its documented command line `yolo` is used, from an environment of its own
(`pip install ultralytics`); it is no dependency of boxray, and nothing of it is imported here.
It is given the data in its own format, trains `yolo11n.yaml` from random weights, and writes what
it detects as text, which boxray judges.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray import boxes as geometry
from boxray import data
from boxray.evaluation import SCORE_FLOOR, score
from boxray.records import Detections, Sample

MODEL = "yolo11n.yaml"
MAX_DETECTIONS = 300  # per image: its own default, and boxray's for VOC
OWN_NUMBER = re.compile(r"^\s*all(?:\s+[\d.e-]+){4}\s+([\d.e-]+)", re.MULTILINE)

RunLogged = Callable[[list[str], Path, dict[str, str]], dict[str, float]]


@dataclass(frozen=True)
class Peer:
    """Where the peer is and what it is given. minutes: None for its own default of epochs."""

    python: Path
    folder: Path
    minutes: float | None
    size: int
    threads: int
    seed: int

    def race(self, source: Path, split: str, run_logged: RunLogged) -> dict[str, object]:
        """Train within the budget, detect on the split, and judge that as ours is judged."""
        yolo = self.python.with_name("yolo")
        if not yolo.exists():
            sys.exit(f"no command `yolo` beside {self.python}: pip install ultralytics there.")
        environment = self.environment()
        classes = data.ClassMap(data.read(source, "train").classes)
        truths = data.read(source, split, classes=classes)
        described = self.write_dataset(source, split, classes)
        quiet = [str(yolo), "settings", "sync=False"]
        run_logged(quiet, self.folder / "peer.settings.log", environment)

        def run(step: str, *settings: str) -> dict[str, float]:
            command = [str(yolo), "detect", *settings, f"imgsz={self.size}", "device=cpu"]
            command += ["plots=False", f"project={self.folder}", f"name=peer_{step}"]
            return run_logged(command, self.folder / f"peer.{step}.log", environment)

        budget = [] if self.minutes is None else [f"time={self.minutes / 60:.6f}"]
        asked = ["train", f"model={MODEL}", f"data={described}", f"seed={self.seed}", *budget]
        cost = run("train", *asked)
        trained = self.folder / "peer_train"
        weights = f"model={trained / 'weights' / 'best.pt'}"
        run("own", "val", weights, f"data={described}", "split=test")
        found = [f"source={self.folder / 'yolo/images' / split}", f"conf={SCORE_FLOOR}"]
        found += [f"max_det={MAX_DETECTIONS}", "save=False", "save_txt=True", "save_conf=True"]
        run("detect", "predict", weights, *found)
        labels = self.folder / "peer_detect" / "labels"
        detections = [read_detections(s, labels / name(i)) for i, s in enumerate(truths.samples)]
        judged = score(
            [sample.truths for sample in truths.samples],
            detections,
            truths.classes,
            protocol="voc",
        )
        said = OWN_NUMBER.search((self.folder / "peer.own.log").read_text(encoding="utf-8"))
        return {
            "tool": f"ultralytics {version(yolo, environment)}, {MODEL}",
            "command": " ".join(["yolo detect train", f"model={MODEL}", *asked[3:]])
            + f" imgsz={self.size}",
            **cost,
            "mAP50": judged.metrics["AP50"],
            "interval": judged.intervals.get("AP50"),
            "per_class": {one: values["AP50"] for one, values in judged.per_class.items()},
            "its_own_mAP50": float(said[1]) if said else None,
            "detections": sum(map(len, detections)),
            "curve": read_curve(trained / "results.csv"),
        }

    def environment(self) -> dict[str, str]:
        """Ours, with settings and fonts in our folder, no network, and as many threads as we."""
        return {
            **os.environ,
            "OMP_NUM_THREADS": str(self.threads),  # it takes one if this is not set
            "YOLO_CONFIG_DIR": str(self.folder),
            "YOLO_OFFLINE": "true",
            "YOLO_AUTOINSTALL": "false",
            "MPLBACKEND": "agg",
        }

    def write_dataset(self, source: Path, judged: str, classes: data.ClassMap) -> Path:
        """The data as the peer reads it: links to the pictures, a text file for each, a YAML."""
        root = self.folder / "yolo"
        for split in dict.fromkeys(("train", "val", judged)):
            for kind in ("images", "labels"):
                (root / kind / split).mkdir(parents=True)
            for number, sample in enumerate(data.read(source, split, classes=classes).samples):
                text = root / "labels" / split / name(number)
                text.write_text(described_truths(sample), encoding="utf-8")
                picture = root / "images" / split / text.with_suffix(sample.path.suffix).name
                picture.symlink_to(sample.path.resolve())
        lines = [f"path: {root}", "train: images/train", "val: images/val"]
        lines += [f"test: images/{judged}", "names:"]
        lines += [f"  {label}: {json.dumps(one)}" for label, one in enumerate(classes.names)]
        described = root / "data.yaml"
        described.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return described


def name(number: int) -> str:
    """The text file of a picture."""
    return f"{number:06d}.txt"


def described_truths(sample: Sample) -> str:
    """One line per taught truth: label, then centre and size as shares of the picture's sides."""
    truths = sample.truths
    taught = truths.take(~(truths.difficult | truths.crowd | truths.group_of))  # as ours is taught
    height, width = sample.size_hw
    shares = geometry.centre_size(taught.boxes) / [width, height, width, height]
    rows = zip(taught.labels.tolist(), shares.tolist(), strict=True)
    return "".join(f"{label} {' '.join(f'{s:.6f}' for s in row)}\n" for label, row in rows)


def read_detections(sample: Sample, text: Path) -> Detections:
    """What the peer wrote for a picture, best first; no file means it found nothing."""
    lines = text.read_text(encoding="utf-8").splitlines() if text.exists() else []
    table = np.array([line.split() for line in lines], np.float64).reshape(-1, 6)
    table = table[np.argsort(-table[:, 5], kind="stable")]
    height, width = sample.size_hw
    found = geometry.edges(table[:, 1:5] * [width, height, width, height])
    return Detections(found, table[:, 0].astype(np.int64), table[:, 5])


def read_curve(table: Path) -> list[list[float]]:
    """Seconds and mAP50 on val after each epoch, by its own account."""
    with table.open(encoding="utf-8", newline="") as file:
        rows = [{key.strip(): value for key, value in row.items()} for row in csv.DictReader(file)]
    return [[float(row["time"]), float(row["metrics/mAP50(B)"])] for row in rows]


def version(yolo: Path, environment: dict[str, str]) -> str:
    """The number that it calls itself by."""
    said = subprocess.run([yolo, "version"], env=environment, capture_output=True, text=True)
    return said.stdout.strip().splitlines()[-1]
