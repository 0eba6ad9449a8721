"""What one picture teaches a trained detector, by the loss of its recipe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from boxray import bundle
from boxray.augmentation import Picture, augment, letterbox
from boxray.bundle import AnyModel
from boxray.coders.anchor_deltas import AnchorDeltas
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage
from boxray.errors import SettingError
from boxray.explain.training import Taught, taught
from boxray.images import Pixels
from boxray.losses import Teacher
from boxray.recipes.recipe import Recipe, blueprint
from boxray.records import Sample
from boxray.training.pictures import read_picture, targets_of, truths_of


def recipe_of(model: AnyModel, canvas_hw: tuple[int, int]) -> Recipe:
    """The recipe that a model was trained by, for its own classes and priors.

    Raises SettingError for a model of two stages, or of no recipe.
    """
    if isinstance(model, bundle.Model) and model.second is None:
        name, coder = model.recipe.get("recipe"), model.coder
        if name is not None and isinstance(coder, YoloGrid | AnchorDeltas):
            build = blueprint(str(name)).build
            return build(len(model.classes), coder.priors, canvas_hw, pretrained=False)
    raise SettingError(
        f"{model.name} was not trained by a recipe of one stage; --training needs such a model, as "
        "`boxray train` writes it."
    )


def taught_by(
    detector: OneStage, recipe: Recipe, sample: Sample, seed: int | None
) -> tuple[Taught, Pixels]:
    """What a picture teaches, and how the network sees it. seed: of its augmentation, if any."""
    picture = read_picture(sample, recipe.canvas_hw)
    seen = _seen(replace(picture, labels=np.arange(len(picture.labels))), recipe, seed)
    raw = tuple(level[0] for level in detector.engine(seen.image[None]))
    labelled = replace(seen, labels=picture.labels[seen.labels])
    targets = targets_of(truths_of(labelled), torch.device("cpu"))
    assert isinstance(recipe.loss, Teacher)  # as every loss of a recipe is
    maps = [torch.from_numpy(level)[None] for level in raw]
    (lesson,) = recipe.loss.lessons(maps, [targets], recipe.coder)
    names = [detector.classes[label] for label in picture.labels]
    return taught(lesson, recipe.coder, raw, seen, names), seen.image


def _seen(picture: Picture, recipe: Recipe, seed: int | None) -> Picture:
    """The picture on the canvas, alone: as in use, or augmented by the recipe's numbers."""
    if seed is None:
        return letterbox(picture, recipe.canvas_hw)[0]
    random = np.random.default_rng(seed)
    return augment([picture], recipe.canvas_hw, recipe.augmentation, random)
