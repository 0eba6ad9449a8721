"""`boxray learning-rate`: the range test, its suggestion, and that nothing else changes."""

import json
import math
from pathlib import Path

import pytest
import torch

from boxray import cli
from boxray.data.synthetic import make
from boxray.errors import SettingError
from boxray.training import TrainSettings, range_test
from boxray.training.range_test import HIGHEST, LOWEST, RangeTest
from boxray.training.starting import ready
from boxray.training.watching import Watcher

SMALL = ["--size", "64", "--start", "imagenet", "--threads", "1", "--batch", "2"]


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make(tmp_path / "shapes", images=12, seed=0)


@pytest.fixture
def prepared(pictures, tmp_path):
    settings = TrainSettings(
        data=(pictures,), output=tmp_path / "run", size=64, batch=2, threads=1, start="imagenet"
    )
    return ready(settings, Watcher(None))


def test_the_suggestion_is_a_tenth_of_the_rate_with_the_lowest_loss():
    losses = (9.0, 8.0, 6.0, 1.0, 2.0, 3.0, 30.0)
    found = RangeTest(tuple(10.0**power for power in range(-6, 1)), losses, ran_away=True)
    # means over what is around: 9, (9+8+6)/3, (9+8+6+1+2)/5, (9+8+6+1+2+3+30)/7, (6+1+2+3+30)/5 …
    assert (9, 23 / 3, 26 / 5, 59 / 7, 42 / 5, 35 / 3, 30) == pytest.approx(found.smoothed)
    assert 1e-4 == found.lowest
    assert 1e-5 == found.suggested


def test_rates_rise_by_one_factor_and_the_network_stays_as_it_is(prepared):
    before = {name: t.clone() for name, t in prepared.recipe.network.state_dict().items()}
    chance = torch.random.get_rng_state()
    told = []
    found = range_test.range_test(prepared, 6, lambda *counts: told.append(counts))
    steps = len(found.rates)
    factor = (HIGHEST / LOWEST) ** (1 / 5)
    assert [LOWEST * factor**step for step in range(steps)] == pytest.approx(found.rates)
    assert [(step + 1, 6) for step in range(steps)] == told
    assert all(map(math.isfinite, found.losses))
    for name, tensor in prepared.recipe.network.state_dict().items():
        assert torch.equal(before[name], tensor), name
    assert torch.equal(chance, torch.random.get_rng_state())
    assert found == range_test.range_test(prepared, 6)


def test_a_loss_that_runs_away_ends_it(prepared, monkeypatch):
    loss = iter([2.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0])
    monkeypatch.setattr("boxray.training.step.Learner.step", lambda *_, **__: {"box": next(loss)})
    found = range_test.range_test(prepared, 50)
    assert found.ran_away
    assert (2.0, 1.0, 1.0, 5.0, 5.0) == found.losses


def test_a_loss_that_is_no_number_from_the_start_says_what_to_do(prepared, monkeypatch):
    monkeypatch.setattr("boxray.training.step.Learner.step", lambda *_, **__: {"box": math.nan})
    with pytest.raises(SettingError, match=r"no number from the first step.*boxray preflight"):
        range_test.range_test(prepared, 5)


def test_the_command_suggests_a_rate_and_draws_it(pictures, tmp_path, capfd):
    before, picture = sorted(pictures.rglob("*")), tmp_path / "rates.png"
    words = ["learning-rate", str(pictures), *SMALL, "--picture", str(picture)]
    assert 0 == cli.run([*words, "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.learning-rate/1", 2e-3) == (document["schema"], document["usual"])
    assert document["suggested"] == pytest.approx(document["lowest"] / 10, rel=0.05)
    assert len(document["rates"]) == len(document["losses"]) == len(document["smoothed"])
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert before == sorted(pictures.rglob("*"))
    assert 2 == cli.run(words)  # the picture is there already
    assert "--overwrite" in capfd.readouterr().err
