"""Results: one record in every form that people ask for."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from boxray.errors import MissingExtra, OutputError
from boxray.records import Detections
from boxray.results import Result, document


def result(
    count: int = 2, *, path: Path | None = Path("photos/photo.jpg"), side: int = 64
) -> Result:
    boxes = np.array([[1.004, 2.0, 30.126, 40.0], [-0.001, 0.0, 63.0, 47.0]] * 4, np.float64)
    detections = Detections(
        boxes=boxes[:count],
        labels=np.array([1, 0] * 4)[:count],
        scores=np.linspace(0.98004, 0.5, 8, dtype=np.float32)[:count],
    )
    image = np.full((side, side, 3), 80, np.uint8)
    return Result(image, path, detections, ("cat", "person"), "tiny.onnx")


def test_a_result_is_a_sequence_of_box_score_and_name():
    found = result()
    assert len(found) == 2
    (box, score, name), second = list(found)
    assert (box, name, second[2]) == ((1.004, 2.0, 30.126, 40.0), "person", "cat")
    assert score == pytest.approx(0.98, abs=1e-3)
    assert found.names == ["person", "cat"]
    assert found.size_hw == (64, 64)
    assert found.boxes is found.detections.boxes


def test_it_introduces_itself_in_one_line():
    assert repr(result()) == "2 detections in photo.jpg: person 0.98, cat 0.91"
    assert repr(result(1)) == "1 detection in photo.jpg: person 0.98"
    assert repr(result(0, path=None)) == "no detections in the image"
    assert repr(result(8)).endswith("person 0.71, 3 more")


def test_its_dictionary_has_plain_rounded_numbers():
    entry = result().to_dict()
    assert entry == {
        "path": str(Path("photos/photo.jpg")),
        "size_hw": [64, 64],
        "detections": [
            {"box": [1.0, 2.0, 30.13, 40.0], "score": 0.98, "label": "person"},
            {"box": [0.0, 0.0, 63.0, 47.0], "score": 0.9115, "label": "cat"},
        ],
        "error": None,
    }
    assert "-0.0" not in json.dumps(entry)


def test_its_json_is_one_document_with_a_schema():
    read = json.loads(result().to_json())
    assert (read["schema"], read["model"]) == ("boxray.detect/1", "tiny.onnx")
    assert read["images"] == [result().to_dict()]


def test_a_document_holds_many_images():
    read = json.loads(document([result(1).to_dict(), result(0).to_dict()], model="m"))
    assert [len(image["detections"]) for image in read["images"]] == [1, 0]


def test_a_number_that_is_not_finite_never_reaches_a_document():
    entry = {"detections": [{"score": float("nan")}]}
    with pytest.raises(ValueError, match="JSON compliant"):
        document([entry], model="m")


def test_a_path_that_is_not_utf_8_survives_json_and_can_be_shown():
    path = Path(os.fsdecode(b"\xff.jpg"))
    found = result(path=path)
    found.to_json().encode("ascii")
    assert os.fsencode(json.loads(found.to_json())["images"][0]["path"]) == b"\xff.jpg"
    repr(found).encode("utf-8")


@pytest.mark.parametrize("ending, kind", [(".jpg", "JPEG"), (".PNG", "PNG"), (".webp", "WEBP")])
def test_it_is_saved_as_what_its_ending_says(ending, kind, tmp_path):
    result().save(tmp_path / f"drawn{ending}")
    with Image.open(tmp_path / f"drawn{ending}") as image:
        assert (image.format, image.size) == (kind, (64, 64))
    assert len(list(tmp_path.iterdir())) == 1


def test_it_is_not_saved_where_or_as_what_it_cannot_be(tmp_path):
    for path in (tmp_path / "a.pdf", tmp_path / "a", tmp_path / "missing" / "a.png"):
        with pytest.raises(OutputError, match="cannot write"):
            result().save(str(path))
    wide = Result(np.zeros((1, 17_000, 3), np.uint8), None, result(0).detections, (), "m")
    with pytest.raises(OutputError, match=r"Try \.png"):
        wide.save(tmp_path / "a.webp")
    assert list(tmp_path.iterdir()) == []


def test_the_drawn_image_is_a_copy_with_boxes_on_it():
    found = result()
    drawn = found.draw()
    assert drawn.size == (64, 64)
    assert not np.array_equal(np.array(drawn), found.image)
    assert (found.image == 80).all()


def test_a_notebook_shows_a_picture_of_bounded_size():
    for side, shown in ((64, 64), (2000, 1600)):
        picture = Image.open(io.BytesIO(result(side=side)._repr_png_()))
        assert (picture.format, picture.size) == ("PNG", (shown, shown))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_supervision_gets_the_same_boxes(count):
    pytest.importorskip("supervision")
    found = result(count)
    theirs = found.to_supervision()
    assert len(theirs) == count
    assert np.allclose(theirs.xyxy, found.boxes)
    assert theirs.class_id.tolist() == found.labels.tolist()
    assert list(theirs.data["class_name"]) == found.names


def test_without_supervision_the_error_names_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(MissingExtra, match="pip install supervision"):
        result().to_supervision()
