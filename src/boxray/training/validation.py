"""Validation: the loss and the AP of a network on pictures it does not learn from, in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from boxray import evaluation
from boxray.augmentation import Picture, letterbox
from boxray.data import Dataset
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchStages, normalise
from boxray.engines.recorded import Recorded
from boxray.recipes.recipe import Recipe
from boxray.records import Detections
from boxray.training.objective import first_pass, losses_of
from boxray.training.pictures import readable_picture, targets_of

BATCH = 16
UNLIMITED = (4096, 4096)  # pixels: pictures are letterboxed from their full size, as in use
PROTOCOL = "voc"  # one threshold: what a training curve needs, and quick


@dataclass(frozen=True)
class Validation:
    """losses: mean of each term per batch; metrics: AP50 and each class's."""

    losses: dict[str, float]
    ap50: float | None
    per_class: dict[str, float | None]


def validate(recipe: Recipe, network: nn.Module, dataset: Dataset) -> Validation:
    """Run a network, in evaluation mode, over a data set, letterboxed and not augmented."""
    network.eval()
    torch.manual_seed(0)  # of samples: one network has one loss
    sums: dict[str, float] = defaultdict(float)
    found: list[Detections] = []
    batches = 0
    for pictures in _batches(dataset):
        seen = [letterbox(picture, recipe.canvas_hw)[0] for picture in pictures]
        raw, losses = _forward(recipe, network, seen)
        batches += 1
        for name, value in losses.items():
            sums[name] += value
        found += _detections(_detector(recipe, network, raw, dataset.classes), pictures)
    truths = [sample.truths for sample in dataset.samples]
    result = evaluation.score(truths, found, dataset.classes, protocol=PROTOCOL, resamples=0)
    return Validation(
        losses={name: value / max(1, batches) for name, value in sums.items()},
        ap50=result.metrics["AP50"],
        per_class={name: row["AP50"] for name, row in result.per_class.items()},
    )


def _batches(dataset: Dataset) -> Iterator[list[Picture]]:
    for start in range(0, len(dataset.samples), BATCH):
        samples = dataset.samples[start : start + BATCH]
        # one that cannot be read is grey: nothing is found in it, and its truths count as missed
        yield [readable_picture(sample, UNLIMITED)[0] for sample in samples]


def _forward(
    recipe: Recipe, network: nn.Module, pictures: Sequence[Picture]
) -> tuple[tuple[Tensor, ...], dict[str, float]]:
    device = next(network.parameters()).device
    pixels = torch.from_numpy(np.stack([p.image for p in pictures])).to(device)
    targets = [
        targets_of(
            (
                torch.from_numpy(p.boxes[~p.ignored]),
                torch.from_numpy(p.labels[~p.ignored]),
                torch.from_numpy(p.boxes[p.ignored]),
            ),
            device,
        )
        for p in pictures
    ]
    with torch.inference_mode():
        image = normalise(pixels.permute(0, 3, 1, 2), recipe.mean, recipe.std)
        said = first_pass(recipe, network, image)
        losses = losses_of(recipe, network, said, targets)
    return said.raw, {name: float(value) for name, value in losses.items()}


def _detector(
    recipe: Recipe, network: nn.Module, raw: tuple[Tensor, ...], classes: tuple[str, ...]
) -> OneStage | TwoStage:
    """The detector that will be exported, which knows already what was said of each picture.

    A second stage is asked anew: what it said was said of other proposals.
    """
    thresholds = replace(recipe.thresholds, score_threshold=evaluation.SCORE_FLOOR)
    if recipe.second is not None:
        return TwoStage(
            engine=TorchStages(network, recipe.mean, recipe.std),
            proposal_coder=recipe.coder,
            proposal_thresholds=recipe.second.proposals,
            coder=recipe.second.coder,
            classes=classes,
            canvas_hw=recipe.canvas_hw,
            thresholds=thresholds,
        )
    by_picture = zip(*[level.cpu().numpy()[:, None] for level in raw], strict=True)
    return OneStage(Recorded(by_picture), recipe.coder, classes, recipe.canvas_hw, thresholds)


def _detections(detector: OneStage | TwoStage, pictures: Sequence[Picture]) -> list[Detections]:
    """What the detector finds, without its records."""
    found = [detector.detect_array(picture.image) for picture in pictures]
    return [Detections(one.boxes, one.labels, one.scores) for one in found]
