"""`detect`: one bad picture spoils nothing, and what is written is what is reported."""

import json

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray.errors import FormatError, ModelError, OutputError, SettingError
from boxray.verbs import detect as verb
from boxray.verbs.detect import detect
from boxray.verbs.running import Running


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Running:
    return Running(model=tiny_model.write(tmp_path_factory.mktemp("model")), threads=1)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    chance = np.random.default_rng(2)
    for name in ("a.png", "b.jpg"):
        Image.fromarray(chance.integers(0, 256, (40, 60, 3), np.uint8)).save(folder / name)
    return folder


def test_pictures_are_drawn_and_one_document_is_written(running, photos, tmp_path):
    report = detect([photos], running, output=tmp_path / "out")
    assert {"a.png", "b.jpg", "detections.json"} == {p.name for p in (tmp_path / "out").iterdir()}
    document = json.loads((tmp_path / "out/detections.json").read_text())
    assert json.loads(report.to_json()) == document
    assert "boxray.detect/1" == document["schema"]
    assert "tiny" == document["model"]
    assert [str(photos / "a.png"), str(photos / "b.jpg")] == [i["path"] for i in document["images"]]
    first = document["images"][0]
    assert [40, 60] == first["size_hw"]
    assert {"box", "score", "label"} == set(first["detections"][0])
    with Image.open(tmp_path / "out/a.png") as drawn:
        assert (60, 40) == drawn.size


def test_a_picture_that_cannot_be_read_is_reported_and_the_others_are_done(running, photos):
    (photos / "aa.jpg").write_bytes(b"not a picture")
    report = detect([photos], running)
    assert [None, True, None] == [i["error"] and "aa.jpg" in i["error"] for i in report.images]
    assert 1 == len(report.errors)
    assert {"size_hw": None, "detections": []}.items() <= report.images[1].items()


def test_nothing_is_written_without_an_output_folder(running, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    detect(["photos"], running)
    assert ["photos"] == [path.name for path in tmp_path.iterdir()]


def test_the_sources_are_only_read(running, photos, tmp_path):
    before = {path: path.read_bytes() for path in photos.iterdir()}
    detect([photos], running, output=tmp_path / "out")
    assert before == {path: path.read_bytes() for path in photos.iterdir()}


def test_only_the_wanted_classes_are_reported(running, photos):
    everything = detect([photos], running)
    cats = detect([photos], running, classes=["cat"])
    for all_found, found in zip(everything.images, cats.images, strict=True):
        expected = [one for one in all_found["detections"] if one["label"] == "cat"]
        assert expected == found["detections"]


def test_an_unknown_class_gets_a_suggestion(running, photos):
    with pytest.raises(SettingError, match="Did you mean 'motorbike'"):
        detect([photos], running, classes=["motorbik"])


def test_progress_is_told_after_every_picture(running, photos):
    told = []
    detect([photos], running, on_image=lambda done, total: told.append((done, total)))
    assert [(1, 2), (2, 2)] == told


def test_thresholds_reach_the_detector(running, photos):
    strict = Running(model=running.model, threads=1, score_threshold=0.8, max_detections=2)
    for image in detect([photos], strict).images:
        assert len(image["detections"]) <= 2
        assert all(one["score"] >= 0.8 for one in image["detections"])


def test_wrong_use_is_found_before_anything_is_made(photos, tmp_path):
    with pytest.raises(ModelError):
        detect([photos], Running(model=tmp_path / "absent.onnx"), output=tmp_path / "out")
    with pytest.raises(FormatError):
        detect([tmp_path / "absent.jpg"], output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_ends_the_run_and_is_not_a_fault_of_the_picture(
    running, photos, tmp_path, monkeypatch
):
    def full(path, content):
        raise OutputError(f"cannot write {path}: No space left on device.")

    monkeypatch.setattr("boxray.files.write_atomically", full)
    monkeypatch.setattr(verb, "write_atomically", full)
    with pytest.raises(OutputError, match="No space left"):
        detect([photos], running, output=tmp_path / "out")
