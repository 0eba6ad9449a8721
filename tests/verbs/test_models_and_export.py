"""`models` says what a file says; `export` writes it elsewhere, once it is checked."""

import json

import pytest

import tiny_model
from boxray import bundle
from boxray.errors import ModelError, OutputError, SettingError
from boxray.verbs.export import export
from boxray.verbs.models import model, models, to_dict


def test_every_shipped_model_is_listed():
    assert list(bundle.shipped()) == [listing.model.name for listing in models()]


def test_a_file_is_described_with_its_size_and_all_its_metadata(tmp_path):
    path = tiny_model.write(tmp_path)
    document = json.loads(json.dumps(to_dict((model(path),))))
    assert "boxray.models/1" == document["schema"]
    (entry,) = document["models"]
    assert path.stat().st_size == entry["size_bytes"]
    written = tiny_model.document()
    for field in ("name", "classes", "canvas_hw", "thresholds", "metrics", "recipe", "licence"):
        assert written[field] == entry[field]


def test_an_exported_model_is_the_same_file(tmp_path):
    path = tiny_model.write(tmp_path)
    report = export(path, tmp_path / "copy.onnx")
    assert path.read_bytes() == (tmp_path / "copy.onnx").read_bytes()
    assert report.model.sha256 == report.to_dict()["sha256"]
    assert str(tmp_path / "copy.onnx") in report.summary()[0]


def test_a_damaged_model_is_not_exported(tmp_path):
    path = tiny_model.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError):
        export(path, tmp_path / "copy.onnx")
    assert not (tmp_path / "copy.onnx").exists()


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(SettingError, match=r"no format '\.tflite'\. Formats: \.onnx"):
        export("default", tmp_path / "model.tflite")


def test_a_file_is_not_overwritten_unless_asked_for(tmp_path):
    path = tiny_model.write(tmp_path)
    with pytest.raises(SettingError, match="exists"):
        export(path, path)
    export(path, path, overwrite=True)


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        export(tiny_model.write(tmp_path), tmp_path / "absent/model.onnx")
