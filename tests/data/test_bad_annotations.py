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

from boxray.data import Dataset, read
from boxray.errors import FormatError

ORACLE = Path(__file__).parents[2].parent / "shared" / "oracles" / "bad_inputs.py"
# The table's words where they are not simply an answer in front.
ANSWERS = {
    "name_unknown": "OK",  # no class list is given here, so the name is learned
    "zero_area": "OK",  # VOC includes the last pixel: one pixel wide is legal
    "bbox_normalised_suspect": "OK",  # with a warning, which has its own test
}


def cases(surface: str) -> list:
    if not ORACLE.exists():
        return [pytest.param("", b"", "", id="absent", marks=pytest.mark.skip(f"needs {ORACLE}"))]
    spec = importlib.util.spec_from_file_location("bad_inputs", ORACLE)
    oracle = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(oracle)
    found = []
    for name, payload, answer in oracle.FILES[surface][0]:
        content = payload if isinstance(payload, bytes) else payload.encode()
        short = ANSWERS.get(name) or answer.split()[0].strip(",;:")
        found.append(pytest.param(name, content, short, id=f"{name}-{short}"))
    return found


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


def digest(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize("name, content, answer", cases("voc"))
def test_a_voc_file_gets_the_answer_of_the_table(tmp_path, name, content, answer):
    (tmp_path / "a.xml").write_bytes(content)
    picture(tmp_path / "a.jpg")
    before, start = digest(tmp_path), time.process_time()
    assert answer == answer_of(tmp_path)
    assert time.process_time() - start < 2
    assert before == digest(tmp_path)


@pytest.mark.parametrize("name, content, answer", cases("coco"))
def test_a_coco_file_gets_the_answer_of_the_table(tmp_path, name, content, answer):
    (tmp_path / "instances_default.json").write_bytes(content)
    for file in ("a.jpg", "b.jpg", "\u00e9.jpg"):  # é as one letter; the file spells it as two
        picture(tmp_path / file)
    before, start = digest(tmp_path), time.process_time()
    assert answer == answer_of(tmp_path)
    assert time.process_time() - start < 2
    assert before == digest(tmp_path)


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


@pytest.mark.parametrize("name, content, answer", cases("openimages"))
def test_an_open_images_file_gets_the_answer_of_the_table(tmp_path, name, content, answer):
    open_images(tmp_path, name, content)
    before, start = digest(tmp_path), time.process_time()
    assert answer == answer_of(tmp_path)
    assert time.process_time() - start < 2
    assert before == digest(tmp_path)


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
    content = next(case.values[1] for case in cases("openimages") if case.values[0] == name)
    open_images(tmp_path, name, content)
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
    content = next(case.values[1] for case in cases("openimages") if case.values[0] == name)
    open_images(tmp_path, name, content)
    assert [note for note in read(tmp_path).report.notes if words in note.reason]


def read_coco(folder: Path, name: str) -> Dataset:
    content = next(case.values[1] for case in cases("coco") if case.values[0] == name)
    (folder / "annotations.json").write_bytes(content)
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
    with pytest.raises(FormatError, match="file of results"):
        read_coco(tmp_path, "top_level_results_list")


def test_images_of_a_file_without_annotations_are_unlabelled_and_not_negative(tmp_path, shared):
    dataset = read_coco(tmp_path, "no_annotations_key")
    assert [sample.labelled for sample in dataset.samples] == [False]
