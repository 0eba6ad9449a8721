"""`demo` works on photos that are on the disk already, and says what to install if they are not."""

import pytest

import tiny_model
from boxray.errors import MissingExtra
from boxray.verbs import demo as verb
from boxray.verbs.running import Running


def test_the_photos_are_found_without_importing_their_package():
    pytest.importorskip("skimage", reason="needs scikit-image: pip install 'boxray[demo]'")
    assert list(verb.PHOTOS) == [path.name for path in verb.photos()]


def test_three_pictures_and_a_document_are_written(tmp_path):
    pytest.importorskip("skimage", reason="needs scikit-image: pip install 'boxray[demo]'")
    model = tiny_model.write(tmp_path)
    out = tmp_path / "out"
    report = verb.demo(Running(model=model, threads=1, max_detections=3), output=out)
    assert () == report.errors
    assert {*verb.PHOTOS, "detections.json"} == {path.name for path in out.iterdir()}


def test_without_the_photos_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r'pip install "boxray\[demo\]"'):
        verb.photos()
