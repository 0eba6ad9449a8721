"""`boxray data show`: what it counts is what is there."""

import json

import pytest

from boxray import cli
from boxray.data import synthetic
from boxray.verbs.data.show import show


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    return synthetic.make(tmp_path_factory.mktemp("shapes") / "data", images=5, seed=3)


def test_every_box_is_counted_once_under_its_class(shapes):
    written = "".join(path.read_text() for path in (shapes / "Annotations").iterdir())
    report = show(shapes)
    assert ["circle", "square", "triangle"] == list(report.per_class)
    assert {name: written.count(f"<name>{name}<") for name in report.per_class} == report.per_class


def test_a_split_and_a_class_file_narrow_it(shapes, tmp_path):
    wanted = tmp_path / "classes.txt"
    wanted.write_text("round: circle\ncube\n")
    report = show(shapes, split="val", classes=wanted)
    assert 1 == len(report.dataset)
    assert ["round", "cube"] == list(report.per_class)
    assert 0 == report.per_class["cube"]


def test_the_document_adds_up(shapes, capfd):
    assert 0 == cli.run(["data", "show", str(shapes), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.show/1", 5) == (document["schema"], document["images"])
    assert document["boxes"] == sum(document["per_class"].values()) > 0


def test_people_get_a_table_and_the_account(shapes, capfd):
    assert 0 == cli.run(["data", "show", str(shapes)])
    captured = capfd.readouterr()
    assert "5 images" in captured.out
    assert "circle" in captured.out
    assert "5 images" in captured.err
