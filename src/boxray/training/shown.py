"""How a network is shown a picture whose objects are to be followed: as in use, or as in training.

Each object's place takes its label's, so that what is left of it can be told on the canvas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from boxray.augmentation import Picture, letterbox
from boxray.errors import ImageError
from boxray.recipes.recipe import Recipe
from boxray.records import Sample
from boxray.training.pictures import TrainingPictures, read_picture
from boxray.training.schedule import Order, Schedule


@dataclass(frozen=True)
class Shown:
    """What a network sees, and of which pictures.

    seen: its labels number the objects of all samples, one sample after another; those that it does
    not have were lost.
    """

    seen: Picture
    samples: tuple[Sample, ...]


def in_use(sample: Sample, canvas_hw: tuple[int, int]) -> Shown:
    """The picture as a detector sees it: not augmented."""
    picture = read_picture(_numbered([sample])[0], canvas_hw)
    return Shown(letterbox(picture, canvas_hw)[0], (sample,))


def in_training(samples: Sequence[Sample], recipe: Recipe, seed: int) -> Shown:
    """The first of the pictures as training's own loader shows it: augmented.

    Alone, in a mosaic with three others, or in a mixup with one, as the seed has it. The canvas
    is full, which it is not from the beginning. Raises ImageError where one of the pictures cannot
    be read.
    """
    full = recipe.optimisation.sizes[-1][0]
    schedule = Schedule.of(recipe, len(samples), seed=seed)
    order = schedule.order(0, step=0, place=0, progress=full)
    shown = [samples[place] for place in order.pictures]  # one may stand there twice
    loader = TrainingPictures(_numbered(shown), recipe.canvas_hw, recipe.augmentation, 0)
    seen, complaints = loader[Order(tuple(range(len(shown))), order.size_hw, order.seed)]
    if complaints:
        raise ImageError(f"{complaints[0]} Another --seed puts other pictures beside the first.")
    return Shown(seen, tuple(shown))


def _numbered(samples: Sequence[Sample]) -> list[Sample]:
    """The samples with their objects' numbers for labels."""
    numbered, start = [], 0
    for sample in samples:
        labels = np.arange(start, start + len(sample.truths))
        numbered.append(replace(sample, truths=replace(sample.truths, labels=labels)))
        start += len(labels)
    return numbered
