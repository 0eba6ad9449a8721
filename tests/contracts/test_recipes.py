"""What every recipe holds: it trains, keeps its state, exports, and detects without torch."""

import json
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from boxray import bundle, recipes
from boxray.cli import run as command_line
from boxray.data.synthetic import make
from boxray.errors import SettingError
from boxray.ledger import METRICS
from boxray.recipes.recipe import blueprint
from boxray.training import TrainSettings, checkpoints, train
from boxray.verbs.export import export

SIZES_WH = np.geomspace((8, 10), (90, 70), 40)
every_recipe = pytest.mark.parametrize("name", recipes.TABLE)
LARGE = re.compile("resnet50|yolov2$|yolov3$|yolov3-spp")
TRAINED = [  # the papers' own take a while, however few their steps
    pytest.param(name, marks=pytest.mark.slow) if LARGE.search(name) else name
    for name in recipes.TABLE
]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Five pictures, four of them to learn from: one empty, one whose objects are all ignored."""
    folder = make(tmp_path_factory.mktemp("data") / "shapes", images=5, seed=0)
    empty, hard = (folder / "Annotations" / f"shapes_0000{n}.xml" for n in (0, 1))
    empty.write_text(empty.read_text().split("<object>")[0] + "</annotation>\n")
    hard.write_text(hard.read_text().replace("<difficult>0", "<difficult>1"))
    return folder


@pytest.fixture(scope="module", params=TRAINED)
def trained(request, pictures, tmp_path_factory) -> Path:
    """The run of two steps of two pictures each: every picture is seen."""
    output = tmp_path_factory.mktemp("runs") / request.param
    settings = TrainSettings(
        data=(pictures,),
        output=output,
        recipe=request.param,
        size=64,
        epochs=1.0,
        batch=2,
        validations=1,
        threads=1,
        workers=0,
        seed=0,
    )
    assert 2 == train(settings).steps
    yield output
    shutil.rmtree(output)  # the larger networks leave hundreds of megabytes


def test_two_steps_leave_finite_losses_a_checkpoint_and_a_model_that_detects(trained, pictures):
    (row,) = [json.loads(line) for line in (trained / METRICS).read_text().splitlines()]
    assert row["val_loss"].keys() == row["train_loss"].keys()
    assert np.isfinite([*row["val_loss"].values(), *row["train_loss"].values()]).all()
    tensors = checkpoints.read(trained / checkpoints.LAST).tensors
    assert all(np.isfinite(t.numpy()).all() for name, t in tensors.items())
    settings = json.loads((trained / "settings.json").read_text())["settings"]
    assert trained.name == settings["recipe"]["value"]
    assert trained.name == bundle.describe(*bundle.read(trained)).recipe["recipe"]
    program = f"""
        import sys
        sys.modules["torch"] = None  # importing it fails
        import boxray
        detector = boxray.load({str(trained)!r}, threads=1).with_thresholds(score_threshold=0.0)
        print(len(detector.detect({str(pictures / "JPEGImages" / "shapes_00004.jpg")!r})))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True
    )
    assert "" == done.stderr
    assert int(done.stdout) > 0


def test_its_run_is_exported_with_a_certificate(trained, tmp_path):
    first = export(trained, tmp_path / "first.onnx")
    found = first.certificate
    assert first.unchecked is None
    assert "best.safetensors" == found.weights or "last.safetensors" == found.weights
    assert found.pairs > 50
    assert found.pixels < 0.05
    assert found.trained_pixels < 5


def test_its_run_tells_what_a_picture_teaches(trained, pictures, capfd):
    picture = pictures / "JPEGImages" / "shapes_00002.jpg"
    words = ["--model", str(trained), "--truth", str(pictures), "--training", "--threads", "1"]
    assert 0 == command_line(["explain", str(picture), *words, "--json"])
    told = json.loads(capfd.readouterr().out)
    stages = {stage["name"] for stage in told["stages"]}
    for truth in told["truths"]:
        assert stages == {row["stage"] for row in truth["answering"]}
        told_now = [row for row in truth["answering"] if row["drawn"]]
        for name, value in truth["terms"].items():
            rows = sum(row["terms"].get(name, 0) for row in told_now)
            assert value == pytest.approx(rows, rel=1e-4, abs=1e-6)
    assert 0 == command_line(["explain", str(picture), *words])
    assert " told to find it: " in capfd.readouterr().out


def test_its_run_tells_by_gradients_which_pixels_speak(trained, pictures, capfd, tmp_path):
    picture = pictures / "JPEGImages" / "shapes_00002.jpg"
    words = ["--model", str(trained), "--at", "60,60", "--score-threshold", "0", "--gradients"]
    words += ["--threads", "1", "--output", str(tmp_path), "--json"]
    assert 0 == command_line(["explain", str(picture), *words])
    (told,) = json.loads(capfd.readouterr().out)["evidence"]
    assert "gradients" == told["method"]
    assert np.isfinite(np.array(told["map"])).all()
    assert np.array(told["map"]).any()
    assert (tmp_path / "shapes_00002.gradients.png").is_file()
    assert (tmp_path / "shapes_00002.gradients.json").is_file()


@every_recipe
def test_its_own_size_and_name_are_those_of_the_table(name):
    found = blueprint(name)
    assert 0 == found.size % 32
    built = found.build(2, found.priors(SIZES_WH), (64, 64), pretrained=False)
    assert name == built.name


@every_recipe
def test_an_underscore_counts_as_a_hyphen(name):
    assert name == recipes.known(name.replace("-", "_"))


def test_a_recipe_that_nobody_knows_gets_a_suggestion(tmp_path):
    with pytest.raises(SettingError, match=r"no recipe 'grid-lite'\. Did you mean 'grid-lite0'\?"):
        TrainSettings(data=(tmp_path,), output=tmp_path / "run", recipe="grid-lite")


def test_the_help_of_train_lists_every_recipe(capsys):
    assert 0 == command_line(["train", "--help"])
    told = re.sub(r"\s+", "", capsys.readouterr().out)  # lines break at hyphens
    assert [] == [name for name in recipes.TABLE if name not in told]


def test_the_reference_has_a_row_for_every_recipe():
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^## Recipes$(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    told = re.findall(r"^\| `([a-z0-9][a-z0-9-]*)` \|", table, re.MULTILINE)
    assert list(recipes.TABLE) == told
