"""From a request to everything a training needs: data read, priors found, times estimated."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import torch

from boxray import data, recipes
from boxray.data import Dataset
from boxray.errors import FormatError, SettingError
from boxray.ledger import Resolved
from boxray.networks.backbones import freeze, frozen_stages
from boxray.recipes.recipe import Recipe, blueprint
from boxray.training.allocator import keep_freed_memory
from boxray.training.arithmetic import precision_of
from boxray.training.fitting import canvas_of, fitted, size_for
from boxray.training.forecast import costs_of
from boxray.training.memory import bytes_per_picture, portions_for
from boxray.training.mirroring import changing_places
from boxray.training.pictures import box_sizes, free_memory_bytes
from boxray.training.settings import TrainSettings, default_batch, default_epochs, resolve
from boxray.training.transfer import IMAGENET, Start, read_start

OnPicture: TypeAlias = Callable[[int, int], None]

DEFAULT_START = "default"  # the shipped detector
MOST_VALIDATIONS = 12
VALIDATION_SHARE = 0.1  # of the training's time


@dataclass(frozen=True)
class Prepared:
    """A training about to start.

    start: the model whose weights the network is to be filled with, None where it keeps its own.
    read: both parts as they were read, with the pictures that nobody annotated, which `train` and
    `val` are without.
    estimate_s: how long it will take, to its very end; closing_s: the part of it after the last
    step, for the last validation, the export and the report; busy: it was estimated while other
    programs took much of the processor.
    """

    recipe: Recipe
    start: Start | None
    train: Dataset
    val: Dataset
    read: tuple[Dataset, Dataset]
    resolved: Resolved
    estimate_s: float
    closing_s: float
    busy: bool

    @property
    def total_steps(self) -> int:
        """Steps of the whole training; of one epoch, where a time budget decides."""
        values = self.resolved.values
        epochs = values["epochs"] if values["epochs"] is not None else 1
        steps: float = epochs * len(self.train.samples) / values["batch"]
        return max(1, round(steps))


def prepare(
    settings: TrainSettings, on_picture: OnPicture | None = None, *, fresh: bool = True
) -> Prepared:
    """Read the data, find classes and priors, build the recipe, and time a few steps.

    on_picture: told how many of how many were compared, where the data has to be divided. fresh:
    False where a checkpoint has the weights, so that the model to start from is not looked for.
    Raises FormatError for data that cannot be learned from, SettingError for a bad request.
    """
    keep_freed_memory()
    _require_device(settings.device)
    torch.set_num_threads(settings.threads or _processors())
    torch.manual_seed(settings.seed)
    read = read_data(settings, on_picture)
    train, val = map(_labelled, read)
    chosen = blueprint(settings.recipe)
    size = settings.size or size_for(train, chosen.size)
    canvas_hw = canvas_of(train, size)
    priors = chosen.priors(box_sizes(train, canvas_hw))
    sides = changing_places(train, canvas_hw)
    usual = chosen.build(len(train.classes), priors, canvas_hw)
    recipe = fitted(usual, train, sides)
    if settings.freeze is not None:
        freeze(recipe.network, settings.freeze)
    wanted = settings.start or (DEFAULT_START if settings.recipe == recipes.DEFAULT else IMAGENET)
    start = read_start(wanted) if fresh and wanted != IMAGENET else None
    derived: dict[str, Any] = {
        "start": wanted,
        "classes_found": list(train.classes),
        "priors": priors,
        "changing_places": sides,
        "images": len(train.samples),
        "fingerprint": train.fingerprint(),
        "split": train.split,
        "val_split": val.split,
        "size": size,
        "canvas_hw": list(canvas_hw),
        "batch": settings.batch or min(default_batch(len(train.samples)), len(train.samples)),
        "freeze": frozen_stages(recipe.network),
        "precision": precision_of(recipe, settings.device),
        "threads": torch.get_num_threads(),
        "workers": 1 if _processors() > 1 else 0,
        "learning_rate": recipe.optimisation.learning_rate,
    }
    if start is not None:
        derived["start_seal"] = start.model.sha256
    if recipe.thresholds != usual.thresholds:
        derived["max_detections"] = recipe.thresholds.max_detections
    if settings.minutes is None:
        derived["epochs"] = round(default_epochs(len(train.samples)), 2)
    expected = _expected(settings, recipe, train, val, derived)
    return Prepared(recipe, start, train, val, read, *expected)


def _expected(
    settings: TrainSettings,
    recipe: Recipe,
    train: Dataset,
    val: Dataset,
    derived: dict[str, Any],
) -> tuple[Resolved, float, float, bool]:
    """The settings with what memory and time allow; the times, as `Prepared` has them."""
    portions = portions_for(derived["batch"], bytes_per_picture(recipe), free_memory_bytes())
    known = {**derived, "accumulate": portions}
    values = resolve(settings, known).values
    apart = 0 < values["workers"] <= _processors() - values["threads"]
    costs = costs_of(recipe, values, train, val, apart=apart)
    val_s, closing_s = costs.validation_s(len(val.samples)), costs.closing_s(len(val.samples))
    if settings.minutes is None:
        training_s = costs.training_s(recipe, values, len(train.samples))
    else:
        training_s = settings.minutes * 60
    affordable = int(training_s * VALIDATION_SHARE / val_s)
    known["validations"] = min(MOST_VALIDATIONS, max(1, affordable))
    resolved = resolve(settings, known)
    if settings.minutes is not None:  # the budget holds all of it
        return resolved, training_s, closing_s, costs.busy
    between_s = (resolved.values["validations"] - 1) * val_s
    return resolved, training_s + between_s + closing_s, closing_s, costs.busy


def read_data(
    settings: TrainSettings, on_picture: OnPicture | None = None
) -> tuple[Dataset, Dataset]:
    """The parts to learn from and to check on, of all folders.

    Both on one list of classes: the user's, else what the part to learn from names.
    """
    classes = None if settings.classes is None else data.read_class_file(settings.classes)
    manner = replace(settings.manner, on_picture=on_picture)
    train = _read_part(settings.data, manner, settings.split, ("train",), classes)
    known = classes or data.ClassMap(train.classes)
    usual = ("val", "valid", "test")
    val = _read_part(settings.data, manner, settings.val_split, usual, known)
    if not any(len(sample.truths) for sample in train.samples):
        labelled = len(_labelled(train).samples)
        raise FormatError(
            f"{', '.join(map(str, settings.data))}: no boxes in the part '{train.split}', "
            f"{labelled} images. A detector learns from boxes; check the annotations."
            f"{train.report.first_loss()}"
        )
    return train, val


def _require_device(device: str) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingError("no CUDA device: this torch sees none. Train with --device cpu.")


def _read_part(
    folders: Sequence[Path],
    manner: data.Manner,
    wanted: str | None,
    usual: tuple[str, ...],
    classes: data.ClassMap | None,
) -> Dataset:
    """One part of every folder, together."""
    read = [
        manner.read(folder, _split_of(folder, manner, wanted, usual), classes) for folder in folders
    ]
    return data.merge(read) if len(read) > 1 else read[0]


def _labelled(part: Dataset) -> Dataset:
    """A part without the pictures that nobody annotated."""
    return replace(part, samples=tuple(s for s in part.samples if s.labelled))


def _split_of(folder: Path, manner: data.Manner, wanted: str | None, usual: tuple[str, ...]) -> str:
    """The split asked for, else the first of the usual ones that the folder has."""
    if wanted is not None:
        return wanted
    there = manner.splits(folder)
    for name in usual:
        if name in there:
            return name
    raise FormatError(
        f"{folder} has no split {' or '.join(usual)}; it has {', '.join(there) or 'none'}. "
        "Say which to use: --split NAME --val-split NAME."
    )


def class_counts(dataset: Dataset) -> dict[str, int]:
    """How many truths each class has."""
    counts = Counter(int(label) for sample in dataset.samples for label in sample.truths.labels)
    return {name: counts[label] for label, name in enumerate(dataset.classes)}


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
