"""`boxray preflight`: exit codes, one document, nothing written; and `train`'s first thing."""

import json
from pathlib import Path

import pytest

from boxray import cli
from boxray.data.synthetic import make

SMALL = ["--size", "64", "--start", "imagenet", "--threads", "1"]


@pytest.fixture
def pictures(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return make(tmp_path / "shapes", images=30, seed=0)


def test_data_that_can_be_learned_is_done(pictures, capfd):
    before = sorted(pictures.rglob("*"))
    assert 0 == cli.run(["preflight", str(pictures), *SMALL, "--skip", "overfit", "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.preflight/1", True, "grid-lite0") == tuple(
        document[key] for key in ("schema", "ready", "recipe")
    )
    assert {"passed"} == {check["state"] for check in document["checks"]}
    assert before == sorted(pictures.rglob("*"))


def test_an_error_fails_and_says_what_was_not_run(pictures, capfd):
    words = [*SMALL, "--learning-rate", "0.2", "--only", "learning-rate,overfit"]
    assert 1 == cli.run(["preflight", str(pictures), *words])
    out = capfd.readouterr().out
    assert "the loss runs away at a rate of 0.2" in out
    assert "not run" in out
    assert "2 checks, 1 error, 0 warnings: not ready" in out


def test_an_unknown_check_is_named_with_the_nearest_known(pictures, capfd):
    assert 2 == cli.run(["preflight", str(pictures), "--only", "over-fit"])
    assert "Did you mean 'overfit'?" in capfd.readouterr().err


def test_a_training_that_would_be_in_vain_is_refused_with_the_way_out(pictures, tmp_path, capfd):
    run = tmp_path / "run"
    words = ["train", str(pictures), "--output", str(run), *SMALL, "--learning-rate", "0.2"]
    assert 1 == cli.run([*words, "--epochs", "1"])
    err = capfd.readouterr().err
    assert "it would not learn (learning-rate)" in err
    assert "--no-preflight" in err
    assert [".lock"] == [path.name for path in run.iterdir()]
