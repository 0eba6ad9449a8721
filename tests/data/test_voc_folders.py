"""Where people keep their VOC files: other names for its folders, or a folder for each split."""

import shutil
from pathlib import Path

import pytest

from boxray.data import read, splits, synthetic
from boxray.data.split_lists import POINTER
from boxray.data.voc_folders import recognise
from boxray.errors import FormatError


@pytest.fixture
def shapes(tmp_path) -> Path:
    """Ten pictures in VOC's own folders, without lists."""
    folder = synthetic.make(tmp_path / "shapes", images=10, seed=3)
    shutil.rmtree(folder / "ImageSets")
    return folder


def move(shapes: Path, stems: str, pictures: Path, annotations: Path) -> None:
    for folder in (pictures, annotations):
        folder.mkdir(parents=True, exist_ok=True)
    for stem in stems:
        name = f"shapes_0000{stem}"
        (shapes / f"JPEGImages/{name}.jpg").rename(pictures / f"{name}.jpg")
        (shapes / f"Annotations/{name}.xml").rename(annotations / f"{name}.xml")


@pytest.mark.parametrize(
    ("pictures", "annotations"),
    [
        ("images", "annotations"),
        ("images", "annotations/xmls"),
        ("Images", "xml"),
        (".", "annotations"),
        (".", "."),
    ],
)
def test_other_names_for_its_folders_are_known(shapes, tmp_path, pictures, annotations):
    expected = read(shapes)
    mine = tmp_path / "mine"
    move(shapes, "0123456789", mine / pictures, mine / annotations)
    found = read(mine)
    assert 10 == len(found.samples)
    assert not found.report.notes
    for one, other in zip(expected.samples, found.samples, strict=True):
        assert one.path.name == other.path.name
        assert one.truths.boxes.tolist() == other.truths.boxes.tolist()


@pytest.mark.parametrize("inside", ["flat", "own"])
def test_a_folder_for_each_split_is_one_data_set(shapes, tmp_path, inside):
    mine = tmp_path / "mine"
    whole = read(shapes)
    for split, stems in (("train", "012345"), ("valid", "67"), ("test", "89")):
        pictures, annotations = ("JPEGImages", "Annotations") if inside == "own" else (".", ".")
        move(shapes, stems, mine / split / pictures, mine / split / annotations)
    assert ("train", "val", "test") == splits(mine)
    counts = [len(read(mine, split).samples) for split in ("train", "val", "test", None)]
    assert [6, 2, 2, 10] == counts
    assert 8 == len(read(mine, "trainval").samples)
    names = {read(mine, split).classes for split in ("train", "val", "test", None)}
    assert {whole.classes} == names  # whatever the classes of a split alone


def test_train_alone_is_divided(shapes, tmp_path):
    mine = tmp_path / "mine"
    move(shapes, "0123456789", mine / "train", mine / "train")
    assert ("train", "val") == splits(mine)
    train, val = (read(mine, split) for split in ("train", "val"))
    assert (8, 2) == (len(train.samples), len(val.samples))
    assert not {s.path for s in train.samples} & {s.path for s in val.samples}


def test_lists_divide_it_in_place_of_its_folders(shapes, tmp_path):
    mine, lists = tmp_path / "mine", tmp_path / "lists"
    move(shapes, "01234567", mine / "train", mine / "train")
    move(shapes, "89", mine / "test", mine / "test")
    lists.mkdir()
    (lists / POINTER).write_text('{"data": "../mine"}')
    (lists / "train.txt").write_text("train/shapes_00000.jpg\ntest/shapes_00008.jpg\n")
    (lists / "val.txt").write_text("train/shapes_00001.jpg\n")
    found = [sample.path.stem for sample in read(lists, "train").samples]
    assert ["shapes_00000", "shapes_00008"] == sorted(found)


def test_pictures_beside_the_folders_of_a_data_set_are_none_of_it(shapes):
    shutil.copy(next((shapes / "JPEGImages").iterdir()), shapes / "cover.jpg")
    assert 10 == len(read(shapes).samples)


def test_folders_that_are_no_splits_are_given_one_by_one(shapes, tmp_path):
    shutil.copytree(shapes, tmp_path / "both/VOC2007")
    shutil.copytree(shapes, tmp_path / "both/VOC2012")
    with pytest.raises(FormatError, match="holds several VOC data sets"):
        recognise(tmp_path / "both")


@pytest.mark.parametrize("flat", [True, False])
def test_a_single_file_is_a_data_set_of_one_picture(shapes, tmp_path, flat):
    expected = next(one for one in read(shapes).samples if one.path.stem == "shapes_00004")
    folder = shapes / "Annotations"
    if flat:
        folder = tmp_path / "flat"
        move(shapes, "0123456789", folder, folder)
    (found,) = read(folder / "shapes_00004.xml").samples
    assert expected.path.name == found.path.name
    assert expected.truths.boxes.tolist() == found.truths.boxes.tolist()


def test_a_single_file_without_its_picture_says_so(shapes):
    (shapes / "JPEGImages/shapes_00004.jpg").unlink()
    found = read(shapes / "Annotations/shapes_00004.xml")
    assert () == tuple(found.samples)
    assert "there is no picture 'shapes_00004'" in str(found.report.notes)
