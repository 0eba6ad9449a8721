"""Which learning rate a training can bear: the loss of a few steps at ever higher rates.

Source: Smith 2017, "Cyclical Learning Rates for Training Neural Networks", section 3.3 (the range
test), with rates that grow by a factor, not by a sum, as has become usual.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from statistics import fmean, median

import numpy as np
import torch

from boxray.errors import SettingError
from boxray.training.loop import schedule_of
from boxray.training.pictures import CACHE_SHARE, TrainingPictures, collate, free_memory_bytes
from boxray.training.preparation import Prepared
from boxray.training.schedule import Clock
from boxray.training.step import learner_of

LOWEST, HIGHEST = 1e-5, 1.0
STEPS = 80
WINDOW = 9  # steps whose losses are averaged, the step in the middle
RUNS_AWAY = 4.0  # times the lowest loss, by
RECENT = 3  # steps in the median
SAFE_SHARE = 0.1  # of the rate at which the loss is lowest: there it is about to run away

_ENDLESS = 10**9  # steps: the schedule stays at its first, smallest canvas


@dataclass(frozen=True)
class RangeTest:
    """What a range test saw, step by step.

    rates: learning rates of new layers, rising by one factor. losses: of each step's own batch,
    summed over the terms. ran_away: whether the loss ran away, and ended it; if not, no rate that
    was tried was too high.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    ran_away: bool

    @cached_property
    def smoothed(self) -> tuple[float, ...]:
        """The mean of each loss with those of the steps around it, as many before as after."""
        half, losses = WINDOW // 2, self.losses
        reach = [min(half, step, len(losses) - 1 - step) for step in range(len(losses))]
        return tuple(fmean(losses[s - r : s + r + 1]) for s, r in enumerate(reach))

    @property
    def lowest(self) -> float:
        """The rate with the lowest smoothed loss; beyond it the loss rises."""
        return self.rates[int(np.argmin(self.smoothed))]

    @property
    def suggested(self) -> float:
        """A tenth of `lowest`, to two digits: quick, and far enough from running away."""
        return float(f"{SAFE_SHARE * self.lowest:.2g}")


def range_test(
    prepared: Prepared, steps: int = STEPS, on_step: Callable[[int, int], None] | None = None
) -> RangeTest:
    """Learn on a copy of the network, each step at a higher rate, until the loss runs away.

    Batches are the training's first ones, augmented, at its first canvas. The network of
    `prepared` stays as it is. on_step: told how many of how many steps are done.
    Raises SettingError where the loss is no number from the first step on.
    """
    values, recipe = prepared.resolved.values, prepared.recipe
    memory = int(free_memory_bytes() * CACHE_SHARE)
    samples = prepared.train.samples
    pictures = TrainingPictures(samples, recipe.canvas_hw, recipe.augmentation, memory)
    copied = replace(recipe, network=copy.deepcopy(recipe.network))
    rates, losses, ran_away = [], [], False
    orders = islice(schedule_of(prepared).batches(Clock(_ENDLESS, None)), steps)
    with torch.random.fork_rng(devices=[]):
        learner = learner_of(copied, values)
        for number, batch in enumerate(orders):
            rate = LOWEST * (HIGHEST / LOWEST) ** (number / max(1, steps - 1))
            terms = learner.step(
                collate([pictures[order] for order in batch]),
                rate=rate / values["learning_rate"],
                seed=values["seed"],
                number=number,
            )
            loss = sum(terms.values())
            ran_away = not math.isfinite(loss)
            if ran_away:
                break
            rates.append(rate)
            losses.append(loss)
            if on_step is not None:
                on_step(number + 1, steps)
            ran_away = median(losses[-RECENT:]) > RUNS_AWAY * min(losses)
            if ran_away:
                break
    if not rates:
        raise SettingError(
            f"the loss is no number from the first step on, at a rate of {LOWEST:g}: "
            "`boxray preflight` says why."
        )
    return RangeTest(tuple(rates), tuple(losses), ran_away)
