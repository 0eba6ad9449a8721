"""What a check of the preflight looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from boxray import data, images
from boxray.data import Dataset
from boxray.images import Placement
from boxray.inspection.browse import spread
from boxray.inspection.examination import Examination, Finding
from boxray.recipes.recipe import Recipe
from boxray.records import Sample
from boxray.training.preparation import Prepared


@dataclass(frozen=True)
class Said:
    """What a check measured, in words; what is wrong; whether it came to its end in time."""

    measured: str
    findings: tuple[Finding, ...] = ()
    finished: bool = True


@dataclass(frozen=True)
class Placed:
    """A labelled picture whose taught truths stand on the recipe's canvas.

    boxes: in canvas pixels. at: the row of each truth among all of the sample's.
    """

    sample: Sample
    placement: Placement
    boxes: Float[np.ndarray, "n 4"]
    labels: Int[np.ndarray, "n"]
    at: Int[np.ndarray, "n"]


@dataclass(frozen=True)
class Subject:
    """A training about to start, and how closely it is looked at.

    most_pictures: of each part, evenly chosen, None for all. limit_s: seconds for the overfitting.
    """

    prepared: Prepared
    most_pictures: int | None = None
    limit_s: float = 30.0

    @property
    def recipe(self) -> Recipe:
        """What is to be trained."""
        return self.prepared.recipe

    @cached_property
    def examination(self) -> Examination:
        """Both parts as the doctor looks at them, with the pictures that nobody annotated."""
        train, val = self.prepared.read
        whole = data.merge([train, val])
        longest = max(self.recipe.canvas_hw)
        return Examination(whole, {"train": train, "val": val}, longest)

    @cached_property
    def train(self) -> tuple[Placed, ...]:
        """The pictures to learn from."""
        return self._placed(self.prepared.train)

    @cached_property
    def val(self) -> tuple[Placed, ...]:
        """The pictures to check on."""
        return self._placed(self.prepared.val)

    def _placed(self, part: Dataset) -> tuple[Placed, ...]:
        most = len(part.samples) if self.most_pictures is None else self.most_pictures
        chosen = spread(part.samples, most)
        return tuple(_place(sample, self.recipe.canvas_hw) for sample in chosen)


def _place(sample: Sample, canvas_hw: tuple[int, int]) -> Placed:
    placement = images.place(sample.size_hw, canvas_hw)
    (at,) = np.nonzero(sample.truths.taught)
    boxes = placement.to_canvas(sample.truths.boxes[at]).astype(np.float32)
    return Placed(sample, placement, boxes, sample.truths.labels[at], at)
