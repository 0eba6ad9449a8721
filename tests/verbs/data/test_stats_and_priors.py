"""`boxray data stats` and `boxray data priors`: tables, plots, documents."""

import json
from pathlib import Path

import pytest
from PIL import Image

from boxray import cli
from boxray.data import synthetic

HEADER = "ImageID,LabelName,XMin,XMax,YMin,YMax"


def told(capfd) -> dict:
    return json.loads(capfd.readouterr().out)


def table(folder: Path, name: str = "boxes.csv") -> Path:
    folder.mkdir(exist_ok=True)
    row = "000000000000000a,/m/a,0.1,0.3,0.2,0.4"
    (folder / name).write_text(f"{HEADER}\n{row}\n{row.replace('0.3', '0.9')}\n")
    return folder / name


def test_stats_counts_every_box_and_draws_it(tmp_path, capfd):
    root = synthetic.make(tmp_path / "d", images=6, seed=1)
    out = tmp_path / "out"
    assert 0 == cli.run(["data", "stats", str(root), "--output", str(out), "--json"])
    document = told(capfd)
    assert ("boxray.data.stats/1", 6, "pixels") == (
        document["schema"],
        document["images"],
        document["aspect"],
    )
    assert document["boxes"] == sum(one["boxes"] for one in document["per_class"].values())
    assert document["boxes"] == sum(map(sum, document["centres"]))
    with Image.open(document["picture"]) as picture:
        assert (1200, 900) == picture.size


def test_a_table_needs_no_pictures_and_its_sizes_are_shares(tmp_path, capfd):
    for source in (table(tmp_path / "d"), tmp_path / "d"):
        assert 0 == cli.run(["data", "stats", str(source), "--json"])
        document = told(capfd)
        assert ({"/m/a": 2}, "shares") == (
            {name: one["boxes"] for name, one in document["per_class"].items()},
            document["aspect"],
        )


def test_tables_of_several_splits_are_asked_for_by_name(tmp_path, capfd):
    for split in ("train", "validation"):
        table(tmp_path / "d", f"{split}-annotations-bbox.csv")
    words = ["data", "stats", str(tmp_path / "d"), "--json"]
    assert 2 == cli.run(words)
    assert "say which split" in capfd.readouterr().err
    assert 0 == cli.run([*words, "--split", "validation"])


def test_priors_come_with_the_fit_of_every_number_of_them(tmp_path, capfd):
    root = synthetic.make(tmp_path / "d", images=6, seed=1)
    out = tmp_path / "out"
    words = ["data", "priors", str(root), "--priors", "3", "--size", "320", "--output", str(out)]
    assert 0 == cli.run([*words, "--json"])
    document = told(capfd)
    assert (320, 3, "iou", True) == (
        document["size"],
        len(document["priors_wh"]),
        document["distance"],
        document["aspect_kept"],
    )
    curve = document["elbow"]["iou"]
    assert 12 == len(curve)
    assert curve[0] < curve[2] <= document["average_iou"] + 0.01
    with Image.open(document["picture"]) as picture:
        assert 1200 == picture.size[0]


def test_the_tables_for_people_name_classes_and_priors(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = synthetic.make(tmp_path / "d", images=6, seed=1)
    assert 0 == cli.run(["data", "stats", str(root)])
    assert "circle" in capfd.readouterr().out
    assert 0 == cli.run(["data", "priors", str(root), "--distance", "euclidean"])
    text = capfd.readouterr().out
    assert "5 priors by euclidean, in pixels of a canvas of 416 x 416" in text
    assert {"stats.png", "priors.png"} == {path.name for path in Path("boxray-data").iterdir()}


def test_data_without_a_box_has_no_priors(tmp_path, capfd):
    (tmp_path / "boxes.csv").write_text(HEADER + "\n")
    assert 2 == cli.run(["data", "priors", str(tmp_path), "--json"])
    assert "has no boxes to count" in capfd.readouterr().err


@pytest.mark.parametrize("verb", ["stats", "priors"])
def test_a_lost_row_is_refused_if_strict_in_a_table_as_in_a_folder(verb, tmp_path, capfd):
    path = table(tmp_path / "d")
    words = ["data", verb, str(path), "--strict", "--json"]
    assert 0 == cli.run(words)
    path.write_text(path.read_text() + "000000000000000a,/m/a,0.5,0.3,0.2,0.4\n")
    assert 2 == cli.run(words)
    assert "is not read as it stands" in capfd.readouterr().err
    root = synthetic.make(tmp_path / "shapes", images=4, seed=1)
    next((root / "Annotations").iterdir()).write_text("")
    assert 0 == cli.run(["data", verb, str(root), "--json"])
    assert 2 == cli.run(["data", verb, str(root), "--strict", "--json"])


def test_a_reading_is_kept_where_it_is_asked_for(tmp_path):
    root = synthetic.make(tmp_path / "shapes", images=4, seed=1)
    for verb in ("stats", "priors"):
        assert 0 == cli.run(["data", verb, str(root), "--json", "--cache", str(tmp_path / verb)])
        assert 1 == len(list((tmp_path / verb).iterdir()))


def test_a_format_that_the_table_is_not_in_is_refused(tmp_path, capfd):
    path = table(tmp_path / "d")
    assert 2 == cli.run(["data", "stats", str(path), "--format", "yolo", "--json"])
    assert "is not a data set that boxray knows" in capfd.readouterr().err
