"""The doctor finds what was planted, in the right file and line, and nothing in clean data."""

import json
import shutil
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from boxray import data
from boxray.data import synthetic
from boxray.errors import SettingError
from boxray.inspection import doctor, doctor_page

IMAGES = 10
TRAIN, VAL = "shapes_00001", "shapes_00004"  # one picture of each split


@pytest.fixture(scope="module")
def clean(tmp_path_factory) -> Path:
    return synthetic.make(tmp_path_factory.mktemp("clean") / "shapes", images=IMAGES, seed=6)


@pytest.fixture
def root(clean, tmp_path) -> Path:
    """A copy of the clean set, to plant faults in."""
    return Path(shutil.copytree(clean, tmp_path / "shapes"))


def xml(root: Path, stem: str = TRAIN) -> Path:
    return root / "Annotations" / f"{stem}.xml"


def jpg(root: Path, stem: str = TRAIN) -> Path:
    return root / "JPEGImages" / f"{stem}.jpg"


def add_object(root: Path, box, name: str = "circle", stem: str = TRAIN, times: int = 1) -> int:
    """Append an object with these corners as VOC writes them; its position in the file."""
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    sides = "".join(f"<{side}>{value}</{side}>" for side, value in corners)
    text = xml(root, stem).read_text()
    row = f"<object><name>{name}</name><difficult>0</difficult><bndbox>{sides}</bndbox></object>"
    xml(root, stem).write_text(text.replace("</annotation>", row * times + "</annotation>"))
    return text.count("<object>") + times


def edges(root: Path, stem: str = TRAIN) -> list[int]:
    """The first box of a picture as its file writes it."""
    sample = next(s for s in data.read(root).samples if s.path.stem == stem)
    x0, y0, x1, y1 = sample.truths.boxes[0].astype(int).tolist()
    return [x0 + 1, y0 + 1, x1, y1]


def sizes_for_corners(root: Path) -> None:
    """Write width and height where the files should have the far corner."""
    for path in (root / "Annotations").iterdir():
        tree = ElementTree.parse(path)
        for box in tree.iter("bndbox"):
            for low, high in (("xmin", "xmax"), ("ymin", "ymax")):
                start, end = (int(box.find(name).text) for name in (low, high))
                box.find(high).text = str(end - start + 1)
        tree.write(path)


def size_wh(root: Path, stem: str = TRAIN) -> tuple[int, int]:
    with Image.open(jpg(root, stem)) as picture:
        return picture.size


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def append(path: Path, text: str) -> Path:
    path.write_text(path.read_text() + text)
    return path


# Each plants one fault and returns the check that must find it, the file and the line.


def cut_off(root):
    jpg(root).write_bytes(jpg(root).read_bytes()[:900])
    return "unreadable-image", jpg(root), 0


def no_picture_file(root):
    jpg(root).write_text("<html>not found</html>")
    return "unreadable-image", xml(root), 0


def deleted_picture(root):
    jpg(root).unlink()
    return "missing-image", xml(root), 0


def broken_xml(root):
    xml(root).write_text(xml(root).read_text()[:-30])
    return "unreadable-annotation", xml(root), 0


def path_that_leaves(root):
    append(root / "ImageSets/Main/train.txt", "../../etc/passwd\n")
    return "unsafe-path", Path("../../etc/passwd"), 0


def another_size(root):
    width, _ = size_wh(root)
    replace(xml(root), f"<width>{width}<", f"<width>{width + 40}<")
    return "size-mismatch", xml(root), 0


def text_for_a_number(root):
    return "unreadable-box", xml(root), add_object(root, ("ten", 10, 40, 40))


def swapped(root):
    return "swapped-box", xml(root), add_object(root, (60, 10, 20, 40))


def no_area(root):
    return "empty-box", xml(root), add_object(root, (21, 10, 20, 40))


def outside(root):
    return "outside-box", xml(root), add_object(root, (500, 10, 540, 40))


def far_over_the_edge(root):
    width, _ = size_wh(root)
    return "clipped-box", xml(root), add_object(root, (width - 30, 10, width + 25, 30))


def counted_from_zero(root):
    return "off-by-one", xml(root), add_object(root, (0, 5, 30, 35))


def shares_for_pixels(root):
    return "other-layout", xml(root), add_object(root, (0.1, 0.2, 0.6, 0.9))


def twice(root):
    return "duplicate-box", xml(root), add_object(root, (3, 4, 30, 35), times=2)


def nearly_twice(root):
    x0, y0, x1, y1 = edges(root)
    name = next(s for s in data.read(root).samples if s.path.stem == TRAIN)
    label = data.read(root).classes[name.truths.labels[0]]
    box = (x0, y0, x1 + 0.5, y1)
    return "near-duplicate-box", xml(root), add_object(root, box, label)


def drawn_before_turning(root):
    exif = Image.Exif()
    exif[0x0112] = 6
    with Image.open(jpg(root)) as picture:
        assert picture.width != picture.height
        picture.save(jpg(root), exif=exif, quality=92)
    return "exif-rotation", xml(root), 1


def turned_by_half(root):
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(jpg(root)) as picture:
        picture.save(jpg(root), exif=exif, quality=92)
    return "exif-rotation", jpg(root), 0


def one_colour(root):
    Image.new("RGB", size_wh(root), (9, 9, 9)).save(jpg(root))
    return "blank-image", jpg(root), 0


def nobody_annotated(root):
    xml(root).unlink()
    return "missing-labels", jpg(root), 0


def every_box_skipped(root):
    text = xml(root).read_text()
    xml(root).write_text(text[: text.index("<object>")] + "</annotation>")
    add_object(root, (50, 9, 20, 40))
    return "missing-labels", xml(root), 0


def same_file(root):
    shutil.copy(jpg(root), jpg(root, "copied"))
    shutil.copy(xml(root), xml(root, "copied"))
    replace(xml(root, "copied"), TRAIN, "copied")
    append(root / "ImageSets/Main/train.txt", "copied\n")
    return "duplicate-image", jpg(root, "copied"), 0


def in_two_lists(root):
    append(root / "ImageSets/Main/val.txt", f"{TRAIN}\n")
    return "leaking-split", jpg(root), 0


def same_file_in_another_split(root):
    same_file(root)
    replace(root / "ImageSets/Main/train.txt", "copied\n", "")
    append(root / "ImageSets/Main/val.txt", "copied\n")
    return "leaking-split", jpg(root, "copied"), 0


def saved_again_in_another_split(root):
    same_file_in_another_split(root)
    with Image.open(jpg(root)) as picture:
        picture.save(jpg(root, "copied"), quality=55)
    return "near-duplicate-image", jpg(root, "copied"), 0


def only_in_one_split(root):
    add_object(root, (3, 4, 30, 35), "hexagon", VAL)
    return "class-missing-in-split", root, 0


def other_case(root):
    return "class-spelling", xml(root), add_object(root, (3, 4, 30, 35), "Circle")


def one_letter(root):
    for number in range(25):
        add_object(root, (3 + number, 4, 30 + 2 * number, 35), "square")
    return "class-spelling", xml(root), add_object(root, (3, 4, 30, 35), "sqaure")


def hundred_times_rarer(root):
    for number in range(100):
        add_object(root, (1, 1, 10 + number // 10, 10 + number % 10 * 3), "circle")
    add_object(root, (3, 4, 30, 35), "hexagon")
    return "class-imbalance", root, 0


def too_small(root):
    return "tiny-object", xml(root), add_object(root, (5, 5, 5, 5))


def left_over(root):
    (root / "JPEGImages" / "Thumbs.db").write_bytes(b"x")
    return "stray-file", root / "JPEGImages" / "Thumbs.db", 0


def picture_in_no_list(root):
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(jpg(root, "left"))
    return "stray-file", jpg(root, "left"), 0


FAULTS = [
    *(cut_off, no_picture_file, deleted_picture, broken_xml, path_that_leaves, another_size),
    *(text_for_a_number, swapped, no_area, outside, far_over_the_edge, counted_from_zero),
    *(shares_for_pixels, twice, nearly_twice, drawn_before_turning, turned_by_half, one_colour),
    *(nobody_annotated, every_box_skipped, same_file, in_two_lists, same_file_in_another_split),
    *(saved_again_in_another_split, only_in_one_split, other_case, one_letter),
    *(hundred_times_rarer, too_small, left_over, picture_in_no_list),
]


def places(diagnosis: doctor.Diagnosis) -> set[tuple[str, Path, int]]:
    return {
        (check, finding.path, finding.line)
        for check, findings in diagnosis.found.items()
        for finding in findings
    }


def test_a_clean_data_set_raises_nothing(clean):
    assert set() == places(doctor.diagnose(clean))


@pytest.mark.parametrize("kind", ["coco", "yolo"])
def test_nor_does_it_in_another_format(clean, tmp_path, kind):
    parts = [data.read(clean, split) for split in data.splits(clean)]
    data.write(parts, tmp_path / kind, kind)
    diagnosis = doctor.diagnose(tmp_path / kind)
    assert set() == places(diagnosis)
    assert IMAGES == len(diagnosis.examination.dataset)


@pytest.mark.parametrize("plant", FAULTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_found_in_its_file_and_line(root, plant):
    expected = plant(root)
    found = places(doctor.diagnose(root))
    assert expected in found


def test_every_check_has_a_planted_fault(clean, tmp_path):
    planted = set()
    for number, plant in enumerate(FAULTS):
        planted.add(plant(Path(shutil.copytree(clean, tmp_path / str(number))))[0])
    elsewhere = {"unknown-class", "class-without-boxes"}  # VOC has no list of classes
    assert set(doctor.CHECKS) == planted | elsewhere
    assert 20 <= len(planted)


def test_faults_of_a_list_of_classes(clean, tmp_path):
    data.write(data.read(clean), tmp_path / "coco", "coco")
    path = next((tmp_path / "coco").rglob("*.json"))
    document = json.loads(path.read_text())
    document["annotations"][3]["category_id"] = 77
    document["categories"].append({"id": 99, "name": "hexagon"})
    path.write_text(json.dumps(document))
    found = places(doctor.diagnose(tmp_path / "coco"))
    assert {("unknown-class", path, 4), ("class-without-boxes", tmp_path / "coco", 0)} == found


def test_a_line_of_a_label_file_is_found(clean, tmp_path):
    data.write(data.read(clean), tmp_path / "yolo", "yolo")
    label = sorted((tmp_path / "yolo" / "labels").rglob("*.txt"))[2]
    lines = label.read_text().splitlines()
    label.write_text("\n".join([*lines, "0 60 40 20 30", "1 0.5 0.5 -0.1 0.2", "88 .5 .5 .1 .1"]))
    found = places(doctor.diagnose(tmp_path / "yolo"))
    assert ("other-layout", label, len(lines) + 1) in found
    assert {("swapped-box", label, len(lines) + 2), ("empty-box", label, len(lines) + 2)} & found
    assert ("unknown-class", label, len(lines) + 3) in found


def test_a_picture_that_cannot_be_read_is_no_stray_file(root):
    no_picture_file(root)
    assert () == doctor.diagnose(root).found["stray-file"]


def test_every_check_is_in_the_reference():
    text = (Path(__file__).parents[2] / "docs" / "reference.md").read_text("utf-8")
    missing = [
        name
        for name, check in doctor.CHECKS.items()
        if f"| `{name}` | {check.severity} | {check.what} |" not in text
    ]
    assert [] == missing


def test_only_what_is_asked_for_runs(clean):
    assert ("tiny-object",) == doctor.chosen(only=["tiny-object"])
    assert "tiny-object" not in doctor.chosen(skip=["tiny-object"])
    diagnosis = doctor.diagnose(clean, ("empty-box", "tiny-object"))
    assert ["empty-box", "tiny-object"] == list(diagnosis.found)
    assert "looks" not in vars(diagnosis.examination)  # no pixels were read for these


def test_an_id_that_is_none_is_answered_with_the_nearest():
    with pytest.raises(SettingError, match="Did you mean 'tiny-object'"):
        doctor.chosen(skip=["tiny-objects"])


def test_the_page_shows_the_picture_and_the_box(root):
    same_file(root)
    outside(root)
    text = doctor_page.page(doctor.diagnose(root))
    inside = json.loads(text.partition('id="data">')[2].partition("</script>")[0])
    card = next(card for card in inside["cards"] if card["check"] == "outside-box")
    assert f"Annotations/{TRAIN}.xml:" in card["title"]
    wanted = [box for box in card["pictures"][0]["boxes"] if box.get("wanted")]
    assert [[499, 9, 540, 40]] == [box["edges"] for box in wanted]
    twins = next(card for card in inside["cards"] if card["check"] == "duplicate-image")
    assert ["copied.jpg", f"{TRAIN}.jpg"] == [picture["name"] for picture in twins["pictures"]]
    assert "error" == inside["cards"][0]["severity"]


def test_sizes_where_corners_are_meant_are_one_finding_for_all(root):
    sizes_for_corners(root)
    found = doctor.diagnose(root).found
    (finding,) = found["other-layout"]
    assert "fit as x, y, width, height" in finding.reason
    assert finding.count == sum(one.count for one in found["swapped-box"]) > 0


def test_a_few_swapped_corners_are_no_layout(root):
    add_object(root, (40, 10, 20, 30))
    found = doctor.diagnose(root).found
    assert ((), 1) == (found["other-layout"], len(found["swapped-box"]))
