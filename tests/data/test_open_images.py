"""Open Images: tables of boxes, lists of classes, human labels, and what others export as such."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.data import Conventions, Dataset, read, splits
from boxray.errors import FormatError
from boxray.records import FLAGS

HEADER = (
    "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,"
    "IsOccluded,IsTruncated,IsGroupOf,IsDepiction,IsInside"
)
TREE, CAT = "/m/07j7r", "/m/01yrx"
A, B, C = "000000000000000a", "000000000000000b", "000000000000000c"


def picture(path: Path, width: int = 200, height: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path)


def row(image: str, label: str, corners: str, flags: str = "0,0,0,0,0") -> str:
    return f"{image},xclick,{label},1,{corners},{flags}"


def write(folder: Path, *rows: str, name: str = "boxes.csv", header: str = HEADER) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text("\n".join([header, *rows]) + "\n", "utf-8")
    return folder


def names(dataset: Dataset, sample: int = 0) -> list[str]:
    return [dataset.classes[label] for label in dataset.samples[sample].truths.labels]


def reasons(dataset: Dataset, severity: str) -> list[str]:
    return [note.reason for note in dataset.report.notes if note.severity == severity]


class TestTheTable:
    def test_columns_are_read_by_name_and_corners_are_shares(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"))
        picture(tmp_path / f"{A}.jpg")
        # 200 x 100: x0 = 0.1 · 200, y0 = 0.2 · 100, x1 = 0.3 · 200, y1 = 0.4 · 100
        boxes = read(tmp_path).samples[0].truths.boxes
        np.testing.assert_allclose([[20, 20, 60, 40]], boxes)
        other = write(tmp_path / "b", f"0.4,0.2,0.3,0.1,{TREE},{A}",
                      header="YMax,YMin,XMax,XMin,LabelName,ImageID")  # fmt: skip
        picture(other / f"{A}.jpg")
        np.testing.assert_allclose(boxes, read(other).samples[0].truths.boxes)

    def test_flags_are_kept_and_minus_1_is_unknown_and_not_set(self, tmp_path):
        corners = "0.1,0.3,0.2,0.4"
        write(tmp_path, row(A, TREE, corners, "1,0,1,0,-1"), row(A, CAT, corners, "0,1,0,1,1"))
        picture(tmp_path / f"{A}.jpg")
        truths = read(tmp_path).samples[0].truths
        flags = {flag: getattr(truths, flag).tolist() for flag in FLAGS}
        assert {
            "difficult": [False, False],
            "crowd": [False, False],
            "group_of": [True, False],
            "occluded": [True, False],
            "truncated": [False, True],
            "depiction": [False, True],
            "inside": [False, True],
        } == flags
        assert [2, 3] == truths.lines.tolist()

    def test_boxes_that_a_machine_is_unsure_of_can_be_left_out(self, tmp_path):
        rows = [
            f"{A},x,{TREE},{c},0.{i},0.9,0.2,0.4,0,0,0,0,0" for i, c in enumerate((1, 0.7, 0.2))
        ]
        write(tmp_path, *rows)
        picture(tmp_path / f"{A}.jpg")
        assert 3 == read(tmp_path).report.boxes.kept
        dataset = read(tmp_path, conventions=Conventions(least_confidence=0.5))
        assert (2, 1) == (dataset.report.boxes.kept, dataset.report.boxes.skipped)
        assert ["its Confidence is below 0.5: left out as asked"] == reasons(dataset, "skipped")

    def test_classes_come_from_their_list_in_its_order_or_by_name(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"))
        picture(tmp_path / f"{A}.jpg")
        assert (TREE,) == read(tmp_path).classes
        (tmp_path / "class-descriptions-boxable.csv").write_text(f"{TREE},Tree\n{CAT},Cat\n")
        assert ("Tree", "Cat") == read(tmp_path).classes
        header = "LabelName,DisplayName\n"
        (tmp_path / "class-descriptions-boxable.csv").write_text(f"{header}{CAT},Cat\n{TREE},Tree")
        assert ("Cat", "Tree") == read(tmp_path).classes

    def test_two_classes_of_one_name_stay_two(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"), row(A, CAT, "0.1,0.3,0.2,0.4"))
        picture(tmp_path / f"{A}.jpg")
        (tmp_path / "classes.csv").write_text(f"{TREE},Bat\n{CAT},Bat\n")
        dataset = read(tmp_path)
        assert ["Bat", f"Bat ({CAT})"] == names(dataset)
        assert ["another class is named 'Bat' too"] == reasons(dataset, "warning")

    def test_a_table_can_be_given_itself(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"))
        write(tmp_path, row(A, TREE, "0.5,0.6,0.2,0.4"), name="others.csv")
        picture(tmp_path / f"{A}.jpg")
        with pytest.raises(FormatError, match="give one of the files"):
            read(tmp_path)
        assert 100 == pytest.approx(read(tmp_path / "others.csv").samples[0].truths.boxes[0, 0])

    def test_a_table_of_results_is_named_as_such(self, tmp_path):
        write(tmp_path, header="ImageID,LabelName,Score,XMin,XMax,YMin,YMax")
        with pytest.raises(FormatError, match=r"file of results.*Give the annotations"):
            read(tmp_path)


class TestTheImages:
    def test_splits_are_told_by_the_names_of_the_tables(self, tmp_path):
        write(tmp_path, row(A, TREE, "0,1,0,1"), name="validation-annotations-bbox.csv")
        write(tmp_path, row(B, TREE, "0,1,0,1"), name="oidv6-train-annotations-bbox.csv")
        picture(tmp_path / "validation" / f"{A}.jpg")
        picture(tmp_path / "train" / f"{B}.jpg")
        picture(tmp_path / "train" / f"{C}.jpg")
        assert ("train", "val") == splits(tmp_path)
        assert [A] == [sample.path.stem for sample in read(tmp_path, "validation").samples]
        train = read(tmp_path, "train").samples
        assert [(B, True), (C, False)] == [(one.path.stem, one.labelled) for one in train]

    def test_without_splits_train_and_val_share_the_images_and_no_box_is_counted_twice(
        self, tmp_path
    ):
        ids = [f"{number:016x}" for number in range(10)]
        write(tmp_path, *(row(image, TREE, "0.1,0.3,0.2,0.4") for image in ids))
        for image in ids:
            picture(tmp_path / "images" / f"{image}.jpg")
        parts = [read(tmp_path, split) for split in ("train", "val")]
        assert [8, 2] == [len(part) for part in parts]
        assert [8, 2] == [part.report.boxes.read for part in parts]
        stems = {sample.path.stem for part in parts for sample in part.samples}
        assert set(ids) == stems

    def test_what_a_person_looked_for_is_known_per_image(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"), name="test-annotations-bbox.csv")
        labels = [f"{A},verification,{TREE},1", f"{A},verification,{CAT},0",
                  f"{B},verification,{CAT},0", f"{C},verification,{CAT},1",
                  f"{C},machine,{TREE},0.7"]  # fmt: skip
        write(tmp_path, *labels, header="ImageID,Source,LabelName,Confidence",
              name="test-annotations-human-imagelabels-boxable.csv")  # fmt: skip
        (tmp_path / "class-descriptions.csv").write_text(f"{TREE},Tree\n{CAT},Cat\n")
        for image in (A, B, C):
            picture(tmp_path / "test" / f"{image}.jpg")
        one, two, three = read(tmp_path).samples
        assert ({0}, {1}) == (one.verified_present, one.verified_absent)
        # a cat was looked for in vain, so its image is a negative; one with a cat that has no box
        # is not labelled
        assert (True, {1}) == (two.labelled, two.verified_absent)
        assert (False, {1}) == (three.labelled, three.verified_present)

    def test_images_without_a_picture_are_one_note_with_their_boxes(self, tmp_path):
        write(tmp_path, *(row(image, TREE, "0.1,0.3,0.2,0.4") for image in (A, B, B, C)))
        picture(tmp_path / f"{A}.jpg")
        report = read(tmp_path).report
        assert (3, 1, 2) == (report.images.read, report.images.kept, report.images.skipped)
        assert (4, 1, 3) == (report.boxes.read, report.boxes.kept, report.boxes.skipped)
        (note,) = report.notes
        assert f"no picture for 2 images, like {B}: their 3 boxes" in note.reason
        assert 3 == note.line


class TestOtherExports:
    def test_an_id_may_be_the_name_of_a_picture_that_is_there(self, tmp_path):
        corners = "0.1,0.3,0.2,0.4"
        write(tmp_path, row("my photo", TREE, corners), row("no photo", TREE, corners))
        picture(tmp_path / "my photo.jpg")
        dataset = read(tmp_path)
        assert 1 == dataset.report.boxes.kept
        (reason,) = reasons(dataset, "skipped")
        assert "not 16 hexadecimal digits, nor the name of a picture here" in reason

    EMPTY = ",,,,"

    def write(self, folder: Path, *rows: str) -> Dataset:
        write(folder, *rows)
        for name in ("a.jpg", "b.jpg"):
            picture(folder / name)
        return read(folder)

    def test_a_whole_column_in_another_style_is_accepted_with_a_warning(self, tmp_path):
        corners = '"0,1","0,3","0,2",1'
        dataset = self.write(
            tmp_path,
            f"a.jpg,,tree,,{corners},{self.EMPTY}",
            f"b.jpg,,cat,,{corners},{self.EMPTY}",
        )
        assert ("cat", "tree") == dataset.classes
        np.testing.assert_allclose([[20, 20, 60, 100]], dataset.samples[0].truths.boxes)
        words = " ".join(reasons(dataset, "warning"))
        assert all(w in words for w in ("file names", "display names", "decimal commas", "empty"))
        assert 2 == dataset.report.boxes.kept

    @pytest.mark.parametrize(
        "odd",
        [
            'a.jpg,,tree,,0.1,0.3,0.2,0.4,,,,,',
            'a.jpg,,/m/07j7r,,"0,1","0,3","0,2",1,,,,,',
            'a,,tree,,"0,1","0,3","0,2",1,,,,,',
            '../a.jpg,,tree,,"0,1","0,3","0,2",1,,,,,',
        ],
    )  # fmt: skip
    def test_a_single_row_that_differs_is_skipped_and_counted(self, tmp_path, odd):
        usual = f'b.jpg,,cat,,"0,1","0,3","0,2",1,{self.EMPTY}'
        other = usual.replace('"0,1"', '"0,15"')
        dataset = self.write(tmp_path, usual, other, odd)
        boxes = dataset.report.boxes
        assert (3, 2, 1) == (boxes.read, boxes.kept, boxes.skipped + boxes.refused)
        assert boxes.adds_up

    def test_an_empty_flag_among_others_is_no_flag(self, tmp_path):
        write(tmp_path, row(A, TREE, "0.1,0.3,0.2,0.4"), row(A, CAT, "0.1,0.3,0.2,0.4"),
              row(A, CAT, "0.5,0.6,0.2,0.4", ",0,0,0,0"))  # fmt: skip
        picture(tmp_path / f"{A}.jpg")
        dataset = read(tmp_path)
        assert 2 == dataset.report.boxes.kept
        assert ["IsOccluded is '', expected 1, 0, or -1 for unknown"] == reasons(dataset, "skipped")


class TestRealData:
    def test_the_photo_of_the_course_has_its_24_boxes(self, shared):
        dataset = read(shared / "data" / "open_images")
        counts = Counter(names(dataset))
        assert {
            "Land vehicle": 10,
            "Person": 5,
            "Tree": 5,
            "Traffic sign": 2,
            "Umbrella": 2,
        } == counts
        assert not dataset.report.notes
        assert 601 == len(dataset.classes)
        assert {"Vehicle"} <= dataset.hierarchy.ancestors("Land vehicle")

    def test_a_third_partys_export_gives_the_boxes_of_the_coco_file(self, shared):
        folder = shared / "data" / "formats"
        dataset = read(folder / "open_images")
        coco = {sample.path.name: sample.truths for sample in read(folder / "coco").samples}
        assert 100 == len(dataset) == len(coco)
        for sample in dataset.samples:
            ours, theirs = (
                truths.boxes[np.lexsort(truths.boxes.round(3).T)]
                for truths in (sample.truths, coco[sample.path.name])
            )
            # the table has ten decimals of a share: 500 px · 5e-11 = 2.5e-8 px
            np.testing.assert_allclose(ours, theirs, atol=3e-8)
