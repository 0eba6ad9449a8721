"""Validation: the loss and the AP of a network on pictures it does not learn from, in one pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from boxray import evaluation
from boxray.augmentation import Picture
from boxray.data import Dataset
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchStages, normalise
from boxray.engines.recorded import Recorded
from boxray.protocols import Engine, StagedEngine
from boxray.recipes.recipe import Recipe
from boxray.records import Detections
from boxray.selection import Thresholds
from boxray.training.objective import first_pass, losses_of
from boxray.training.pictures import Batch, letterboxed, readable_picture, targets_of

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
        raw, losses = _forward(recipe, network, letterboxed(pictures, recipe.canvas_hw))
        batches += 1
        for name, value in losses.items():
            sums[name] += value
        found += _detections(_detector(recipe, network, raw, dataset.classes), pictures)
    result = judge(dataset, found)
    return Validation(
        losses={name: value / max(1, batches) for name, value in sums.items()},
        ap50=result.metrics["AP50"],
        per_class={name: row["AP50"] for name, row in result.per_class.items()},
    )


def judge(dataset: Dataset, found: Sequence[Detections]) -> evaluation.Evaluation:
    """The metric of a training: what was found in each image of a data set against its truths."""
    truths = [sample.truths for sample in dataset.samples]
    return evaluation.score(truths, found, dataset.classes, protocol=PROTOCOL, resamples=0)


def _batches(dataset: Dataset) -> Iterator[list[Picture]]:
    for start in range(0, len(dataset.samples), BATCH):
        samples = dataset.samples[start : start + BATCH]
        # one that cannot be read is grey: nothing is found in it, and its truths count as missed
        yield [readable_picture(sample, UNLIMITED)[0] for sample in samples]


def _forward(
    recipe: Recipe, network: nn.Module, batch: Batch
) -> tuple[tuple[Tensor, ...], dict[str, float]]:
    pixels, truths, _ = batch
    device = next(network.parameters()).device
    targets = [targets_of(one, device) for one in truths]
    with torch.inference_mode():
        image = normalise(pixels.to(device), recipe.mean, recipe.std)
        said = first_pass(recipe, network, image)
        losses = losses_of(recipe, network, said, targets)
    return said.raw, {name: float(value) for name, value in losses.items()}


def _detector(
    recipe: Recipe, network: nn.Module, raw: tuple[Tensor, ...], classes: tuple[str, ...]
) -> OneStage | TwoStage:
    """The detector that will be exported, which knows already what was said of each picture.

    A second stage is asked anew: what it said was said of other proposals.
    """
    if recipe.second is not None:
        return staged(recipe, TorchStages(network, recipe.mean, recipe.std), classes)
    by_picture = zip(*[level.cpu().numpy()[:, None] for level in raw], strict=True)
    return single(recipe, Recorded(by_picture), classes)


def single(recipe: Recipe, engine: Engine, classes: tuple[str, ...]) -> OneStage:
    """The detector of a recipe of one stage, as it is judged: whatever reaches the score floor."""
    return OneStage(engine, recipe.coder, classes, recipe.canvas_hw, _judged(recipe))


def staged(recipe: Recipe, engine: StagedEngine, classes: tuple[str, ...]) -> TwoStage:
    """The same of a recipe of two stages."""
    assert recipe.second is not None
    return TwoStage(
        engine=engine,
        proposal_coder=recipe.coder,
        proposal_thresholds=recipe.second.proposals,
        coder=recipe.second.coder,
        classes=classes,
        canvas_hw=recipe.canvas_hw,
        thresholds=_judged(recipe),
    )


def _judged(recipe: Recipe) -> Thresholds:
    return replace(recipe.thresholds, score_threshold=evaluation.SCORE_FLOOR)


def _detections(detector: OneStage | TwoStage, pictures: Sequence[Picture]) -> list[Detections]:
    """What the detector finds, without its records."""
    found = [detector.detect_array(picture.image) for picture in pictures]
    return [Detections(one.boxes, one.labels, one.scores) for one in found]
