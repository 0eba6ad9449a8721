"""A whole training, small: from a folder of pictures to a run that needs no torch, and resumed."""

import json
import shutil
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from boxray import bundle, data
from boxray.data.synthetic import make
from boxray.errors import FormatError, SettingError
from boxray.evaluation import evaluate
from boxray.ledger import METRICS
from boxray.training import TrainSettings, checkpoints, resume, train
from boxray.training.watching import Watcher

CLASSES = ("circle", "square", "triangle")
STEPS = 6  # 12 pictures, 2 epochs, 4 at a time


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Fifteen pictures, twelve of them to learn from, one of these without a single object."""
    folder = make(tmp_path_factory.mktemp("data") / "shapes", images=15, seed=0)
    first = folder / "Annotations" / "shapes_00000.xml"
    head, *_ = first.read_text().split("<object>")
    first.write_text(f"{head}</annotation>\n")
    hard = folder / "Annotations" / "shapes_00001.xml"
    hard.write_text(hard.read_text().replace("<difficult>0", "<difficult>1"))
    return folder


def request(pictures: Path, run: Path) -> TrainSettings:
    return TrainSettings(
        data=(pictures,),
        output=run,
        size=64,
        epochs=2.0,
        batch=4,
        validations=2,
        threads=1,
        workers=0,
        checkpoint_s=0.0,
    )


@pytest.fixture(scope="module")
def run(pictures, tmp_path_factory) -> Path:
    """The run that most tests look at."""
    run = tmp_path_factory.mktemp("runs") / "first"
    result = train(request(pictures, run))
    assert (run, STEPS, None) == (result.run, result.steps, result.signal)
    return run


def rows(run: Path) -> list[dict]:
    """What was recorded, without the time it took."""
    lines = (run / METRICS).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "elapsed_s"} for line in lines]


def weights(run: Path) -> dict[str, bytes]:
    """Every tensor of the last checkpoint: weights, their average, the optimiser's moments."""
    found = checkpoints.read(run / checkpoints.LAST)
    return {name: tensor.numpy().tobytes() for name, tensor in found.tensors.items()}


def test_the_run_has_a_report_of_one_file(run):
    text = (run / "report.html").read_text()
    for heading in ("What became of the objects", "What was taken for what", "Settings"):
        assert heading in text
    assert "http" not in text.split('id="data"')[1].split("</script>")[0]


class Stopped(Exception):
    """Stands for a power cut."""


class StopsAfter(Watcher):
    """Ends the process's training without warning, once it has made so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def step(self, clock, losses) -> None:
        if clock.step == self.steps:
            raise Stopped


class TestTheRun:
    def test_it_leaves_what_the_design_says(self, run):
        expected = {"settings.json", "split.json", "metrics.jsonl", "curves.png", "report.html"}
        expected |= {"last.safetensors", "previous.safetensors", "best.safetensors"}
        expected |= {"model.onnx", ".lock", "provenance.json"}
        assert expected == {path.name for path in run.iterdir()}

    def test_it_was_validated_as_often_as_asked(self, run):
        found = rows(run)
        assert [STEPS // 2, STEPS] == [row["step"] for row in found]
        assert [12, 24] == [row["images"] for row in found]
        for row in found:
            assert {"box", "objectness", "class"} == row["val_loss"].keys()
            assert np.isfinite(list(row["val_loss"].values())).all()
            assert 0 <= row["AP50"] <= 1
            assert set(CLASSES) == set(row["per_class"])

    def test_settings_say_what_was_worked_out(self, run, pictures):
        document = json.loads((run / "settings.json").read_text())["settings"]
        assert {"value": 64, "origin": "user"} == document["size"]
        assert "derived" == document["priors"]["origin"]
        assert [3, 3, 3] == [len(level) for level in document["priors"]["value"]]
        assert list(CLASSES) == document["classes_found"]["value"]
        assert data.read(pictures, "train").fingerprint() == document["fingerprint"]["value"]

    def test_it_is_evaluated_and_detects_from_the_run_folder(self, run, pictures):
        detector = bundle.load(run, threads=1)
        assert CLASSES == detector.classes
        found = evaluate(detector, data.read(pictures, "val"), protocol="voc", split="val")
        assert 3 == found.images
        assert found.metrics["AP50"] is not None
        assert not found.errors

    def test_using_it_needs_no_torch(self, run, pictures):
        program = f"""
            import sys
            sys.modules["torch"] = None  # importing it fails
            import boxray
            detector = boxray.load({str(run)!r}, threads=1).with_thresholds(score_threshold=0.0)
            print(len(detector.detect({str(pictures / "JPEGImages" / "shapes_00004.jpg")!r})))
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
        )
        assert "" == done.stderr
        assert int(done.stdout) > 0

    def test_a_finished_training_has_nothing_left_to_do(self, run):
        before = {path: path.read_bytes() for path in run.iterdir() if path.name != ".lock"}
        with pytest.raises(SettingError, match="nothing left to do"):
            resume(run)
        assert before == {path: path.read_bytes() for path in before}

    def test_a_folder_in_use_is_refused_before_any_work(self, run, pictures):
        with pytest.raises(SettingError, match="boxray resume"):
            train(request(pictures, run))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_resumed_training_ends_bit_for_bit_like_one_that_was_never_stopped(
    run, pictures, tmp_path, steps
):
    with pytest.raises(Stopped):
        train(request(pictures, tmp_path / "second"), StopsAfter(steps))
    assert STEPS == resume(tmp_path / "second").steps
    assert weights(run) == weights(tmp_path / "second")
    assert rows(run) == rows(tmp_path / "second")


def test_a_damaged_newest_checkpoint_costs_a_step_and_nothing_else(run, pictures, tmp_path):
    with pytest.raises(Stopped):
        train(request(pictures, tmp_path / "second"), StopsAfter(5))
    newest = tmp_path / "second" / checkpoints.LAST
    newest.write_bytes(newest.read_bytes()[:-100])
    assert STEPS == resume(tmp_path / "second").steps
    assert weights(run) == weights(tmp_path / "second")


def test_data_that_changed_is_not_resumed_with(pictures, tmp_path):
    mine = Path(shutil.copytree(pictures, tmp_path / "data"))
    with pytest.raises(Stopped):
        train(request(mine, tmp_path / "run"), StopsAfter(1))
    changed = mine / "Annotations" / "shapes_00002.xml"
    for old, new in (("circle", "CIRCLE"), ("square", "circle"), ("CIRCLE", "square")):
        changed.write_text(changed.read_text().replace(old, new))
    changed.write_text(changed.read_text().replace("triangle", "square"))
    with pytest.raises(SettingError, match="data changed"):
        resume(tmp_path / "run")


class TestRefusals:
    def test_data_without_a_box_is_refused(self, tmp_path):
        folder = make(tmp_path / "shapes", images=5, seed=1)
        for path in (folder / "Annotations").iterdir():
            path.write_text(path.read_text().split("<object>")[0] + "</annotation>")
        with pytest.raises(FormatError, match="no boxes in the part 'train'"):
            train(request(folder, tmp_path / "run"))

    def test_a_missing_device_is_refused(self, pictures, tmp_path, monkeypatch):
        monkeypatch.setattr("torch.cuda.is_available", lambda: False)
        with pytest.raises(SettingError, match="no CUDA device"):
            train(replace(request(pictures, tmp_path / "run"), device="cuda"))


def test_a_time_budget_ends_a_training_in_time(pictures, tmp_path):
    settings = replace(request(pictures, tmp_path / "run"), epochs=None, minutes=0.1, validations=1)
    result = train(settings)
    assert result.steps >= 1
    assert (tmp_path / "run" / "model.onnx").exists()


class Hears(Watcher):
    """Keeps what would be shown."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def say(self, text: str) -> None:
        self.told.append(text)


def test_a_picture_that_cannot_be_decoded_is_named_and_does_not_end_the_training(
    pictures, tmp_path
):
    mine = Path(shutil.copytree(pictures, tmp_path / "data"))
    for stem in ("shapes_00003", "shapes_00004"):  # one to learn from, one to check on
        path = mine / "JPEGImages" / f"{stem}.jpg"
        path.write_bytes(path.read_bytes()[:900])  # the header is whole
    watcher = Hears()
    settings = replace(request(mine, tmp_path / "run"), validations=1)
    assert STEPS == train(settings, watcher).steps
    assert 1 == sum("shapes_00003.jpg" in line for line in watcher.told)
