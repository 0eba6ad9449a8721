"""Every damaged, hostile or odd annotation gets the answer that is written down for it.

The payloads and answers are those of ../shared/oracles/bad_inputs.py. Answers: OK works; F repaired
and counted; S the box is skipped and counted; X the image is skipped and counted; R all refused.
"""

import hashlib
import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.data import Conventions, Dataset, read
from boxray.data.annotated import PLAIN
from boxray.errors import FormatError

ORACLE = Path(__file__).parents[2].parent / "shared" / "oracles" / "bad_inputs.py"
# The table's words where they are not simply an answer in front.
ANSWERS = {
    "name_unknown": "OK",  # no class list is given here, so the name is learned
    "zero_area": "OK",  # VOC includes the last pixel: one pixel wide is legal
    "bbox_normalised_suspect": "OK",  # with a warning, which has its own test
    "missing_file": "OK",  # "image listed as UNLABELLED", which has its own test
    "polygon": "S",  # "F only with --segments", which has its own test
    "mixed_box_polygon": "S",  # "each line on its own, S for the polygon"
    "200k_lines": "F",  # "OK, dedup": all but one line are repeats
}


def catalogue() -> dict[str, list[tuple[str, bytes | None, str]]]:
    """Kind of file → its cases: name, content (None for no file), and the answer in words."""
    spec = importlib.util.spec_from_file_location("bad_inputs", ORACLE)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    return {
        kind: [(n, p.encode() if isinstance(p, str) else p, answer) for n, p, answer in listed]
        for kind, (listed, _) in oracle.FILES.items()
    }


def cases(*kinds: str) -> list:
    if not ORACLE.exists():
        absent = pytest.mark.skip(f"needs {ORACLE}")
        return [pytest.param("", "", b"", "", id="absent", marks=absent)]
    found = []
    for kind in kinds:
        for name, content, answer in catalogue()[kind]:
            short = ANSWERS.get(name) or answer.split()[0].strip(",;:")
            found.append(pytest.param(kind, name, content, short, id=f"{kind}-{name}-{short}"))
    return found


def content_of(kind: str, name: str) -> bytes:
    return next(content for case, content, _ in catalogue()[kind] if case == name)


def picture(path: Path) -> None:
    Image.fromarray(np.zeros((80, 100, 3), np.uint8)).save(path)


def answer_of(folder: Path) -> str:
    """The answer as the table writes it, from what came out."""
    try:
        dataset = read(folder)
    except FormatError as error:
        return "R" if "\n" not in str(error) else f"more than one line: {error}"
    report = dataset.report
    assert report.images.adds_up
    assert report.boxes.adds_up
    if report.images.skipped or report.images.refused:
        assert all(not sample.labelled for sample in dataset.samples)
        return "X"
    if any(note.severity == "skipped" for note in report.notes) or report.boxes.refused:
        return "S"
    return "F" if any(note.severity == "repaired" for note in report.notes) else "OK"


def arrange_voc(folder: Path, name: str, content: bytes | None) -> None:
    (folder / "a.xml").write_bytes(content)
    picture(folder / "a.jpg")


def arrange_coco(folder: Path, name: str, content: bytes | None) -> None:
    (folder / "instances_default.json").write_bytes(content)
    for file in ("a.jpg", "b.jpg", "\u00e9.jpg"):  # é as one letter; the file spells it as two
        picture(folder / file)


def arrange_yolo(folder: Path, name: str, content: bytes | None) -> None:
    for made in ("images", "labels"):
        (folder / made).mkdir()
    (folder / "data.yaml").write_text("names: [cat, dog, bird]\n")
    picture(folder / "images" / "a.png")
    if content is not None:
        (folder / "labels" / "a.txt").write_bytes(content)


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


HEADER = "ImageID,Source,LabelName,Confidence,XMin,XMax,YMin,YMax,IsOccluded,IsTruncated,IsGroupOf"
OPEN_IMAGES_FILE = {"hierarchy": "hierarchy.json", "classes_csv": "class-descriptions.csv"}


def open_images(folder: Path, name: str, content: bytes) -> None:
    """A data set of one picture, with the case's file in the place of one of its own."""
    row = "000026e7ee790996,xclick,/m/1,1,0.1,0.3,0.2,0.4,0,0,0"
    (folder / "boxes.csv").write_text(f"{HEADER}\n{row}\n")
    classes = "/m/1,Cat\n/m/07j7r,Tree\n/m/0c9ph5,Flower\n"
    (folder / "class-descriptions.csv").write_text(classes)
    kind = next((kind for kind in OPEN_IMAGES_FILE if name.startswith(kind)), "")
    (folder / OPEN_IMAGES_FILE.get(kind, "boxes.csv")).write_bytes(content)
    picture(folder / "000026e7ee790996.jpg")


ARRANGE = {
    "coco": arrange_coco,
    "voc": arrange_voc,
    "yolo": arrange_yolo,
    "openimages": open_images,
}


@pytest.mark.parametrize("kind, name, content, answer", cases(*ARRANGE))
def test_a_file_gets_the_answer_of_the_table(tmp_path, kind, name, content, answer):
    ARRANGE[kind](tmp_path, name, content)
    before, start = digest(tmp_path), time.process_time()
    assert answer == answer_of(tmp_path)
    assert time.process_time() - start < 2
    assert before == digest(tmp_path)
    if answer in {"F", "S", "X"}:  # any loss is a failure to those who ask for it
        with pytest.raises(FormatError, match="is not read as it stands"):
            read(tmp_path, strict=True)


def test_the_table_has_197_cases_of_annotations(shared):
    assert 197 == len(cases(*ARRANGE))


@pytest.mark.parametrize(
    "name, words",
    [
        ("semicolon", "not separated by commas"),
        ("tab", "not separated by commas"),
        ("utf16", "not UTF-8"),
        ("quote_unclosed", "line 2: a quote is opened and never closed"),
        ("field_200kB", "line 2: field larger than"),
        ("missing_column", "no column XMax"),
        ("no_header", "no column ImageID"),
        ("dup_column", "XMin is there twice"),
        ("hierarchy_cycle", "a is a kind of itself"),
        ("classes_csv_dup", "line 2: the label /m/1 was already given"),
    ],
)
def test_a_refused_open_images_file_says_where_and_why(tmp_path, shared, name, words):
    open_images(tmp_path, name, content_of("openimages", name))
    with pytest.raises(FormatError, match=words):
        read(tmp_path)


@pytest.mark.parametrize(
    "name, words",
    [
        ("header_only", "has no rows"),
        ("label_display_name", "it is a display name, /m/1 is meant"),
        ("image_id_prefix", "only what follows the last / is one"),
        ("image_id_traversal", "leads out of the data set"),
        ("pixels", "looks like pixels"),
        ("confidence_0_box", "found absent, not a box"),
        ("image_missing", "no picture for 1 images, like ffffffffffffffff"),
    ],
)
def test_an_odd_open_images_row_is_told_with_a_hint(tmp_path, shared, name, words):
    open_images(tmp_path, name, content_of("openimages", name))
    assert [note for note in read(tmp_path).report.notes if words in note.reason]


def read_coco(folder: Path, name: str) -> Dataset:
    (folder / "annotations.json").write_bytes(content_of("coco", name))
    picture(folder / "a.jpg")
    return read(folder)


@pytest.mark.parametrize(
    "name, words",
    [
        ("bbox_normalised_suspect", "pixels, not shares"),
        ("bbox_xyxy_suspect", "x1, y1, x2, y2"),
        ("category_name_case", "differs from another by case"),
        ("ignore_1", "iscrowd"),
    ],
)
def test_what_looks_like_a_mistake_is_said(tmp_path, shared, name, words):
    notes = read_coco(tmp_path, name).report.notes
    assert [note.severity for note in notes if words in note.reason] == ["warning"]


@pytest.mark.parametrize(
    "name", ["path_traversal", "path_absolute", "path_backslash", "path_url", "path_nul"]
)
def test_a_path_out_of_the_data_set_is_counted_as_refused(tmp_path, shared, name):
    assert read_coco(tmp_path, name).report.images.refused == 1


def test_a_deep_annotation_is_skipped(tmp_path):
    (tmp_path / "a.xml").write_text("<annotation>" + "<a>" * 65 + "</a>" * 65 + "</annotation>")
    picture(tmp_path / "a.jpg")
    assert "nested more than 64 deep" in read(tmp_path).report.notes[0].reason


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_a_doctype_is_refused_in_every_encoding(tmp_path, encoding):
    text = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "y">]><annotation>&x;</annotation>'
    (tmp_path / "a.xml").write_bytes(text.encode(encoding))
    picture(tmp_path / "a.jpg")
    assert "DOCTYPE" in read(tmp_path).report.notes[0].reason


def test_a_file_of_results_is_named_as_such(tmp_path, shared):
    with pytest.raises(FormatError, match=r"file of results.*Give the annotations"):
        read_coco(tmp_path, "top_level_results_list")


def test_images_of_a_file_without_annotations_are_unlabelled_and_not_negative(tmp_path, shared):
    dataset = read_coco(tmp_path, "no_annotations_key")
    assert [sample.labelled for sample in dataset.samples] == [False]


def read_yolo(folder: Path, name: str, conventions: Conventions = PLAIN) -> Dataset:
    arrange_yolo(folder, name, content_of("yolo", name))
    return read(folder, conventions=conventions)


def test_a_picture_without_a_label_file_is_unlabelled_and_not_negative(tmp_path, shared):
    assert [False] == [sample.labelled for sample in read_yolo(tmp_path, "missing_file").samples]


def test_a_polygon_is_a_box_only_to_those_who_ask(tmp_path, shared):
    dataset = read_yolo(tmp_path, "polygon", Conventions(segments=True))
    # corners (0.1, 0.1) to (0.2, 0.2) of a picture of 100 x 80
    np.testing.assert_allclose([[10, 8, 20, 16]], dataset.samples[0].truths.boxes)
    assert ["repaired"] == [note.severity for note in dataset.report.notes]


@pytest.mark.parametrize(
    "name, words",
    [
        ("six_columns_conf", "a prediction, not a truth"),
        ("pixels", "looks like pixels"),
        ("five_classes_yaml_short", "the labels use 5 classes, this names 3"),
        ("polygon", "--segments"),
        ("four_columns", "has 4 columns"),
        ("tiny_w", "less than a tenth of a pixel"),
        ("utf16", "not UTF-8"),
        ("one_long_line", "longer than"),
    ],
)
def test_an_odd_line_of_yolo_is_told_with_a_hint(tmp_path, shared, name, words):
    assert [note for note in read_yolo(tmp_path, name).report.notes if words in note.reason]


def test_a_centre_on_the_border_is_kept_and_ends_no_list(tmp_path):
    arrange_yolo(tmp_path, "", b"0 0.0 .5 .2 .2\n1 1.0 1.0 .2 .2\n2 .5 .5 .2 .2\n")
    # half of each box on the border is clipped: 0.1 of 100 and of 80 pixels are left
    boxes = [[0, 32, 10, 48], [90, 72, 100, 80], [40, 32, 60, 48]]
    np.testing.assert_allclose(boxes, read(tmp_path).samples[0].truths.boxes)


# Of the cases of configuration files those that a data.yaml can have, in its words.
YAML_WORDS = {b"classes:": b"names:", b"imgsz:": b"nc:", b"data:": b"path:"}
YAML_CASES = (
    *("empty", "list_top", "tab_indent", "dup_key", "python_tag", "python_name", "anchor_bomb"),
    *("recursive_alias", "norway", "sexagesimal", "octal", "bool_as_int", "str_as_int", "imgsz_0"),
    *("classes_0", "classes_dup", "classes_gap_map", "path_missing", "two_documents", "utf16"),
    *("nul", "10MB"),
)


@pytest.mark.parametrize("name", YAML_CASES)
def test_a_data_yaml_gets_the_answer_of_the_table(tmp_path, shared, name):
    content = content_of("config", name)
    for word, ours in YAML_WORDS.items():
        content = content.replace(word, ours)
    if content and b"names:" not in content and name not in {"list_top", "utf16"}:
        content = b"names: [cat, dog, bird]\n" + content
    if name != "path_missing":
        arrange_yolo(tmp_path, "", b"0 .5 .5 .2 .2\n")
    (tmp_path / "data.yaml").write_bytes(content)
    start = time.process_time()
    with pytest.raises(FormatError) as caught:
        read(tmp_path)
    assert "data.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert time.process_time() - start < 2


def test_a_path_in_a_data_yaml_may_start_at_home_but_not_in_the_environment(tmp_path, monkeypatch):
    arrange_yolo(tmp_path, "", b"0 .5 .5 .2 .2\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "elsewhere").mkdir()
    for given, found in (("~/", 1), ("$HOME/", 0)):
        text = f"names: [cat]\npath: {given}\ntrain: images\n"
        (tmp_path / "elsewhere" / "data.yaml").write_text(text)
        if found:
            assert 1 == len(read(tmp_path / "elsewhere"))
        else:
            with pytest.raises(FormatError, match="names no folder of pictures"):
                read(tmp_path / "elsewhere")


def test_a_number_without_an_end_is_read_in_a_moment(tmp_path):
    arrange_yolo(tmp_path, "", b"0 .5 .5 .2 " + b"9" * 200_000 + b"x\n")
    (tmp_path / "voc").mkdir()
    digits = "9" * 2_000_000
    xml = f"<annotation><object><name>a</name><bndbox><xmin>{digits}x</xmin></bndbox></object>"
    (tmp_path / "voc" / "a.xml").write_text(f"{xml}</annotation>")
    picture(tmp_path / "voc" / "a.jpg")
    start = time.process_time()
    assert 1 == read(tmp_path).report.boxes.skipped == read(tmp_path / "voc").report.boxes.skipped
    assert time.process_time() - start < 2


def test_a_table_of_verified_classes_without_its_columns_is_refused(tmp_path):
    open_images(tmp_path, "", b"ImageID,LabelName,XMin,XMax,YMin,YMax\n")
    (tmp_path / "labels.csv").write_text("ImageID,LabelName,Confidence\n")
    assert 1 == len(read(tmp_path))
    (tmp_path / "labels.csv").write_text('ImageID,LabelName,Confidence"\n')
    with pytest.raises(FormatError, match=r"labels.csv, line 1: there is no column Confidence"):
        read(tmp_path)
