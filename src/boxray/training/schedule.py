"""What every step of a training does, as functions of its progress from 0 to 1."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from boxray.augmentation import Augmentation
from boxray.recipes.recipe import Optimisation, Recipe

STEPS_PER_SCALE = 10
LARGEST_CHANGE = 0.25  # of a side, in multi-scale training


@dataclass(frozen=True)
class Order:
    """What the loader is asked for: which pictures make one training canvas, how large."""

    pictures: tuple[int, ...]
    size_hw: tuple[int, int]
    seed: tuple[int, int, int]


@dataclass
class Clock:
    """How far a training is: by steps, or by time where it has a time budget.

    Both are restored from a checkpoint, so a resumed training goes on where it was. ended: it was
    over before its time, because nothing got better any more.
    """

    total_steps: int
    budget_s: float | None
    step: int = 0
    elapsed_s: float = 0.0
    ended: bool = False

    @property
    def progress(self) -> float:
        """0 at the start, 1 at the end."""
        if self.ended:
            return 1.0
        if self.budget_s is None:
            return min(1.0, self.step / self.total_steps)
        return min(1.0, self.elapsed_s / self.budget_s)


@dataclass(frozen=True)
class Schedule:
    """The plan of a training: which pictures come when, how large, at which learning rate.

    Everything is computed from (seed, step, progress), so that nothing but these must be saved.
    augmentation: of a recipe, whose shares say how many pictures make a canvas.
    weights: how often each picture is shown against the others, None for equally often.
    multi_scale: once the canvas is full, a side within a quarter of it is drawn every tenth step
    (Redmon & Farhadi 2017, section 2, "multi-scale training").
    """

    numbers: Optimisation
    augmentation: Augmentation
    canvas_hw: tuple[int, int]
    stride: int
    picture_count: int
    batch: int
    seed: int
    weights: Float[np.ndarray, "pictures"] | None = None
    multi_scale: bool = False

    @classmethod
    def of(
        cls,
        recipe: Recipe,
        picture_count: int,
        *,
        batch: int = 1,
        seed: int = 0,
        weights: Float[np.ndarray, "pictures"] | None = None,
        multi_scale: bool = False,
    ) -> Schedule:
        """The plan that a recipe has for so many pictures."""
        return cls(
            numbers=recipe.optimisation,
            augmentation=recipe.augmentation,
            canvas_hw=recipe.canvas_hw,
            stride=recipe.coder.canvas_multiple,
            picture_count=picture_count,
            batch=batch,
            seed=seed,
            weights=weights,
            multi_scale=multi_scale,
        )

    def learning_rate(self, progress: float) -> float:
        """Share of the peak: rising in the warm-up, then a cosine down to the final share."""
        if progress < self.numbers.warm_up:
            return (progress + 1e-3) / (self.numbers.warm_up + 1e-3)
        left = (progress - self.numbers.warm_up) / (1 - self.numbers.warm_up)
        low = self.numbers.final_share
        return low + (1 - low) * 0.5 * (1 + math.cos(math.pi * left))

    def size_hw(self, progress: float, step: int = 0) -> tuple[int, int]:
        """Canvas of a step, in pixels: small first, a multiple of the largest stride."""
        share = [side for start, side in self.numbers.sizes if progress >= start][-1]
        if self.multi_scale and share == 1:
            random = np.random.default_rng((self.seed, step // STEPS_PER_SCALE, 3))
            share = random.uniform(1 - LARGEST_CHANGE, 1 + LARGEST_CHANGE)
        height, width = (
            max(self.stride, round(side * share / self.stride) * self.stride)
            for side in self.canvas_hw
        )
        return height, width

    def batches(self, clock: Clock) -> Iterator[list[Order]]:
        """One list of orders per step, from the clock's step on, until the clock is at its end."""
        step = clock.step
        while clock.progress < 1 and (clock.budget_s is not None or step < clock.total_steps):
            progress = clock.progress if clock.budget_s else step / clock.total_steps
            yield [self._order(step, place, progress) for place in range(self.batch)]
            step += 1

    def _order(self, step: int, place: int, progress: float) -> Order:
        epoch, position = divmod(step * self.batch + place, self.picture_count)
        return self.order(int(self._permutation(epoch)[position]), step, place, progress)

    def order(self, picture: int, step: int, place: int, progress: float) -> Order:
        """How this picture is shown there: alone, or as the first of a mosaic or a mixup."""
        seed = (self.seed, step, place)
        random = np.random.default_rng((*seed, 1))
        pictures = [picture]
        if progress < self.numbers.mosaic_until:
            drawn, mosaics = random.random(), self.augmentation.mosaic_share
            mixed = drawn < mosaics + self.augmentation.mixup_share
            others = 3 if drawn < mosaics else 1 if mixed else 0
            pictures += random.integers(self.picture_count, size=others).tolist()
        return Order(tuple(pictures), self.size_hw(progress, step), seed)

    def _permutation(self, epoch: int) -> Int[np.ndarray, "pictures"]:
        """The pictures of one round, in its order; rare ones several times, if they weigh more."""
        random = np.random.default_rng((self.seed, epoch))
        if self.weights is None:
            return random.permutation(self.picture_count)
        # one arrow, drawn once, at equal distances: each picture's count is the nearest to its due
        arrows = (random.random() + np.arange(self.picture_count)) / self.picture_count
        due = np.cumsum(self.weights) / self.weights.sum()
        shown = np.searchsorted(due, arrows).clip(max=self.picture_count - 1)
        return random.permutation(shown)
