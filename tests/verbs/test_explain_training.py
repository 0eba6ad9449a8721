"""`boxray explain --training`: what a labelled picture teaches the shipped detector."""

import json
import re

import pytest

from boxray import cli
from boxray.data.synthetic import make

LABELS = ("person", "car", "dog")


@pytest.fixture
def pictures(tmp_path):
    return make(tmp_path / "shapes", images=5, seed=3, classes=LABELS)


def first(pictures):
    return sorted((pictures / "JPEGImages").iterdir())[0]


def test_every_term_is_told_by_object_and_background(pictures, capfd, tmp_path):
    words = ["--truth", str(pictures), "--training", "--seed", "1", "--json"]
    words += ["--output", str(tmp_path / "why")]
    assert 0 == cli.run(["explain", str(first(pictures)), *words])
    told = json.loads(capfd.readouterr().out)
    assert "boxray.explain.training/1" == told["schema"]
    assert str(first(pictures)) == told["pictures"][0]
    assert 4 == len(told["pictures"])  # seed 1 shows a mosaic, and cuts objects off, or nearly
    assert {"taught", "ignored", "lost"} == {truth["fate"] for truth in told["truths"]}
    assert set(range(4)) == {truth["picture"] for truth in told["truths"]}
    for truth in told["truths"]:
        assert (truth["fate"] == "lost") == (truth["box"] is None)
        assert truth["label"] in LABELS
        for name, value in truth["terms"].items():
            rows = sum(row["terms"].get(name, 0) for row in truth["answering"])
            assert value == pytest.approx(rows, abs=1e-5)
    for name, value in told["terms"].items():
        parts = [one["terms"].get(name, 0) for one in told["truths"]] + [told["background"][name]]
        assert value == pytest.approx(sum(parts), rel=1e-4)
    assert (tmp_path / "why" / f"{first(pictures).stem}.taught.png").is_file()


@pytest.mark.parametrize("words", [["--training"], ["--seed", "1"], ["--training", "--box", "0"]])
def test_without_truths_it_is_refused(pictures, capfd, words):
    assert 2 == cli.run(["explain", str(first(pictures)), *words])
    assert "--truth DATA" in capfd.readouterr().err


def test_a_person_reads_whose_object_a_mosaic_cut_off(pictures, capfd):
    words = ["--truth", str(pictures), "--training", "--seed", "1"]
    assert 0 == cli.run(["explain", str(first(pictures)), *words])
    out = capfd.readouterr().out
    assert f"A mosaic of {first(pictures).name}, " in out
    assert re.search(r"\w+ of shapes_\d+\.jpg: lost, as augmentation cut it off", out)


def test_a_person_reads_short_numbers(pictures, capfd):
    assert 0 == cli.run(["explain", str(first(pictures)), "--truth", str(pictures), "--training"])
    out = capfd.readouterr().out
    assert re.search(r"^\w+ on the canvas at \d+\.\d, [\d., ]+: taught", out, re.MULTILINE)
    assert "told to find it: box " in out
    assert " answer for an object; " in out
    assert "told that nothing is there: box " in out
    assert re.search(r"\d\.\d{5}", out) is None
