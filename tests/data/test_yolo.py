"""YOLO data sets as people have them: Darknet's files, data.yaml, lists, and folders alone."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.data import read, splits
from boxray.errors import FormatError

LABEL = "1 0.5 0.5 0.2 0.25\n"  # of a picture of 100 x 80: 40 to 60 across, 30 to 50 down


def put(root: Path, *pictures: str, label: str | None = LABEL, beside: bool = False) -> None:
    """Pictures of 100 x 80, each with a label file, in `labels` or beside it."""
    for name in pictures:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80)).save(path)
        if label is not None:
            text = path if beside else root / "/labels/".join(f"/{name}".rsplit("/images/", 1))[1:]
            text = text.with_suffix(".txt")
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(label)


def stems(dataset) -> list[str]:
    return sorted(sample.path.stem for sample in dataset.samples)


def test_a_box_is_centre_and_size_in_shares_of_the_picture(tmp_path):
    put(tmp_path, "images/a.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    dataset = read(tmp_path)
    np.testing.assert_allclose([[40, 30, 60, 50]], dataset.samples[0].truths.boxes)
    assert ("cat", "dog") == dataset.classes
    assert [1] == dataset.samples[0].truths.labels.tolist()


def test_darknet_names_lists_of_another_machine(tmp_path):
    put(tmp_path, "obj_train_data/a.jpg", "obj_train_data/b.jpg", "more/c.jpg", beside=True)
    (tmp_path / "obj.names").write_text("cat\ndog\n")
    (tmp_path / "train.txt").write_text("data/obj_train_data/a.jpg\nC:\\x\\obj_train_data\\b.jpg\n")
    (tmp_path / "valid.txt").write_text("/another/machine/more/c.jpg\n")
    lines = "classes = 2\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n"
    (tmp_path / "obj.data").write_text(lines + "backup = backup/\n")
    assert ("train", "val") == splits(tmp_path)
    assert (["a", "b"], ["c"]) == (stems(read(tmp_path, "train")), stems(read(tmp_path, "val")))
    assert 3 == read(tmp_path / "obj.data").report.boxes.kept


def test_a_list_never_leads_out_of_the_data(tmp_path):
    put(tmp_path, "secret.jpg", "data/a.jpg", beside=True)
    (tmp_path / "data/obj.names").write_text("cat\ndog\n")
    (tmp_path / "data/train.txt").write_text("a.jpg\n../secret.jpg/../../secret.jpg\n")
    (tmp_path / "data/obj.data").write_text("train = train.txt\nnames = obj.names\n")
    report = read(tmp_path / "data").report
    assert (2, 1, 1) == (report.images.read, report.images.kept, report.images.skipped)


def test_roboflow_names_folders_above_its_own(tmp_path):
    put(tmp_path, "train/images/a.jpg", "valid/images/b.jpg", "test/images/c.jpg")
    paths = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (tmp_path / "data.yaml").write_text(f"{paths}nc: 2\nnames: ['cat', 'dog']\nroboflow:\n  x: 1\n")
    assert ("train", "val", "test") == splits(tmp_path)
    assert ["b"] == stems(read(tmp_path, "val"))
    assert ["a", "b"] == stems(read(tmp_path, "trainval"))


def test_folders_alone_have_splits_and_a_list_of_classes(tmp_path):
    put(tmp_path, "images/train/a.jpg", "images/train/deep/b.jpg", "images/val/c.jpg")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert ("train", "val") == splits(tmp_path)
    assert ["a", "b"] == stems(read(tmp_path, "train"))
    assert ("cat", "dog") == read(tmp_path).classes


def test_without_a_list_classes_are_called_by_their_numbers(tmp_path):
    put(tmp_path, "a.jpg", "b.jpg", beside=True)
    assert ("0", "1") == read(tmp_path).classes
    assert ("train", "val") == splits(tmp_path)


def test_names_may_be_numbered_and_a_split_may_be_several_folders_or_a_list(tmp_path):
    put(tmp_path, "images/one/a.jpg", "images/two/b.jpg", "images/three/c.jpg")
    (tmp_path / "held_out.txt").write_text("./images/three/c.jpg\n")
    text = "train: [images/one, images/two]\nval: held_out.txt\nnames:\n  0: cat\n  1: dog\n"
    (tmp_path / "data.yaml").write_text(text)
    assert (["a", "b"], ["c"]) == (stems(read(tmp_path, "train")), stems(read(tmp_path, "val")))
    assert 1 == read(tmp_path, "val").report.boxes.kept


@pytest.mark.parametrize("elsewhere", ["/content/somewhere", "~no_one/photos", "a" * 300])
def test_a_path_of_another_machine_is_told_and_the_files_own_folder_used(tmp_path, elsewhere):
    put(tmp_path, "images/train/a.jpg", "images/val/b.jpg")
    text = f"path: {elsewhere}\ntrain: images/train\nval: images/val\nnames: [cat, dog]\n"
    (tmp_path / "data.yaml").write_text(text)
    dataset = read(tmp_path, "train")
    assert ["a"] == stems(dataset)
    assert any(f"no folder {elsewhere[:80]}" in note.reason for note in dataset.report.notes)


def test_a_label_file_without_a_picture_is_counted(tmp_path):
    put(tmp_path, "images/a.jpg", "images/b.jpg")
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\n")
    (tmp_path / "images/b.jpg").unlink()
    report = read(tmp_path).report
    assert (2, 1, 1) == (report.images.read, report.images.kept, report.images.skipped)


def test_a_part_to_learn_from_alone_is_divided(tmp_path):
    put(tmp_path, *(f"images/{number}.jpg" for number in range(10)))
    (tmp_path / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    assert ("train", "val") == splits(tmp_path)
    assert (8, 2) == (len(read(tmp_path, "train")), len(read(tmp_path, "val")))


@pytest.mark.parametrize(
    "text, words",
    [
        ("name: [cat]\n", "There is `name`: is `names` meant"),
        ("names: [cat]\nnc: 2\n", "nc is 2, but `names` lists 1"),
        ("names: [cat, 7]\n", "quote it"),
        ("names: cat\n", "expected a list"),
        ("names: [cat]\npath: data.yaml\n", "is the file data.yaml"),
    ],
)
def test_a_data_yaml_that_is_none_says_what_is_missing(tmp_path, text, words):
    put(tmp_path, "images/a.jpg")
    (tmp_path / "data.yaml").write_text(text)
    with pytest.raises(FormatError, match=words):
        read(tmp_path)


def test_a_folder_of_other_texts_is_no_data_set(tmp_path):
    (tmp_path / "letter.txt").write_text("Dear Sir\n")
    Image.new("RGB", (9, 9)).save(tmp_path / "a.jpg")
    with pytest.raises(FormatError, match="not a data set that boxray knows"):
        read(tmp_path)


def test_of_several_lists_of_classes_none_is_guessed(tmp_path):
    put(tmp_path, "images/a.jpg")
    for name in ("one.yaml", "two.yaml"):
        (tmp_path / name).write_text(f"names: [cat, {name[:3]}]\n")
    with pytest.raises(FormatError, match=r"one\.yaml, two\.yaml: give one as DATA"):
        read(tmp_path)
    assert ("cat", "one") == read(tmp_path / "one.yaml").classes


def test_data_in_a_folder_of_its_own_is_found(tmp_path):
    put(tmp_path / "unpacked/photos", "images/a.jpg")
    (tmp_path / "unpacked/photos/data.yaml").write_text("names: [cat, dog]\n")
    (tmp_path / "unpacked/__MACOSX").mkdir()
    found = read(tmp_path / "unpacked")
    assert (["a"], ("cat", "dog")) == (stems(found), found.classes)


def test_pictures_without_any_file_of_labels_are_told(tmp_path):
    put(tmp_path, "images/a.jpg", "images/b.jpg", label=None)
    (tmp_path / "data.yaml").write_text("names: [cat, dog]\ntrain: images\n")
    report = read(tmp_path).report
    (note,) = report.notes
    assert "none of 2 pictures has its file of labels: a.txt beside" in note.reason
    assert note.reason in report.first_loss()
