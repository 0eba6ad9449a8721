"""Checks of the first steps: the loss it starts from, the rate it can bear, one batch by heart."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from statistics import median

import torch
from torch import nn

from boxray.assignment import Targets
from boxray.data import Dataset
from boxray.engines.pytorch import normalise
from boxray.inspection.examination import Finding
from boxray.preflight.answers import Silent
from boxray.preflight.findings import Said, Subject
from boxray.records import Sample
from boxray.training.objective import losses
from boxray.training.pictures import Batch, letterboxed, readable_picture, targets_of
from boxray.training.step import Learner, learner_of
from boxray.training.validation import validate

AGREES = 3.0  # times: how far an initial loss may be from the expected one
RISING, PROBED = 4, 8  # steps up to the full rate, and in all
LAST = 3  # steps whose median is compared: single ones may jump
TOO_FAST = 1.25  # times the loss that a tenth of the rate reaches
MOST_PROBED = 4  # pictures a step
BY_HEART = 4  # pictures
LEARNED = 0.95  # AP50 on them
MOST_STEPS = 300
STEPS_PER_LOOK = 15


def initial_loss(subject: Subject) -> Said:
    """Each term of the first batch's loss against that of a network that says nothing."""
    batch = _batch(subject, subject.prepared.resolved.values["batch"])
    with _own_chance():
        observed = _losses(subject, copy.deepcopy(subject.recipe.network).train(), batch)
    with _own_chance():
        expected = _losses(subject, Silent(subject.recipe), batch)
    started = subject.prepared.start is not None
    terms = [f"{name} {observed[name]:.3g} (expected {expected[name]:.3g})" for name in expected]
    place, findings = subject.prepared.train.roots[0], []
    for name, usual in expected.items():
        now = observed[name]
        # a network that was taught before knows something, and may begin lower
        low = 0.0 if started else usual / AGREES
        if not math.isfinite(now) or not low <= now <= usual * AGREES:
            reason = (
                f"the term {name!r} begins at {now:.3g}; a head that says nothing yet (its priors, "
                f"and a probability of 0.01 that they hold an object) has {usual:.3g}"
            )
            findings.append(Finding(place, reason))
    return Said(", ".join(terms), tuple(findings))


def _losses(subject: Subject, network: nn.Module, batch: Batch) -> dict[str, float]:
    recipe, (pixels, truths, _) = subject.recipe, batch
    image = normalise(pixels, recipe.mean, recipe.std)
    targets: list[Targets] = [targets_of(one, image.device) for one in truths]
    with torch.no_grad():
        terms = losses(recipe, network, image, targets, seen=0)
    return {name: float(value) for name, value in terms.items()}


def learning_rate(subject: Subject) -> Said:
    """A few steps on one batch, at the full rate and at a tenth of it, which must not do better.

    The steps are at the training's first and smallest canvas. A rate that is good reaches less
    loss in the same steps than a tenth of it; one that is too high reaches more, or no number.
    Source: the idea of the range test, Smith 2017, section 3.3, with two rates.
    """
    values = subject.prepared.resolved.values
    full, tenth = (_probe(subject, share) for share in (1.0, 0.1))
    reached, slower = (median(said[-LAST:]) for said in (full, tenth))
    rate = values["learning_rate"]
    measured = (
        f"{full[0]:.3g} → {reached:.3g} in {PROBED} steps up to {rate:g}; "
        f"with a tenth of it {slower:.3g}"
    )
    if math.isfinite(reached) and not reached > TOO_FAST * slower:
        return Said(measured)
    reason = (
        f"the loss runs away at a rate of {rate:g} with {values['batch']} pictures a step: "
        f"{measured}. Ask for a lower --learning-rate"
    )
    return Said(measured, (Finding(subject.prepared.train.roots[0], reason),))


def _probe(subject: Subject, share: float) -> list[float]:
    """The loss before each of a few steps at this share of the rate."""
    values, recipe = subject.prepared.resolved.values, subject.recipe
    multiple = recipe.coder.canvas_multiple
    smaller = recipe.optimisation.sizes[0][1] / multiple
    height, width = (max(1, round(side * smaller)) * multiple for side in recipe.canvas_hw)
    batch = _batch(subject, min(MOST_PROBED, values["batch"]), (height, width))
    with _own_chance():
        learner, said = _learner(subject), []
        for number in range(PROBED):
            rate = share * min(1.0, (number + 1) / RISING)
            terms = learner.step(batch, rate=rate, seed=values["seed"], number=number)
            said.append(sum(terms.values()))
    return [loss if math.isfinite(loss) else math.inf for loss in said]


def overfit(subject: Subject) -> Said:
    """A few pictures by heart: a network that cannot learn these learns nothing."""
    recipe, values = subject.recipe, subject.prepared.resolved.values
    chosen = _with_objects(subject)[:BY_HEART]
    few = replace(subject.prepared.train, samples=tuple(chosen))
    batch = _shown(chosen, recipe.canvas_hw)
    reached, number, end = 0.0, 0, time.perf_counter() + subject.limit_s
    with _own_chance():
        learner = _learner(subject)
        while reached < LEARNED and number < MOST_STEPS and time.perf_counter() < end:
            rate = min(1.0, (number + 1) / STEPS_PER_LOOK)
            learner.step(batch, rate=rate, seed=values["seed"], number=number)
            number += 1
            if number % STEPS_PER_LOOK == 0:
                reached = _reached(learner, few)
        if number % STEPS_PER_LOOK:
            reached = _reached(learner, few)
    measured = f"AP50 {reached:.2f} on {len(chosen)} pictures after {number} steps"
    if reached >= LEARNED:
        return Said(measured)
    if number < MOST_STEPS:
        return Said(f"{measured}, when the {subject.limit_s:g} s were over", finished=False)
    reason = f"{measured}: a network that cannot learn these by heart will learn nothing else"
    return Said(measured, (Finding(few.roots[0], reason),))


def _reached(learner: Learner, few: Dataset) -> float:
    return validate(learner.recipe, learner.network, few).ap50 or 0.0


def _learner(subject: Subject) -> Learner:
    """One that learns on a copy of the network."""
    copied = replace(subject.recipe, network=copy.deepcopy(subject.recipe.network))
    return learner_of(copied, subject.prepared.resolved.values)


def _batch(subject: Subject, count: int, size_hw: tuple[int, int] | None = None) -> Batch:
    """The first pictures with objects, as they are."""
    return _shown(_with_objects(subject)[:count], size_hw or subject.recipe.canvas_hw)


def _with_objects(subject: Subject) -> list[Sample]:
    return [one.sample for one in subject.train if len(one.boxes)]


def _shown(samples: list[Sample], size_hw: tuple[int, int]) -> Batch:
    return letterboxed([readable_picture(one, size_hw)[0] for one in samples], size_hw)


@contextmanager
def _own_chance() -> Iterator[None]:
    """Leave torch's chance as it was, and start this from the same."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield
