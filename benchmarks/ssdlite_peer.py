"""torchvision's ssdlite320 on the same photos for the same time, judged by the same lines.

    python benchmarks/ssdlite_peer.py DATA --minutes 30 --threads 1 --split val [--json]

`torchvision.models.detection.ssdlite320_mobilenet_v3_large` from nothing, since its ImageNet
weights do not come with pip. Its own network, anchors, matching, loss and selection; boxray's
pictures, augmentation and judge. SGD with the rate of torchvision's reference recipe for it (0.15
for 192 images in a step) scaled to the batch, momentum 0.9, weight decay 4e-5, a cosine over the
time.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reporting import deliver, machine
from torchvision.models.detection import ssdlite320_mobilenet_v3_large

from boxray import data, images
from boxray.data import Dataset
from boxray.evaluation import SCORE_FLOOR, score
from boxray.recipes.training_numbers import AUGMENTATION
from boxray.records import Detections
from boxray.training.pictures import Batch, TrainingPictures, collate
from boxray.training.schedule import Order

SIZE_HW = (320, 320)
MAX_DETECTIONS = 300
RATE, RATE_BATCH = 0.15, 192


def batches(train: Dataset, batch: int, seed: int) -> Iterator[Batch]:
    """Augmented batches without end, half of the canvases mosaics, as boxray's own recipes see."""
    pictures = TrainingPictures(train.samples, SIZE_HW, AUGMENTATION, cache_bytes=4 * 2**30)
    random, step = np.random.default_rng(seed), 0
    while True:
        orders = []
        for place in range(batch):
            count = 4 if random.random() < AUGMENTATION.mosaic_share else 1
            chosen = tuple(random.integers(len(train.samples), size=count).tolist())
            orders.append(Order(chosen, SIZE_HW, (seed, step, place)))
        yield collate([pictures[order] for order in orders])
        step += 1


def train_network(network: torch.nn.Module, train: Dataset, asked: argparse.Namespace) -> int:
    """Learn until the time is over; how many images were seen."""
    began, peak = time.perf_counter(), RATE * asked.batch / RATE_BATCH
    optimiser = torch.optim.SGD(network.parameters(), lr=peak, momentum=0.9, weight_decay=4e-5)
    network.train()
    for step, (seen, truths, _) in enumerate(batches(train, asked.batch, asked.seed)):
        share = (time.perf_counter() - began) / (60 * asked.minutes)
        if share >= 1:
            return step * asked.batch
        for group in optimiser.param_groups:
            group["lr"] = peak * min(1.0, (step + 1) / 100) * 0.5 * (1 + math.cos(math.pi * share))
        # label 0 is background there
        targets = [
            {"boxes": torch.from_numpy(boxes), "labels": torch.from_numpy(labels + 1)}
            for boxes, labels, _ in truths
        ]
        loss = torch.stack(list(network(list(seen / 255), targets).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    raise AssertionError("the batches have no end")


@torch.inference_mode()
def detected(network: torch.nn.Module, judged: Dataset) -> list[Detections]:
    """What the network finds in each picture, in its pixels, best first."""
    network.eval()
    found = []
    for sample in judged.samples:
        pixels = torch.from_numpy(images.load(sample.path)).permute(2, 0, 1) / 255
        (said,) = network([pixels])
        found.append(
            Detections(
                boxes=said["boxes"].double().numpy(),
                labels=said["labels"].numpy() - 1,
                scores=said["scores"].double().numpy(),
            )
        )
    return found


def measure(asked: argparse.Namespace) -> dict[str, Any]:
    """Train, detect, judge; the answer as one document."""
    torch.set_num_threads(asked.threads)
    torch.manual_seed(asked.seed)
    train = data.read(asked.data, "train")
    judged = data.read(asked.data, asked.split, classes=data.ClassMap(train.classes))
    network = ssdlite320_mobilenet_v3_large(
        weights=None,
        weights_backbone=None,
        num_classes=1 + len(train.classes),
        score_thresh=SCORE_FLOOR,
        detections_per_img=MAX_DETECTIONS,
    )
    began = time.perf_counter()
    seen = train_network(network, train, asked)
    took = time.perf_counter() - began
    truths = [sample.truths for sample in judged.samples]
    result = score(truths, detected(network, judged), judged.classes, protocol="voc")
    return {
        "schema": "boxray.benchmark.ssdlite_peer/1",
        "machine": machine("boxray", "torch", "torchvision"),
        **{name: getattr(asked, name) for name in ("minutes", "batch", "threads", "seed", "split")},
        "train_s": took,
        "images": seen,
        "mAP50": result.metrics["AP50"],
        "interval": result.intervals.get("AP50"),
    }


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="val", help="which part it is judged on")
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    document = measure(asked)
    row = [f"{document['mAP50']:.3f}", document["images"], f"{document['train_s']:.0f}"]
    deliver(document, [["mAP50", "images seen", "training s"], row], as_json=asked.as_json)


if __name__ == "__main__":
    main()
