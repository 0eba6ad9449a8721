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


def test_people_get_a_table_and_the_account(shapes, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert 0 == cli.run(["data", "show", str(shapes)])
    captured = capfd.readouterr()
    assert "5 images" in captured.out
    assert "circle" in captured.out
    assert "5 images" in captured.err


def test_the_image_is_drawn_where_it_is_asked_for(shapes, tmp_path, capfd):
    words = ["data", "show", str(shapes), "--image", "shapes_00003", "--output", str(tmp_path)]
    assert 0 == cli.run([*words, "--json"])
    document = json.loads(capfd.readouterr().out)
    assert str(tmp_path / "shapes_00003.boxes.jpg") == document["picture"]
    assert (tmp_path / "shapes_00003.boxes.jpg").is_file()
    assert {"box", "label", "flags", "line"} == set(document["image"]["truths"][0])


def test_the_course_picture(shared, tmp_path):
    report = show(shared / "data" / "open_images", output=tmp_path)
    wanted = {"Land vehicle": 10, "Person": 5, "Tree": 5, "Traffic sign": 2, "Umbrella": 2}
    assert wanted == report.to_dict()["per_class"]
    assert (1, 24) == (report.to_dict()["images"], report.to_dict()["boxes"])


def test_files_that_count_from_zero_are_read_as_such_where_that_is_said(shapes, capfd):
    corner = []
    for more in ([], ["--voc-zero-based", "--format", "voc"]):
        assert 0 == cli.run(["data", "show", str(shapes), "--json", *more])
        corner.append(json.loads(capfd.readouterr().out)["image"]["truths"][0]["box"])
    plain, zero_based = corner
    assert [plain[0] + 1, plain[1] + 1, *plain[2:]] == zero_based
