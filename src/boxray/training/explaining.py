"""What one picture teaches a trained detector, by the losses of its recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from boxray import bundle
from boxray.assignment import Targets
from boxray.augmentation import Picture
from boxray.boxes import Array
from boxray.bundle import AnyModel
from boxray.coders.anchor_deltas import AnchorDeltas, PlacedProposalDeltas
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage, TwoStage
from boxray.errors import SettingError
from boxray.explain.decision import Box, as_box
from boxray.explain.training import Known, Place, Stage, Taught, taught
from boxray.losses import Teacher
from boxray.losses.anchors import Chosen
from boxray.protocols import Raw
from boxray.recipes.recipe import Recipe, SecondStage, blueprint
from boxray.training.objective import choose
from boxray.training.pictures import targets_of, truths_of
from boxray.training.shown import Shown

FIRST, ONLY = "proposals", "detections"  # what the stages say; of two, the last says detections


def recipe_of(model: AnyModel, canvas_hw: tuple[int, int]) -> Recipe:
    """The recipe that a model was trained by, for its own classes and priors.

    Raises SettingError for a model of no recipe.
    """
    if isinstance(model, bundle.Model):
        name, coder = model.recipe.get("recipe"), model.coder
        if name is not None and isinstance(coder, YoloGrid | AnchorDeltas):
            build = blueprint(str(name)).build
            return build(len(model.classes), coder.priors, canvas_hw, pretrained=False)
    raise SettingError(
        f"{model.name} was not trained by a recipe; --training needs such a model, as "
        "`boxray train` writes it."
    )


def taught_by(detector: OneStage | TwoStage, recipe: Recipe, shown: Shown, seed: int = 0) -> Taught:
    """What a picture, or several in one, teach. seed: of the samples that losses draw."""
    objects = [
        Known(detector.classes[label], picture)
        for picture, sample in enumerate(shown.samples)
        for label in sample.truths.labels.tolist()
    ]
    labels = np.concatenate([sample.truths.labels for sample in shown.samples])
    torch.manual_seed(seed)
    return taught(_stages(detector, recipe, shown.seen, labels), shown.seen, objects)


def _stages(
    detector: OneStage | TwoStage, recipe: Recipe, seen: Picture, labels: Array
) -> list[Stage]:
    """Each stage's lesson of a picture whose labels number the objects that `labels` are of."""
    labelled = replace(seen, labels=labels[seen.labels])
    targets = targets_of(truths_of(labelled), torch.device("cpu"))
    if isinstance(detector, OneStage):
        return [_of_maps(ONLY, recipe, detector.engine(seen.image[None]), targets)]
    features, maps = detector.engine.propose(seen.image[None])
    first = _of_maps(FIRST, recipe, maps, targets)  # samples are drawn in training's order
    assert recipe.second is not None  # as of every recipe of two stages
    (chosen,) = choose(recipe, recipe.second, tuple(map(torch.from_numpy, maps)), [targets])
    numbers = detector.engine.refine(features, chosen.boxes.numpy())
    second = _of_proposals(recipe.second, chosen, numbers, seen, labels)
    return [first, second]


def _of_maps(name: str, recipe: Recipe, maps: Sequence[Array], targets: Targets) -> Stage:
    """The stage that says maps, here of one image."""
    assert isinstance(recipe.loss, Teacher)  # as every loss of a recipe is
    (lesson,) = recipe.loss.lessons(
        [torch.from_numpy(level) for level in maps], [targets], recipe.coder
    )
    raw: Raw = tuple(level[0] for level in maps)

    def look(row: int, truth: int | None) -> Place:
        del truth  # a row has one box, whatever it is of
        trace = recipe.coder.trace(raw, row)
        return Place(dict(trace.where), trace.start, trace.box)

    return Stage(name, lesson, look)


def _of_proposals(
    second: SecondStage, chosen: Chosen, numbers: Array, seen: Picture, labels: Array
) -> Stage:
    """The stage that looks at proposals, of which it was asked about those that were drawn."""
    (lesson,) = second.loss.lessons(torch.from_numpy(numbers), [chosen], second.coder)
    size_hw = (seen.image.shape[0], seen.image.shape[1])
    placed = second.coder.at(chosen.boxes.numpy(), size_hw)
    asked = {row: place for place, row in enumerate(chosen.rows.tolist())}
    proposals, objects = chosen.proposals.numpy(), seen.labels[~seen.ignored]
    first_object = len(proposals) - len(objects)  # truths are proposals, too: the last

    def look(row: int, truth: int | None) -> Place:
        where = {"proposal": row}
        if row >= first_object:
            where = {"object": int(objects[row - first_object])}
        start, box = as_box(proposals[row]), None
        if row in asked:
            label = None if truth is None else int(labels[truth])
            box = _said(placed, numbers, asked[row], label)
        return Place(where, start, box)

    return Stage(ONLY, lesson, look, every=True)


def _said(placed: PlacedProposalDeltas, numbers: Array, row: int, label: int | None) -> Box:
    """The box for this class, or the likeliest."""
    if label is None:
        label = int(np.argmax(placed.trace(numbers, row).class_scores))
    return placed.trace(numbers, row, label).box
