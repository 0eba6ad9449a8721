"""`classify` names patches: as a table, as JSON, as pictures; and refuses what is none."""

import json

import numpy as np
import pytest
from PIL import Image

from boxray.cli import run
from boxray.verbs.classify import cells, classify


@pytest.fixture
def photo(tmp_path):
    data = pytest.importorskip("skimage.data", reason="needs the extra 'demo'")
    path = tmp_path / "chelsea.png"
    Image.fromarray(data.chelsea()).save(path)
    return path


def test_json_has_every_patch_with_its_box_and_best_classes(photo, capsys):
    arguments = ["classify", str(photo), "--patch", "100,20,300,260", "--patch", "0,0,50,50"]
    assert 0 == run([*arguments, "--top", "3", "--json"])
    document = json.loads(capsys.readouterr().out)
    assert "boxray.classify/1" == document["schema"]
    assert [[100, 20, 300, 260], [0, 0, 50, 50]] == [one["box"] for one in document["patches"]]
    (first, second) = (one["top"] for one in document["patches"])
    assert {"wnid", "name", "probability"} == set(first[0])
    assert 3 == len(first) == len(second)
    assert first[0]["name"] in {"tabby", "tiger cat", "Egyptian cat"}


def test_without_patches_the_whole_picture_is_meant(photo, capsys):
    assert 0 == run(["classify", str(photo)])
    assert "Egyptian cat" in capsys.readouterr().out


def test_a_grid_covers_the_picture():
    assert [(0, 0, 2, 1.5), (2, 0, 4, 1.5), (0, 1.5, 2, 3), (2, 1.5, 4, 3)] == cells((3, 4), 2)


def test_charts_are_written_when_asked_for(photo, tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra 'data'")
    report = classify(photo, grid=2, top=40, output=tmp_path / "out")
    assert [40] * 4 == [len(top) for _, top in report.patches]
    for name in ("classes.png", "pixels.png"):
        drawn = np.asarray(Image.open(tmp_path / "out" / name))
        assert drawn.std() > 10  # something is on it


@pytest.mark.parametrize("patch", ["1,2,3", "3,0,1,9", "0,0,nan,9", "0,0,inf,9", "a,b,c,d"])
def test_what_is_no_patch_is_refused_by_name(photo, capsys, patch):
    assert 2 == run(["classify", str(photo), "--patch", patch])
    assert "--patch" in capsys.readouterr().err


def test_a_patch_outside_and_a_detector_are_refused(photo, capsys):
    assert 2 == run(["classify", str(photo), "--patch", "9000,0,9100,9"])
    assert 2 == run(["classify", str(photo), "--model", "default"])
    assert "a classifier is wanted" in capsys.readouterr().err
