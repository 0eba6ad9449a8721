"""How long a training will take, from a few of its own steps, taken with a copy of its network."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from boxray.data import Dataset
from boxray.inspection.browse import spread
from boxray.recipes.recipe import Recipe
from boxray.training.pictures import Batch, TrainingPictures, collate
from boxray.training.schedule import Order, Schedule
from boxray.training.step import Learner, learner_of
from boxray.training.validation import validate

SHOWN, CHECKED = 8, 4  # pictures that are read, to learn from and to check on
REPEATS, LONG_S = 2, 0.8  # a step is taken so often, but not again after so many seconds
FREE = 0.8  # of the time the network's thread could run, unless others took the processor
BESIDE_S = 0.2  # seconds that a validation takes beside its pictures, to write a checkpoint
EXPORT_S = 5.0  # seconds to write checkpoint and model at the end
JUDGED = 60  # validation pictures that the report looks at, two forward passes' worth each


@dataclass(frozen=True)
class Costs:
    """Seconds of what a training does again and again.

    sides: shares of the canvas's side at which steps were timed; network: of a step, at each;
    making: of its pictures, which are decoded already; decoding: of one picture; checking: of one
    picture of a validation. apart: a processor that the network leaves free makes the pictures.
    busy: other programs took much of the processor meanwhile, so that all this is too long.
    """

    sides: tuple[float, ...]
    network: tuple[float, ...]
    making: tuple[float, ...]
    decoding: float
    checking: float
    apart: bool
    busy: bool

    def training_s(self, recipe: Recipe, values: Mapping[str, Any], pictures: int) -> float:
        """Seconds of all steps. values: resolved, with a number of epochs."""
        epochs, batch = float(values["epochs"]), int(values["batch"])
        sizes = recipe.optimisation.sizes
        ends = [*(start for start, _ in sizes[1:]), 1.0]
        mean_s = sum(
            (end - start) * self._step_s(side)
            for (start, side), end in zip(sizes, ends, strict=True)
        )
        first_side = sizes[0][1]
        decoding_s = self._step_s(first_side, batch * self.decoding) - self._step_s(first_side)
        return (epochs * mean_s + min(epochs, 1.0) * decoding_s) * pictures / batch

    def _step_s(self, side: float, decoding_s: float = 0.0) -> float:
        """Seconds of a step at this share of the canvas's side; work grows with its area."""
        areas = np.square(self.sides)
        network = float(np.interp(side**2, areas, self.network))
        making = float(np.interp(side**2, areas, self.making)) + decoding_s
        return max(network, making) if self.apart else network + making

    def validation_s(self, pictures: int) -> float:
        """Seconds of one validation, with the best weights written."""
        return pictures * self.checking + BESIDE_S

    def closing_s(self, pictures: int) -> float:
        """Seconds of what follows the last step: a validation, the export, the report."""
        return self.validation_s(pictures) + EXPORT_S + min(JUDGED, pictures) * self.checking * 2


def costs_of(
    recipe: Recipe, values: Mapping[str, Any], train: Dataset, val: Dataset, *, apart: bool
) -> Costs:
    """Time steps at the smallest and at the full canvas, and a validation of few pictures.

    values: resolved, as far as they are known. A batch that is worked through in portions is timed
    by one of them.
    """
    samples = spread(train.samples, SHOWN)
    pictures = TrainingPictures(samples, recipe.canvas_hw, recipe.augmentation, 2**30)
    decoding_s = _decoding_s(pictures)
    # batch norm sees no picture alone where a map is one cell
    batch = max(2, -(-values["batch"] // values["accumulate"]))
    whole = values["batch"] / batch
    copied = replace(recipe, network=copy.deepcopy(recipe.network))
    few = replace(val, samples=spread(val.samples, CHECKED))
    starts = {side: start for start, side in recipe.optimisation.sizes}
    sides = sorted({min(starts), max(starts)})
    with torch.random.fork_rng(devices=[]):
        learner = learner_of(copied, {**values, "accumulate": 1})
        orders = [_orders(recipe, batch, len(samples), starts[side]) for side in sides]
        timed = [_step_timed(learner, pictures, one) for one in orders]
        checking_s, _ = _timed(lambda: validate(copied, learner.average, few))
    _, _, ran = timed[-1]  # the longest
    return Costs(
        sides=tuple(sides),
        network=tuple(step_s * whole for _, step_s, _ in timed),
        making=tuple(making_s * whole for making_s, _, _ in timed),
        decoding=decoding_s,
        checking=checking_s / max(1, len(few.samples)),
        apart=apart,
        busy=ran < FREE,
    )


def _decoding_s(pictures: TrainingPictures) -> float:
    """Seconds to decode one of the pictures; all are kept."""
    began = time.perf_counter()
    for number in range(len(pictures.samples)):
        pictures.picture(number, [])
    return (time.perf_counter() - began) / len(pictures.samples)


def _orders(recipe: Recipe, batch: int, pictures: int, progress: float) -> list[Order]:
    """A batch as it is asked for at this place of the schedule."""
    schedule = Schedule.of(recipe, pictures)
    return [schedule.order(i % pictures, 0, i, progress) for i in range(batch)]


def _step_timed(
    learner: Learner, pictures: TrainingPictures, orders: Sequence[Order]
) -> tuple[float, float, float]:
    """Seconds to make a batch, seconds of a step with it, and the share of these that it ran."""

    def make() -> Batch:
        return collate([pictures[order] for order in orders])

    making_s, _ = _timed(make)
    return making_s, *_timed(partial(learner.step, make(), rate=0.0, seed=0, number=0))


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds of `work` when it is not done for the first time; the share of it that we ran.

    The rest of the time this thread waited, although it had work: for a processor.
    """
    work()
    began, ran = time.perf_counter(), time.thread_time()
    times = 0
    while times == 0 or (times < REPEATS and time.perf_counter() - began < LONG_S):
        work()
        times += 1
    spent = time.perf_counter() - began
    return spent / times, (time.thread_time() - ran) / spent
