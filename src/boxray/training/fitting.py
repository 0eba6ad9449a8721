"""What of a recipe is fitted to the data: canvas, mirror, schedule, how many objects are shown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from boxray.data import Dataset
from boxray.ledger import Resolved
from boxray.recipes.recipe import Optimisation, Recipe
from boxray.training.pictures import box_sizes

COARSEST = 32  # pixels; the sides of every canvas are multiples of it
NEARLY_ALL = 0.95  # of the pictures fit the canvas without being shrunk further
SMALL = 16  # pixels: an object of this side covers two cells of the finest grid
LARGEST = 640  # pixels, of the canvas's long side, however small the objects are
FEW = 500  # pictures
PLAIN_FROM = 0.6  # of a training on few: from then on pictures are shown as in use
ROOM = 1.5  # as many detections as objects in the fullest picture, and half as many again
ENTERING = 10  # candidates that enter suppression, for each detection that may remain


def size_for(dataset: Dataset, usual: int) -> int:
    """The canvas's long side in pixels: the usual one, or more where objects are small on it.

    Then as many as bring the median object to `SMALL` pixels, but at most `LARGEST`, and no more
    than half of the pictures have themselves.
    """
    sizes = box_sizes(dataset, canvas_of(dataset, usual))
    if not len(sizes):
        return usual
    median = float(np.median(np.sqrt(sizes.prod(1))))
    own = float(np.median([max(sample.size_hw) for sample in dataset.samples]))
    wanted = min(usual * SMALL / max(median, 1.0), own, LARGEST)
    return max(usual, int(np.ceil(wanted / COARSEST) * COARSEST))


def canvas_of(dataset: Dataset, size: int) -> tuple[int, int]:
    """The smallest canvas, of long side `size`, that shows nearly all pictures at their best.

    Pictures of one shape (a camera's 4:3, say) need no square: the grey that letterboxing would
    add costs time and says nothing. Sides are multiples of 32.
    """
    heights, widths = np.array([sample.size_hw for sample in dataset.samples], np.float64).T
    long_side = np.maximum(heights, widths)
    needed = [np.quantile(side / long_side, NEARLY_ALL) * size for side in (heights, widths)]
    height, width = (int(np.ceil(side / COARSEST) * COARSEST) for side in needed)
    return height, width


def fitted(recipe: Recipe, dataset: Dataset, sides: tuple[str, str] | None) -> Recipe:
    """The recipe without a mirror where that would change names, and showing all of a crowd.

    sides: two classes that change places in a mirror, if any do. Few pictures make a training of
    few steps, and a fifth of these is too little to get used to whole pictures at full size.
    """
    if sides is not None:
        recipe = replace(recipe, augmentation=replace(recipe.augmentation, mirror=0.0))
    if len(dataset.samples) <= FEW:
        recipe = replace(recipe, optimisation=_sooner_plain(recipe.optimisation))
    usual = recipe.thresholds
    fullest = max(len(sample.truths) for sample in dataset.samples)
    shown = int(np.ceil(fullest * ROOM / 100) * 100)
    if shown <= usual.max_detections:
        return recipe
    entering = usual.limit_before and max(usual.limit_before, shown * ENTERING)
    thresholds = replace(usual, max_detections=shown, limit_before=entering)
    return replace(recipe, thresholds=thresholds)


def _sooner_plain(numbers: Optimisation) -> Optimisation:
    """Without mosaics and on the full canvas from `PLAIN_FROM` on, if not before."""
    *smaller, (start, side) = numbers.sizes
    sizes = (*smaller, (min(start, PLAIN_FROM), side))
    return replace(numbers, sizes=sizes, mosaic_until=min(numbers.mosaic_until, PLAIN_FROM))


def told(resolved: Resolved, usual: int) -> Iterator[str]:
    """What was fitted, in words. usual: the canvas's side that the recipe has for all data."""
    values = resolved.values
    if values["size"] > usual and resolved.origins["size"] == "derived":
        yield (
            f"small objects: a canvas of {values['size']} px in place of {usual}, which takes "
            f"longer; --size {usual} is the usual one"
        )
    if values.get("changing_places"):
        first, second = values["changing_places"]
        yield f"no picture is mirrored: '{first}' and '{second}' would change places"
    if "max_detections" in values:
        yield f"crowded pictures: up to {values['max_detections']} objects are shown in each"
