"""COCO files as other programs write them: where they are, and what is odd in them."""

import json
from pathlib import Path

import pytest
from PIL import Image

from boxray.data import Conventions, read, splits
from boxray.data.coco_json import box_around, whole_id
from boxray.errors import FormatError
from boxray.inspection import pictures


def document(names, **changes) -> dict:
    """One box for each picture; changes: of every annotation, None takes a key away."""
    images = [
        {"id": i, "file_name": name, "width": 60, "height": 40} for i, name in enumerate(names, 1)
    ]
    plain = {"category_id": 3, "bbox": [10, 5, 20, 30], "iscrowd": 0, "area": 600}
    rows = [{"id": i, "image_id": i, **plain, **changes} for i in range(1, len(names) + 1)]
    rows = [{key: value for key, value in row.items() if value is not None} for row in rows]
    return {"images": images, "annotations": rows, "categories": [{"id": 3, "name": "cat"}]}


def save(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40)).save(path)


@pytest.mark.parametrize(
    ("train", "val", "folder"),
    [
        ("train.json", "val.json", "{}"),
        ("annotations/train.json", "annotations/valid.json", "images"),
        ("annotations/cats_train2017.json", "annotations/cats_val2017.json", "images/{}"),
        ("train/labels.json", "val/labels.json", "{}/images"),
        ("train/annotations.json", "val/annotations.json", "{}"),
    ],
)
def test_files_called_like_splits_are_splits(tmp_path, train, val, folder):
    for split, file in (("train", train), ("val", val)):
        save(tmp_path / file, document([f"{split}.jpg"]))
        picture(tmp_path / folder.format(split) / f"{split}.jpg")
    assert ("train", "val") == splits(tmp_path)
    for split in ("train", "val"):
        (sample,) = read(tmp_path, split).samples
        assert f"{split}.jpg" == sample.path.name
        assert [[10, 5, 30, 35]] == sample.truths.boxes.tolist()


def test_several_files_of_one_split_are_not_guessed_at(tmp_path):
    for name in ("a_train.json", "b_train.json"):
        save(tmp_path / name, document(["x.jpg"]))
    with pytest.raises(FormatError, match="not a data set that boxray knows"):
        read(tmp_path)


def test_pictures_are_found_in_any_folder_beside_the_file(tmp_path):
    save(tmp_path / "labels.json", document(["x.jpg"]))
    picture(tmp_path / "pics/x.jpg")
    assert 1 == len(read(tmp_path).samples)


def test_folders_in_a_name_are_left_out_where_they_are_not_there(tmp_path):
    save(tmp_path / "labels.json", document(["here/x.jpg", "gone/far/y.jpg"]))
    picture(tmp_path / "here/x.jpg")
    picture(tmp_path / "images/y.jpg")
    found = read(tmp_path)
    assert 2 == len(found.samples)
    assert (1, "repaired") == (len(found.report.notes), found.report.notes[0].severity)
    assert "'gone/far/'" in found.report.notes[0].reason


def test_folders_are_not_left_out_where_two_names_end_alike(tmp_path):
    save(tmp_path / "labels.json", document(["one/x.jpg", "two/x.jpg"]))
    picture(tmp_path / "images/x.jpg")
    assert 0 == len(read(tmp_path).samples)


def test_ids_in_a_column_of_floats_are_whole_numbers(tmp_path):
    content = document(["x.jpg"], image_id=1.0, category_id=3.0)
    content["images"][0]["id"] = 1.0
    content["categories"][0]["id"] = 3.0
    save(tmp_path / "labels.json", content)
    picture(tmp_path / "x.jpg")
    found = read(tmp_path)
    assert (1, 1) == (found.report.boxes.kept, found.report.boxes.repaired)
    assert [3, 3.5, "3.0", None] == [whole_id(value) for value in (3.0, 3.5, "3.0", None)]


def test_a_polygon_without_bbox_is_a_box_where_segments_are_taken(tmp_path):
    triangle = [[10, 5, 30, 20, 12, 35]]
    save(tmp_path / "labels.json", document(["x.jpg"], bbox=None, segmentation=triangle))
    picture(tmp_path / "x.jpg")
    lost = read(tmp_path)
    assert "--segments" in lost.report.notes[0].reason
    assert 0 == lost.report.boxes.kept
    found = read(tmp_path, conventions=Conventions(segments=True))
    assert [[10, 5, 30, 35]] == found.samples[0].truths.boxes.tolist()


@pytest.mark.parametrize(
    "polygons",
    [
        None,
        [],
        [[]],
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5, 6, 7]],
        [[1, 2, "3", 4, 5, 6]],
        {"counts": 1},
    ],
)
def test_what_is_no_polygon_has_no_box(polygons):
    assert box_around(polygons) is None


def test_notes_beside_labels_of_yolo_are_no_coco_file(tmp_path):
    picture(tmp_path / "images/x.jpg")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/x.txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "classes.txt").write_text("cat\n")
    save(tmp_path / "notes.json", {"categories": [{"id": 0, "name": "cat"}], "info": {}})
    assert ("cat",) == read(tmp_path).classes


def test_nothing_read_says_what_was_lost_first(tmp_path):
    save(tmp_path / "labels.json", document(["/photos/x.jpg"]))
    picture(tmp_path / "x.jpg")
    with pytest.raises(FormatError, match=r"no images.*Lost first: .*leads out.*with /"):
        pictures.find(read(tmp_path))


def test_the_only_folder_that_is_a_data_set_is_read(tmp_path):
    save(tmp_path / "mine/labels.json", document(["x.jpg"]))
    picture(tmp_path / "mine/x.jpg")
    (tmp_path / "__MACOSX").mkdir()
    assert 1 == len(read(tmp_path).samples)
    save(tmp_path / "more/labels.json", document(["x.jpg"]))  # which of the two is meant?
    with pytest.raises(FormatError, match="not a data set that boxray knows"):
        read(tmp_path)
