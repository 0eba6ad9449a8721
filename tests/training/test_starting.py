"""Before the first step: at which rate a training begins that starts from a trained model."""

from pathlib import Path

import pytest

from boxray.data.synthetic import make
from boxray.training import TrainSettings, starting
from boxray.training.settings import request_of
from boxray.training.validation import Validation
from boxray.training.watching import Watcher

USUAL = 2e-3


def test_many_pictures_are_learned_at_the_usual_rate(tmp_path, monkeypatch):
    monkeypatch.setattr(starting, "FEW", 7)
    data = make(tmp_path / "data", images=10, seed=0, classes=("cat", "dog"))
    settings = TrainSettings(data=(data,), output=tmp_path / "run", size=64, epochs=1.0, threads=1)
    assert USUAL == starting.ready(settings, Watcher()).resolved.values["learning_rate"]


@pytest.mark.parametrize(
    ("classes", "found", "asked", "rate"),
    [
        (("cat", "dog"), 0.6, None, USUAL / 10),
        (("cat", "dog"), 0.1, None, USUAL),  # the names are known, what they look like is not
        (("cat", "dog"), None, None, USUAL),  # no class has an object
        (("cat", "shape"), 0.6, None, USUAL),
        (("cat", "dog"), 0.6, 1e-3, 1e-3),
    ],
)
def test_what_a_model_finds_already_is_learned_gently(
    tmp_path, monkeypatch, classes, found, asked, rate
):
    looked_at = []

    def validate(_recipe, _network, dataset):
        looked_at.append(len(dataset.samples))
        return Validation({}, found, {})

    monkeypatch.setattr(starting, "validate", validate)
    monkeypatch.setattr(starting, "LOOKED_AT", 3)
    data = make(tmp_path / "data", images=10, seed=0, classes=classes)
    settings = TrainSettings(
        data=(data,), output=tmp_path / "run", size=64, epochs=1.0, threads=1, learning_rate=asked
    )
    resolved = starting.ready(settings, Watcher()).resolved
    assert pytest.approx(rate) == resolved.values["learning_rate"]
    assert pytest.approx(rate) == request_of(resolved, Path("run")).learning_rate  # as resumed
    assert looked_at in ([], [3])  # of 8 pictures every third
