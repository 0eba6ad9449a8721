"""What one may ask of a training beyond its length: freezing, portions, balance, patience."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from boxray import bundle
from boxray.data import Dataset
from boxray.data.report import Report
from boxray.data.synthetic import make
from boxray.errors import MissingExtra, SettingError
from boxray.ledger import METRICS, REPORT, SETTINGS
from boxray.networks.backbones import freeze, frozen_stages
from boxray.recipes.recipe import Recipe, blueprint
from boxray.records import Sample, Truths
from boxray.training import TrainSettings, checkpoints, resume, train
from boxray.training.balance import repeat_factors
from boxray.training.listeners import Figures
from boxray.training.memory import bytes_per_picture, portions_for
from boxray.training.step import portions

PRIORS = (((8.0, 8.0),) * 3, ((24.0, 24.0),) * 3, ((60.0, 60.0),) * 3)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    return make(tmp_path_factory.mktemp("data") / "shapes", images=10, seed=0)


def request(pictures: Path, run: Path) -> TrainSettings:
    """Two epochs of eight pictures, four at a time: four steps."""
    return TrainSettings(
        data=(pictures,), output=run, start="imagenet", size=64, epochs=2.0, batch=4,
        validations=2, threads=1, workers=0,
    )  # fmt: skip


def grid(name: str = "grid-lite0") -> Recipe:
    return blueprint(name).build(2, PRIORS, (64, 64), pretrained=False)


class Notes:
    """A listener that writes down what it is told."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rows: list[dict] = []
        self.over = 0

    def stepped(self, step, losses) -> None:
        assert {"box", "objectness", "class"} == set(losses)
        self.steps.append(step)

    def validated(self, row) -> None:
        self.rows.append(row)

    def closed(self) -> None:
        self.over += 1


def test_a_listener_hears_every_step_each_validation_and_the_end(pictures, tmp_path):
    notes = Notes()
    train(request(pictures, tmp_path / "run"), listeners=[notes])
    assert [1, 2, 3, 4] == notes.steps
    kept = (tmp_path / "run" / METRICS).read_text().splitlines()
    assert [json.loads(line) for line in kept] == notes.rows
    assert 1 == notes.over


def test_a_finished_training_is_made_longer(pictures, tmp_path):
    run = tmp_path / "run"
    assert 4 == train(request(pictures, run)).steps
    with pytest.raises(SettingError, match=r"nothing left to do.*--epochs N"):
        resume(run)
    assert 6 == resume(run, epochs=3.0).steps
    kept = json.loads((run / SETTINGS).read_text())["settings"]
    assert {"value": 3.0, "origin": "user"} == kept["epochs"]
    with pytest.raises(SettingError, match="nothing left to do"):
        resume(run)


def test_a_training_that_was_killed_in_its_last_save_is_closed(pictures, tmp_path):
    run = tmp_path / "run"
    assert 4 == train(request(pictures, run)).steps
    state = checkpoints.read(run / checkpoints.LAST).state
    (run / checkpoints.LAST).replace(run / checkpoints.NEXT)
    (run / REPORT).unlink()
    rows = (run / METRICS).read_bytes()
    assert 4 == resume(run).steps
    assert state == checkpoints.read(run / checkpoints.LAST).state
    assert not (run / checkpoints.NEXT).exists()
    assert (run / REPORT).exists()
    assert rows == (run / METRICS).read_bytes()
    with pytest.raises(SettingError, match="nothing left to do"):
        resume(run)


def test_a_recipe_without_stages_is_resumed_too(pictures, tmp_path):
    run = tmp_path / "run"
    settings = replace(request(pictures, run), recipe="yolov3-tiny", start=None, epochs=1.0)
    assert 2 == train(settings).steps
    assert 3 == resume(run, epochs=1.5).steps


def test_a_training_goes_on_without_the_model_that_it_started_from(pictures, tmp_path):
    model = tmp_path / "start.onnx"
    model.write_bytes(bundle.read("default")[0])
    run = tmp_path / "run"
    train(replace(request(pictures, run), start=str(model), epochs=1.0, validations=1))
    seal = json.loads((run / SETTINGS).read_text())["settings"]["start_seal"]["value"]
    assert bundle.describe(*bundle.read("default")).sha256 == seal
    model.unlink()
    assert 3 == resume(run, epochs=1.5).steps
    assert seal == json.loads((run / SETTINGS).read_text())["settings"]["start_seal"]["value"]


def test_patience_ends_a_training_that_does_not_get_better(pictures, tmp_path, monkeypatch):
    nothing = SimpleNamespace(losses={"box": 1.0}, ap50=0.1, per_class={})
    monkeypatch.setattr("boxray.training.loop.validate", lambda *_: nothing)
    settings = replace(request(pictures, tmp_path / "run"), epochs=4.0, validations=8, patience=2)
    result = train(settings)
    assert 3 == result.steps  # the first validation sets the mark, two more bring nothing
    assert (tmp_path / "run" / "model.onnx").exists()
    with pytest.raises(SettingError, match="nothing left to do"):
        resume(tmp_path / "run")


def test_a_batch_in_portions_is_the_same_batch():
    none = np.zeros((0, 4), np.float32)
    truths = [(none, np.zeros(0, np.int64), none)] * 5
    batch = torch.arange(5, dtype=torch.uint8).view(5, 1, 1, 1).expand(5, 3, 1, 1), truths, ["grey"]
    parts = list(portions(batch, 2))
    assert [3, 2] == [len(part[1]) for part, _ in parts]
    assert [0, 1, 2, 3, 4] == torch.cat([part[0] for part, _ in parts])[:, 0, 0, 0].tolist()
    assert [0.6, 0.4] == [share for _, share in parts]
    assert [1.0] == [share for _, share in portions(batch, 1)]


def test_a_training_in_portions_learns_about_the_same(pictures, tmp_path):
    whole, halves = Notes(), Notes()
    train(request(pictures, tmp_path / "whole"), listeners=[whole])
    train(replace(request(pictures, tmp_path / "halves"), accumulate=2), listeners=[halves])
    # batch norm sees two pictures in place of four, and each half counts its own positives
    for name, value in whole.rows[-1]["val_loss"].items():
        assert value == pytest.approx(halves.rows[-1]["val_loss"][name], rel=0.25)


def test_memory_grows_with_the_canvas_and_decides_the_portions():
    small, large = grid(), replace(grid(), canvas_hw=(128, 128))
    needed = bytes_per_picture(small)
    assert 2 < bytes_per_picture(large) / needed < 4.5  # four times the cells, and fixed parts
    # 1.5 pictures' worth for each, of 40 % of what is free: 10 of 16 fit, so two portions
    assert 2 == portions_for(16, needed, int(10.5 * needed * 1.5 / 0.4))
    assert 1 == portions_for(16, needed, 2**40)
    assert 16 == portions_for(16, needed, 1)


def test_frozen_stages_are_those_that_were_asked_for():
    recipe = grid()
    assert 4 == frozen_stages(recipe.network)
    for count in (0, 2, 8):
        freeze(recipe.network, count)
        assert count == frozen_stages(recipe.network)
    with pytest.raises(SettingError, match="freeze is 9; EfficientNet-Lite0 has 8 stages"):
        freeze(recipe.network, 9)
    assert frozen_stages(torch.nn.Linear(1, 1)) is None
    with pytest.raises(SettingError, match="recipes on EfficientNet-Lite0"):
        freeze(torch.nn.Linear(1, 1), 1)


def test_pictures_of_rare_classes_come_more_often():
    def sample(*labels: int) -> Sample:
        boxes = np.tile(np.array([[0.0, 0.0, 9.0, 9.0]]), (len(labels), 1))
        return Sample(Path("x.jpg"), (10, 10), Truths.of(boxes, np.array(labels, np.int64)))

    samples = (*[sample(0)] * 38, sample(0, 1), sample())
    dataset = Dataset("made", ("common", "rare"), samples, "train", Report())
    factors = repeat_factors(dataset)
    # the rare class is in 1 of 40 pictures: √(0.1 / 0.025) = 2
    assert [1.0] * 38 + [2.0, 1.0] == factors.tolist()


def test_a_dashboard_that_is_not_installed_is_named(pictures, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtra, match="pip install wandb"):
        train(replace(request(pictures, tmp_path / "run"), log=("wandb",)))
    with pytest.raises(SettingError, match="no dashboard 'excel'"):
        replace(request(pictures, tmp_path / "run"), log=("excel",))


def test_a_dashboard_gets_losses_now_and_then_and_every_validation():
    written: list[tuple[dict, int]] = []
    figures = Figures(lambda values, step: written.append((values, step)), lambda: None)
    for step in range(1, 21):
        figures.stepped(step, {"box": step / 10})
    figures.validated({"step": 20, "val_loss": {"box": 0.5}, "AP50": 0.25})
    assert [
        ({"train/box": 1.0}, 10),
        ({"train/box": 2.0}, 20),
        ({"val/box": 0.5, "val/AP50": 0.25}, 20),
    ] == written
