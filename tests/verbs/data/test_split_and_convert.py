"""`boxray data split` and `convert`: new files beside the data, and nothing is lost."""

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from boxray import cli, data
from boxray.data import synthetic
from boxray.verbs.data.convert import convert
from boxray.verbs.data.split import split


@pytest.fixture
def shapes(tmp_path) -> Path:
    return synthetic.make(tmp_path / "data", images=20, seed=6)


def listed(output: Path, name: str) -> list[str]:
    return (output / f"{name}.txt").read_text().splitlines()


def test_every_picture_is_in_one_list(shapes, tmp_path, capfd):
    out = tmp_path / "lists"
    words = ["data", "split", str(shapes), "--shares", "70,20,10", "--output", str(out), "--json"]
    assert 0 == cli.run(words)
    document = json.loads(capfd.readouterr().out)
    lists = {name: listed(out, name) for name in ("train", "val", "test")}
    assert {name: len(paths) for name, paths in lists.items()} == {
        name: part["images"] for name, part in document["splits"].items()
    }
    everything = sorted(path for paths in lists.values() for path in paths)
    pictures = sorted((shapes / "JPEGImages").iterdir())
    assert [path.relative_to(shapes).as_posix() for path in pictures] == everything
    assert all(part["images"] > 0 for part in document["splits"].values())


def test_what_shows_the_same_or_is_of_one_group_stays_together(shapes, tmp_path):
    with Image.open(shapes / "JPEGImages/shapes_00001.jpg") as picture:
        picture.resize((90, 80)).save(shapes / "JPEGImages/again.jpg", quality=70)
    frames = [f"shapes_0000{digit}" for digit in range(5, 9)]
    names = shapes / "ImageSets/Main/train.txt"
    names.write_text(names.read_text() + "again\n")
    for seed in range(5):
        out = tmp_path / f"lists{seed}"
        report = split(shapes, seed=seed, shares=(50.0, 50.0), group_by="0000[5-8]$", output=out)
        assert 2 == report.together  # the pattern meets no name that ends in .jpg
        train = " ".join(listed(out, "train"))
        assert ("again" in train) == ("shapes_00001" in train)
    pattern = r"shapes_(0000)[5-8]\."
    report = split(shapes, shares=(50.0, 50.0), group_by=pattern, output=tmp_path / "grouped")
    train = " ".join(listed(tmp_path / "grouped", "train"))
    assert 1 == len({frame in train for frame in frames})
    assert 6 == report.together


def test_a_split_can_be_a_whole_data_set(shapes, tmp_path):
    split(shapes, to="yolo", output=tmp_path / "yolo")
    assert ("train", "val") == data.splits(tmp_path / "yolo")
    whole, parts = data.read(shapes), [data.read(tmp_path / "yolo", s) for s in ("train", "val")]
    assert len(whole) == sum(map(len, parts))
    assert whole.report.boxes.kept == sum(part.report.boxes.kept for part in parts)


def test_a_part_that_would_be_empty_is_refused_and_nothing_written(tmp_path, capfd):
    one, out = synthetic.make(tmp_path / "one", images=1, seed=0), tmp_path / "lists"
    assert 2 == cli.run(["data", "split", str(one), "--output", str(out)])
    assert "nothing is left for val: 1 images in 1 groups" in capfd.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--shares", "80"],
        ["--shares", "80,0"],
        ["--shares", "a,b"],
        ["--shares", "1,1,1,1"],
        ["--group-by", "("],
        ["--to", "pascal"],
    ],
    ids=" ".join,
)
def test_wrong_use_of_split_is_one_line_and_writes_nothing(shapes, tmp_path, words, capfd):
    out = tmp_path / "out"
    assert 2 == cli.run(["data", "split", str(shapes), "--output", str(out), *words])
    assert 1 == len(capfd.readouterr().err.splitlines())
    assert not out.exists()


@pytest.mark.parametrize("to", ["voc", "coco", "yolo", "open-images"])
def test_a_converted_data_set_holds_the_same_boxes_and_splits(shapes, tmp_path, to):
    report = convert(shapes, tmp_path / "new", to)
    assert (20, ("train", "val")) == (report.written.images, report.splits)
    for name in ("train", "val"):
        before, after = data.read(shapes, name), data.read(tmp_path / "new", name)
        told = {s.path.stem: s.truths.boxes.round(3).tolist() for s in before.samples}
        assert told == {s.path.stem: s.truths.boxes.round(3).tolist() for s in after.samples}


def test_convert_says_what_it_wrote(shapes, tmp_path, capfd):
    words = ["data", "convert", str(shapes), "--to", "coco", "--output", str(tmp_path / "c")]
    assert 0 == cli.run([*words, "--link", "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.convert/1", "coco", 20) == tuple(
        document[key] for key in ("schema", "format", "images")
    )
    assert 2 == cli.run(words), "the folder is in use"
    assert 2 == cli.run([*words[:-1], str(shapes / "c")]), "inside the data"
    assert 2 == cli.run([*words[:4], "pascal", *words[5:]])


@pytest.mark.parametrize("verb", ["convert", "split"])
def test_what_the_new_format_cannot_say_is_told_and_refused_if_strict(
    shapes, tmp_path, capfd, verb
):
    one = sorted((shapes / "Annotations").iterdir())[0]
    one.write_text(one.read_text().replace("difficult>0<", "difficult>1<", 1))
    out = tmp_path / "out"
    words = ["data", verb, str(shapes), "--to", "yolo", "--output", str(out), "--json"]
    assert 2 == cli.run([*words, "--strict"])
    assert "yolo cannot say: difficult (1)" in capfd.readouterr().err
    assert not out.exists()
    assert 0 == cli.run(words)
    told = capfd.readouterr()
    assert {"difficult": 1} == json.loads(told.out)["cannot_say"]
    assert "the format cannot say: difficult (1)" in told.err


def state(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file's content and time of change."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_no_verb_of_data_changes_the_data(shapes, tmp_path, monkeypatch):
    (shapes / "JPEGImages/shapes_00003.jpg").write_bytes(b"broken")
    shutil.copy(shapes / "JPEGImages/shapes_00001.jpg", shapes / "JPEGImages/left.jpg")
    before = state(shapes)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for words in (
        ["show", "--image", "shapes_00001"],
        ["grid", "--overwrite"],
        ["browse"],
        ["doctor", "--patch", "patched"],
        ["split"],
        ["convert", "--to", "coco", "--output", "coco"],
    ):
        cli.run(["data", words[0], str(shapes), *words[1:]])
        assert before == state(shapes), words
        inside = str(shapes / "inside")
        cli.run(["data", words[0], str(shapes), *words[1:], "--output", inside])
        cli.run(["data", words[0], str(shapes), *words[1:], "--output", inside + ".html"])
        assert before == state(shapes), words
