"""What every recipe's lessons hold: they sum to the loss of a training, and name every truth."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from boxray import data
from boxray.data.synthetic import make
from boxray.engines.pytorch import TorchEngine, TorchStages, normalise
from boxray.recipes.recipe import blueprint
from boxray.training.explaining import taught_by
from boxray.training.objective import losses
from boxray.training.pictures import (
    TrainingPictures,
    collate,
    letterboxed,
    read_picture,
    targets_of,
)
from boxray.training.schedule import Schedule
from boxray.training.shown import in_training, in_use
from boxray.training.validation import single, staged
from contracts.test_recipes import SIZES_WH, TRAINED

SIZE_HW = (96, 128)
SEED = 3


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return data.read(make(tmp_path_factory.mktemp("data") / "shapes", images=3, seed=2))


@pytest.fixture(scope="module")
def samples(dataset):
    """A picture as it comes, one with a difficult object, and one without any."""
    plain, hard, empty = dataset.samples
    flags = np.zeros(len(hard.truths), bool)
    flags[0] = True
    hard = replace(hard, truths=replace(hard.truths, difficult=flags))
    return plain, hard, replace(empty, truths=empty.truths.take(np.zeros(0, int)))


@pytest.fixture(scope="module", params=TRAINED)
def learner(request, dataset):
    """A recipe with a network that knows nothing yet, and the detector that it is."""
    found = blueprint(request.param)
    count = len(dataset.classes)
    torch.manual_seed(0)
    recipe = found.build(count, found.priors(SIZES_WH), SIZE_HW, pretrained=False)
    recipe.network.eval()
    if recipe.second is None:
        engine = TorchEngine(recipe.network, recipe.mean, recipe.std)
        return recipe, single(recipe, engine, dataset.classes)
    return recipe, staged(
        recipe, TorchStages(recipe.network, recipe.mean, recipe.std), dataset.classes
    )


def stepped(recipe, batch):
    """The terms that a training would step for this batch."""
    pixels, truths, _ = batch
    image = normalise(pixels, recipe.mean, recipe.std)
    torch.manual_seed(0)
    with torch.inference_mode():
        targets = [targets_of(one, torch.device("cpu")) for one in truths]
        terms = losses(recipe, recipe.network, image, targets)
    return {name: float(value) for name, value in terms.items()}


@pytest.mark.parametrize("which", range(3), ids=["plain", "difficult", "empty"])
def test_the_explanation_comes_to_what_training_steps(learner, samples, which):
    recipe, detector = learner
    found = taught_by(detector, recipe, in_use(samples[which], SIZE_HW))
    expected = stepped(recipe, letterboxed([read_picture(samples[which], SIZE_HW)], SIZE_HW))
    assert expected == pytest.approx(found.terms, rel=1e-4, abs=1e-6)
    for name, value in found.terms.items():
        parts = [one.terms.get(name, 0.0) for one in found.truths] + [found.background[name]]
        assert sum(parts) == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_a_mosaic_comes_to_what_training_steps(learner, samples):
    recipe, detector = learner
    seeds = ((seed, in_training(samples, recipe, seed)) for seed in range(20))
    seed, shown = next(found for found in seeds if len(found[1].samples) == 4)
    found = taught_by(detector, recipe, shown)
    loader = TrainingPictures(samples, SIZE_HW, recipe.augmentation, 0)
    schedule = Schedule.of(recipe, len(samples), seed=seed)
    order = schedule.order(0, 0, 0, recipe.optimisation.sizes[-1][0])
    assert stepped(recipe, collate([loader[order]])) == pytest.approx(
        found.terms, rel=1e-4, abs=1e-6
    )


@pytest.mark.parametrize("which", range(3), ids=["plain", "difficult", "empty"])
def test_every_truth_is_answered_for_at_every_stage_unless_it_is_ignored(learner, samples, which):
    recipe, detector = learner
    found = taught_by(detector, recipe, in_use(samples[which], SIZE_HW))
    names = [stage.name for stage in found.stages]
    assert (["detections"] if recipe.second is None else ["proposals", "detections"]) == names
    difficult = samples[which].truths.difficult
    assert ["ignored" if hard else "taught" for hard in difficult] == [t.fate for t in found.truths]
    for number, truth in enumerate(found.truths):
        assert all(row.truth == number and row.role == "answers" for row in truth.answering)
        answered = {row.stage for row in truth.answering}
        assert answered == (set() if truth.fate == "ignored" else set(names))
        for name, value in truth.terms.items():
            rows = sum(row.terms.get(name, 0.0) for row in truth.answering)
            assert rows == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_rows_are_accounted_for(learner, samples):
    recipe, detector = learner
    found = taught_by(detector, recipe, in_use(samples[1], SIZE_HW))
    for stage in found.stages:
        assert stage.rows == stage.answers + stage.background + stage.between + stage.spared
        mine = [r for truth in found.truths for r in truth.answering if r.stage == stage.name]
        assert stage.answers == len({str(row.where) for row in mine})
        costs = [sum(row.terms.values()) for row in stage.others]
        assert costs == sorted(costs, reverse=True)
        for row in [*mine, *stage.others]:
            told = row.drawn and row.role in ("answers", "background")
            assert told == bool(row.terms)
