"""A training's forecast: its steps, pictures beside or between them, and what comes after."""

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from boxray import data
from boxray.data.synthetic import make
from boxray.recipes.recipe import blueprint
from boxray.training import TrainSettings
from boxray.training.forecast import Costs, costs_of
from boxray.training.preparation import prepare
from boxray.training.schedule import Clock
from boxray.training.watching import Watcher

COSTS = Costs(
    sides=(0.6, 1.0),
    network=(0.2, 0.4),
    making=(0.1, 0.1),
    decoding=0.01,
    checking=0.05,
    apart=False,
    busy=False,
)
VALUES = {"epochs": 10.0, "batch": 8}
PICTURES = 80


@pytest.fixture(scope="module")
def recipe():
    found = blueprint("grid-lite0")
    priors = found.priors(np.geomspace((8, 8), (60, 60), 40))
    return found.build(3, priors, (64, 64), pretrained=False)


def test_pictures_made_between_steps_take_their_time(recipe):
    # the recipe's canvases: 0.6 for 0.35 of the schedule, 0.8 for 0.35, 1 for 0.3
    # network at 0.64: 0.2 + 0.2 * 0.28 / 0.64 = 0.2875; steps 0.3, 0.3875 and 0.5 s, mean 0.390625
    # 10 epochs of 80 pictures in batches of 8: 100 steps; the first 10 decode 8 pictures, 0.08 s
    found = COSTS.training_s(recipe, VALUES, PICTURES)
    assert 39.0625 + 0.8 == pytest.approx(found)


def test_pictures_made_apart_take_none_unless_they_are_slower(recipe):
    apart = replace(COSTS, apart=True)
    # steps 0.2, 0.2875 and 0.4 s, mean 0.290625; decoding fits beside the first steps: 0.18 < 0.2
    assert 29.0625 == pytest.approx(apart.training_s(recipe, VALUES, PICTURES))
    slow = replace(apart, decoding=0.1)
    # in the first ten steps 0.1 + 0.8 s instead of 0.2
    assert 29.0625 + 7 == pytest.approx(slow.training_s(recipe, VALUES, PICTURES))


def test_less_than_an_epoch_decodes_less_than_all(recipe):
    half = VALUES | {"epochs": 0.5}
    assert (39.0625 / 10 + 0.8) / 2 == pytest.approx(COSTS.training_s(recipe, half, PICTURES))


def test_validations_and_the_end_count_each_picture():
    assert 100 * 0.05 + 0.2 == pytest.approx(COSTS.validation_s(100))
    # the report looks at 60 pictures twice; 5 s for the export
    assert 5.2 + 5 + 60 * 0.05 * 2 == pytest.approx(COSTS.closing_s(100))


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_forecast_times_every_part_and_leaves_network_and_chance_as_they_were(
    recipe, tmp_path: Path, accumulate: int
):
    folder = make(tmp_path / "shapes", images=6, seed=0)
    train, val = (data.read(folder, split=name) for name in ("train", "val"))
    values = {"batch": 2, "accumulate": accumulate, "device": "cpu", "precision": "float32"}
    weights = {name: value.clone() for name, value in recipe.network.state_dict().items()}
    chance = torch.random.get_rng_state()
    found = costs_of(recipe, values | {"learning_rate": 0.1}, train, val, apart=False)
    assert (0.6, 1.0) == found.sides
    assert min(*found.network, *found.making, found.decoding, found.checking) > 0
    assert torch.equal(chance, torch.random.get_rng_state())
    now = recipe.network.state_dict()
    assert all(torch.equal(value, now[name]) for name, value in weights.items())
    assert recipe.network.training


def test_on_a_busy_machine_the_forecast_says_so(recipe, tmp_path: Path):
    settings = TrainSettings(
        data=(make(tmp_path / "shapes", images=6, seed=0),), output=tmp_path / "run",
        start="imagenet", size=64, epochs=1.0, threads=1, workers=0,
    )  # fmt: skip
    prepared = prepare(settings)
    for busy in (True, False):
        console = Console(file=io.StringIO(), width=200)
        Watcher(console).start(replace(prepared, busy=busy), Clock(10, None))
        said = console.file.getvalue()
        assert ("as busy as now" in said) == busy
