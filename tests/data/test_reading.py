"""Reading data sets: formats, splits, frames, classes and the account of it all."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from boxray.data import ClassMap, Conventions, merge, read, read_class_file, splits
from boxray.data.report import Cause
from boxray.data.synthetic import make
from boxray.errors import FormatError

VOC_CLASSES = 20
VOC_FILE = Path(__file__).parents[2] / "benchmarks" / "voc_classes.txt"


def voc_xml(size_wh=(100, 80), objects=()) -> str:
    rows = "".join(
        f"<object><name>{name}</name><difficult>0</difficult><bndbox><xmin>{x0}</xmin>"
        f"<ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, (x0, y0, x1, y1) in objects
    )
    width, height = size_wh
    size = f"<size><width>{width}</width><height>{height}</height></size>"
    return f"<annotation>{size}{rows}</annotation>"


def picture(path: Path, size_wh=(100, 80), orientation: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", size_wh).save(path, exif=exif)


def devkit(root: Path, lists: dict[str, str], stems: str) -> Path:
    for folder in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (root / folder).mkdir(parents=True)
    for stem in stems:
        (root / f"Annotations/{stem}.xml").write_text(voc_xml(objects=[("cat", (1, 1, 9, 9))]))
        picture(root / f"JPEGImages/{stem}.jpg")
    for name, content in lists.items():
        (root / f"ImageSets/Main/{name}.txt").write_text("\n".join(content) + "\n")
    return root


def stems_of(dataset) -> str:
    return "".join(sample.path.stem for sample in dataset.samples)


def test_voc_counts_pixels_from_one_and_includes_the_last(tmp_path):
    (tmp_path / "a.xml").write_text(voc_xml(objects=[("cat", (11, 21, 30, 40))]))
    picture(tmp_path / "a.jpg")
    # xmin 11 is the eleventh pixel, whose left edge is at 10; xmax 30 ends at edge 30
    assert [[10, 20, 30, 40]] == read(tmp_path).samples[0].truths.boxes.tolist()
    assert [[11, 21, 30, 40]] == read(tmp_path, conventions=Conventions(zero_based=True)).samples[
        0
    ].truths.boxes.tolist()


def test_trainval_is_a_union_and_no_split_of_its_own(tmp_path):
    root = devkit(
        tmp_path / "v", {"train": "ab", "val": "c", "trainval": "abc", "test": "d"}, "abcd"
    )
    assert ("train", "val", "test") == splits(root)
    assert "abc" == stems_of(read(root, "trainval"))
    assert "abcd" == stems_of(read(root))


def test_trainval_without_its_parts_is_divided(tmp_path):
    root = devkit(tmp_path / "v", {"trainval": "abcde", "test": "f"}, "abcdef")
    assert ("train", "val", "test") == splits(root)
    train, val = read(root, "train"), read(root, "val")
    assert (4, 1) == (len(train), len(val))
    assert "abcde" == "".join(sorted(stems_of(train) + stems_of(val)))
    assert any("has no splits" in note.reason for note in train.report.notes)


def test_lists_per_class_are_no_splits(tmp_path):
    root = devkit(tmp_path / "v", {"train": "a", "val": "b"}, "ab")
    (root / "ImageSets/Main/cat_train.txt").write_text("a  1\n")
    (root / "ImageSets/Main/night_train.txt").write_text("a\n")
    assert ("train", "val", "night_train") == splits(root)


def test_a_folder_that_holds_a_devkit_is_read_like_the_devkit(tmp_path):
    devkit(tmp_path / "VOCdevkit" / "VOC2007", {"train": "a", "val": "b"}, "ab")
    assert "a" == stems_of(read(tmp_path, "train"))


def test_a_split_that_does_not_exist_is_answered_with_those_that_do(tmp_path):
    root = devkit(tmp_path / "v", {"train": "a", "val": "b"}, "ab")
    with pytest.raises(FormatError, match=r"no split 'test'. It has: train, val"):
        read(root, "test")


def test_a_folder_of_something_else_is_refused_with_what_was_expected(tmp_path):
    with pytest.raises(FormatError, match=r"Annotations/\*\.xml"):
        read(tmp_path)
    with pytest.raises(FormatError, match="no such file or folder"):
        read(tmp_path / "absent")


def test_all_splits_have_the_same_classes_though_their_images_do_not(tmp_path):
    root = devkit(tmp_path / "v", {"train": "a", "val": "b"}, "ab")
    (root / "Annotations/b.xml").write_text(voc_xml(objects=[("ant", (1, 1, 9, 9))]))
    assert ("ant", "cat") == read(root, "train").classes == read(root, "val").classes
    assert [1] == read(root, "train").samples[0].truths.labels.tolist()


def test_an_image_without_annotation_is_unlabelled_and_not_negative(tmp_path):
    root = devkit(tmp_path / "v", {"train": "abc", "val": "d"}, "abd")
    picture(root / "JPEGImages/c.jpg")
    (root / "Annotations/b.xml").write_text(voc_xml())
    assert [True, True, False] == [sample.labelled for sample in read(root, "train").samples]


def test_pictures_beside_the_annotations_are_taken_and_those_of_a_neighbour_only_if_named(
    tmp_path, monkeypatch
):
    (tmp_path / "voc").mkdir()
    (tmp_path / "voc" / "a.xml").write_text(voc_xml())
    for file in ("images/a.jpg", "images/other.jpg", "voc/b.jpg"):
        picture(tmp_path / file)
    monkeypatch.chdir(tmp_path / "images")
    assert "ab" == stems_of(read("../voc"))


def test_an_image_that_is_missing_is_skipped_and_counted(tmp_path):
    root = devkit(tmp_path / "v", {"train": ["a", "gone", "../../a"], "val": "b"}, "ab")
    report = read(root, "train").report
    assert (3, 1, 1, 1) == (
        report.images.read,
        report.images.kept,
        report.images.skipped,
        report.images.refused,
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_drawn_on_the_stored_picture_are_turned_with_it(tmp_path, orientation):
    # A white block at columns 10..29 and rows 20..69 of a picture stored 100 wide and 80 high.
    stored = np.zeros((80, 100, 3), np.uint8)
    stored[20:70, 10:30] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    (tmp_path / "a.xml").write_text(voc_xml((100, 80), [("block", (11, 21, 30, 70))]))
    sample = read(tmp_path).samples[0]
    if orientation in (2, 3, 4):  # the size does not tell the frames apart: displayed is meant
        assert [[10, 20, 30, 70]] == sample.truths.boxes.tolist()
        return

    displayed = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a.png")))[..., 0]
    rows, columns = np.nonzero(displayed)
    assert displayed.shape == sample.size_hw
    assert [
        [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    ] == sample.truths.boxes.tolist()


def coco(root: Path, name: str, count: int = 5, offset: int = 0) -> None:
    numbers = [offset + number for number in range(count)]
    for number in numbers:
        picture(root / f"images/{number}.jpg")
    document = {
        "images": [{"id": n, "file_name": f"{n}.jpg", "width": 100, "height": 80} for n in numbers],
        "annotations": [
            {
                "id": n + 1,
                "image_id": n,
                "category_id": 7,
                "bbox": [1.5, 2, 10, 20],
                "area": 150,
                "iscrowd": n % 2,
            }
            for n in numbers
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 7, "name": "cat"}],
    }
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def test_coco_boxes_areas_crowds_and_category_order(tmp_path):
    coco(tmp_path, "annotations/instances_train2017.json", 2)
    dataset = read(tmp_path)
    assert ("cat", "dog") == dataset.classes  # ids 7 and 9
    crowd = dataset.samples[1].truths
    assert [[1.5, 2, 11.5, 22]] == crowd.boxes.tolist()
    assert ([150], [True], [0], [2]) == (
        crowd.area.tolist(),
        crowd.crowd.tolist(),
        crowd.labels.tolist(),
        crowd.lines.tolist(),
    )


def test_coco_splits_are_its_files_and_years_may_be_left_out(tmp_path):
    coco(tmp_path, "annotations/instances_train2017.json", 3)
    coco(tmp_path, "annotations/instances_val2017.json", 2, offset=3)
    assert ("train", "val") == splits(tmp_path)
    assert "34" == stems_of(read(tmp_path, "val")) == stems_of(read(tmp_path, "val2017"))
    assert "01234" == stems_of(read(tmp_path)) == stems_of(read(tmp_path, "trainval"))


def test_a_path_straight_to_a_coco_file_is_a_data_set(tmp_path):
    coco(tmp_path, "annotations/labels.json", 10)
    file = tmp_path / "annotations" / "labels.json"
    assert ("train", "val") == splits(file)
    train, val = read(file, "train"), read(file, "val")
    assert (8, 2) == (len(train), len(val))
    assert train.report.boxes.adds_up
    assert (8, 8) == (train.report.boxes.read, train.report.boxes.kept)


def test_a_roboflow_folder_has_its_splits_as_folders(tmp_path):
    for split in ("train", "valid"):
        coco(tmp_path / split, "_annotations.coco.json", 2)
        for file in (tmp_path / split / "images").iterdir():
            file.rename(tmp_path / split / file.name)
    assert ("train", "val") == splits(tmp_path)
    assert tmp_path / "valid" / "0.jpg" == read(tmp_path, "val").samples[0].path


def test_boxes_of_classes_that_are_not_wanted_are_left_out_and_counted_by_name(tmp_path):
    (tmp_path / "a.xml").write_text(
        voc_xml(objects=[("cat", (1, 1, 9, 9)), ("dog", (1, 1, 9, 9)), ("Cat", (5, 5, 9, 9))])
    )
    picture(tmp_path / "a.jpg")
    dataset = read(tmp_path, classes=ClassMap(("bird", "cat")))
    assert [1, 1] == dataset.samples[0].truths.labels.tolist()
    assert {"dog": 1} == dataset.report.unmatched_classes
    assert (3, 2, 1) == (
        dataset.report.boxes.read,
        dataset.report.boxes.kept,
        dataset.report.boxes.unmatched,
    )


def test_merging_takes_the_union_of_the_classes_and_adds_the_accounts(tmp_path):
    coco(tmp_path / "one", "instances_train.json", 2)
    make(tmp_path / "two", images=3, seed=0, classes=("dog", "bird"))
    one, two = read(tmp_path / "one"), read(tmp_path / "two")
    both = merge([one, two])
    assert ("cat", "dog", "bird") == both.classes
    assert 5 == len(both) == both.report.images.kept
    for before, after in zip([*one.samples, *two.samples], both.samples, strict=True):
        names = one.classes if before in one.samples else two.classes
        assert [names[i] for i in before.truths.labels] == [
            both.classes[i] for i in after.truths.labels
        ]


def test_the_fingerprint_is_the_same_elsewhere_and_another_when_a_box_moves(tmp_path):
    here, there = (make(tmp_path / name, images=4, seed=3) for name in ("here", "there"))
    assert read(here).fingerprint() == read(there).fingerprint()
    annotation = next((there / "Annotations").iterdir())
    text = annotation.read_text()
    start = text.index("<xmax>") + len("<xmax>")
    end = text.index("<", start)
    annotation.write_text(text[:start] + str(int(text[start:end]) - 1) + text[end:])
    assert read(here).fingerprint() != read(there).fingerprint()


def test_the_fingerprint_is_another_when_a_flag_or_a_picture_changes(tmp_path):
    folder = make(tmp_path / "data", images=2, seed=3)
    found = {read(folder).fingerprint()}
    annotation = next((folder / "Annotations").iterdir())
    text = annotation.read_text()
    assert "<difficult>0" in text
    annotation.write_text(text.replace("<difficult>0", "<difficult>1", 1))
    found.add(read(folder).fingerprint())
    with next((folder / "JPEGImages").iterdir()).open("ab") as file:
        file.write(b"\0")
    found.add(read(folder).fingerprint())
    assert 3 == len(found)


def read_apart(arguments: str) -> dict:
    """What a reading in a process of its own gives, without the checks of every shape."""
    program = f"""
import json, time
from boxray.data import read, read_class_file
start = time.process_time()
dataset = read({arguments})
report = dataset.report
print(json.dumps(dict(
    cpu_s=time.process_time() - start, images=len(dataset), classes=dataset.classes,
    skipped=report.images.skipped + report.boxes.skipped, adds_up=report.boxes.adds_up,
    used=sorted({{dataset.classes[i] for s in dataset.samples for i in s.truths.labels}}),
    unmatched=report.unmatched_classes)))
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    return json.loads(run.stdout)


@pytest.mark.parametrize("split, images", [("train", 4063), ("val", 436)])
def test_voc07_is_read_whole_and_quickly(shared, split, images):
    seen = read_apart(f"{str(shared / 'data' / 'voc07')!r}, {split!r}")
    assert (images, VOC_CLASSES, 0) == (seen["images"], len(seen["classes"]), seen["skipped"])
    assert seen["cpu_s"] < 6  # 1.5 to 2.6 s alone; more beside other work


@pytest.mark.parametrize("split, images", [("train", 2372), ("val", 245)])
def test_coco_is_read_with_the_twenty_classes_of_voc(shared, split, images):
    folder = str(shared / "data" / "coco_val2017_subset")
    seen = read_apart(f"{folder!r}, {split!r}, classes=read_class_file({str(VOC_FILE)!r})")
    assert (images, True) == (seen["images"], seen["adds_up"])
    assert list(read_class_file(VOC_FILE).names) == seen["classes"] == seen["used"]
    assert not {"airplane", "tv", "couch"} & set(seen["unmatched"])


@pytest.mark.parametrize("split, images", [("train", 205), ("val", 87), ("test", 72)])
def test_bccd_is_read_whole(shared, split, images):
    dataset = read(shared / "data" / "bccd", split)
    assert (images, ("Platelets", "RBC", "WBC")) == (len(dataset), dataset.classes)


# How far an edge may be from that of the COCO file, in pixels, and why.
VOC_SHIFT = (1, 1, 0, 0)  # that file was made from xmin, ymin as they stand: one more than edges
SAME_PHOTOS = {
    "voc": 1e-9,  # whole pixels in both: only x + width rounds, in the last of 16 digits
    # six decimals of centre and size, up to half of the last one off each: an edge is off by
    # 0.5e-6 + 0.25e-6 of a side, and no side is longer than 500 pixels
    "yolo": 0.75e-6 * 500,
    "open_images": 0.5e-10 * 500,  # ten decimals of each edge
}


@pytest.mark.parametrize("name, tolerance", list(SAME_PHOTOS.items()), ids=list(SAME_PHOTOS))
def test_the_same_photos_hold_the_same_boxes_in_every_format(shared, name, tolerance):
    folder = shared / "data" / "formats"
    expected, other = read(folder / "coco"), read(folder / name)
    wanted = {s.path.name: boxes_by_name(expected, s) for s in expected.samples}
    assert wanted.keys() == {s.path.name for s in other.samples}
    for sample in other.samples:
        shift = np.array(VOC_SHIFT if name == "voc" else (0, 0, 0, 0))
        for label, boxes in boxes_by_name(other, sample).items():
            # in the order of their left edges; of two boxes it is never the same to the tolerance
            mine = np.array(sorted((boxes + shift).tolist()))
            theirs = np.array(sorted(wanted[sample.path.name][label].tolist()))
            np.testing.assert_allclose(theirs, mine, rtol=0, atol=tolerance)
        assert len(sample.truths) == sum(map(len, wanted[sample.path.name].values()))


def boxes_by_name(dataset, sample) -> dict[str, np.ndarray]:
    labels = sample.truths.labels
    return {dataset.classes[i]: sample.truths.boxes[labels == i] for i in set(labels.tolist())}


def test_every_note_says_of_which_kind_the_fault_is_and_shows_the_box(tmp_path):
    boxes = [(30, 5, 10, 50), (200, 5, 210, 9), (50, 60, 101, 80), (5, 5, 9, 9), (5, 5, 9, 9)]
    (tmp_path / "a.xml").write_text(voc_xml(objects=[("cat", box) for box in boxes]))
    picture(tmp_path / "a.jpg")
    (tmp_path / "b.xml").write_text(voc_xml())
    (tmp_path / "c.xml").write_text(voc_xml())
    picture(tmp_path / "c.jpg", (30, 30))
    notes = {(note.path.name, note.line): note for note in read(tmp_path).report.notes}
    causes = {place: note.cause for place, note in notes.items()}
    assert {
        ("a.xml", 1): Cause.SWAPPED,
        ("a.xml", 2): Cause.OUTSIDE,
        ("a.xml", 3): Cause.CLIPPED,
        ("a.xml", 5): Cause.REPEATED,
        ("b.xml", 0): Cause.NO_PICTURE,
        ("c.xml", 0): Cause.OTHER_SIZE,
    } == causes
    assert (29, 4, 10, 50) == notes["a.xml", 1].box  # edges: xmin - 1, ymin - 1
    assert tmp_path / "a.jpg" == notes["a.xml", 1].picture
