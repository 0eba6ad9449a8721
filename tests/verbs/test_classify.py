"""`classify` names patches: as a table, as JSON, as pictures; and refuses what is none."""

import json

import numpy as np
import pytest
from PIL import Image

from boxray.cli import run
from boxray.verbs.classify import Pieces, cells, classify


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
    report = classify(photo, pieces=Pieces(grid=2), top=40, output=tmp_path / "out")
    assert [40] * 4 == [len(patch.top) for patch in report.patches]
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
    told = capsys.readouterr().err
    assert "a classifier is wanted" in told
    assert "timm" not in told


@pytest.fixture
def annotated(photo):
    """A VOC data set whose only picture is the photo, with a cat and a nose."""
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax>"
        f"<ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1 in (("cat", 101, 21, 300, 260), ("nose", 181, 151, 220, 190))
    )
    for folder in ("Annotations", "JPEGImages"):
        (photo.parent / "voc" / folder).mkdir(parents=True)
    photo.rename(photo.parent / "voc/JPEGImages/chelsea.png")
    text = f"<annotation><filename>chelsea.png</filename>{objects}</annotation>"
    (photo.parent / "voc/Annotations/chelsea.xml").write_text(text)
    return photo.parent / "voc"


def test_patches_are_taken_from_annotations_and_keep_their_class(annotated, capsys):
    photo = str(annotated / "JPEGImages/chelsea.png")
    assert 0 == run(["classify", photo, "--annotations", str(annotated), "--json"])
    patches = json.loads(capsys.readouterr().out)["patches"]
    # VOC's edges count pixels from 1, the last one included
    expected = [("cat", [100, 20, 300, 260]), ("nose", [180, 150, 220, 190])]
    assert expected == [(one["truth"], one["box"]) for one in patches]
    assert 0 == run(["classify", photo, "--annotations", str(annotated), "--top", "1"])
    table = capsys.readouterr().out
    assert "marked as" in table
    assert "100,20,300,260" in table


def test_annotations_that_mark_nothing_there_are_refused(annotated, tmp_path, capsys):
    other = tmp_path / "other.png"
    Image.new("RGB", (9, 9)).save(other)
    assert 2 == run(["classify", str(other), "--annotations", str(annotated)])
    assert "has no image 'other.png'" in capsys.readouterr().err
    path = annotated / "Annotations/chelsea.xml"
    path.write_text("<annotation><filename>chelsea.png</filename></annotation>")
    photo = str(annotated / "JPEGImages/chelsea.png")
    assert 2 == run(["classify", photo, "--annotations", str(annotated)])
    assert "marks nothing in chelsea.png" in capsys.readouterr().err


def test_a_network_of_timms_runs_with_a_file_of_weights(photo, tmp_path, capsys):
    timm = pytest.importorskip("timm", reason="needs the extra 'train'")
    from safetensors.torch import save_file

    name, path = "test_resnet.r160_in1k", tmp_path / "model.safetensors"
    save_file(timm.create_model(name, num_classes=1001).state_dict(), path)
    arguments = ["classify", str(photo), "--model", name]
    assert 0 == run([*arguments, "--weights", str(path), "--threads", "1", "--json"])
    assert name == json.loads(capsys.readouterr().out)["model"]
    assert 2 == run(arguments)
    assert "needs a file with its weights: --weights FILE" in capsys.readouterr().err
    assert 2 == run([*arguments, "--classes", str(path)])
    assert "--classes goes with --weights" in capsys.readouterr().err
    for model in ("lite0-imagenet", "windows", str(path)):
        assert 2 == run(["classify", str(photo), "--model", model, "--weights", str(path)])
        assert "has its own" in capsys.readouterr().err
