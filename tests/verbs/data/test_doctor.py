"""`boxray data doctor`: exit codes, one document, a page outside the data, nothing changed."""

import hashlib
import json
from pathlib import Path

import pytest

import boxray
from boxray import cli
from boxray.data import synthetic
from boxray.inspection.doctor import DEFAULT_CANVAS


@pytest.fixture
def shapes(tmp_path):
    return synthetic.make(tmp_path / "data", images=10, seed=6)


def hashed(folder: Path) -> dict[str, str]:
    """Every file's content and time of change."""
    return {
        str(path): f"{hashlib.sha256(path.read_bytes()).hexdigest()} {path.stat().st_mtime_ns}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_clean_data_set_is_done_and_a_broken_one_fails(shapes, capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = hashed(shapes)
    assert 0 == cli.run(["data", "doctor", str(shapes), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.doctor/1", True, []) == tuple(
        document[key] for key in ("schema", "healthy", "findings")
    )
    assert not Path("boxray-doctor.html").exists()
    assert before == hashed(shapes)
    (shapes / "JPEGImages" / "shapes_00003.jpg").unlink()
    assert 1 == cli.run(["data", "doctor", str(shapes)])
    out = capfd.readouterr().out
    assert "Annotations/shapes_00003.xml: there is no picture 'shapes_00003'" in out
    assert Path("boxray-doctor.html").is_file()


def test_what_is_tiny_is_said_of_the_canvas_of_the_shipped_detector(capfd):
    assert boxray.load().canvas_hw == (DEFAULT_CANVAS, DEFAULT_CANVAS)
    assert 0 == cli.run(["data", "doctor", "--help"])
    assert f"{DEFAULT_CANVAS} if unset" in capfd.readouterr().out


def test_warnings_fail_only_if_strict_and_checks_can_be_chosen(shapes, capfd):
    (shapes / "Annotations" / "shapes_00003.xml").unlink()
    words = ["data", "doctor", str(shapes), "--json"]
    assert 0 == cli.run(words)
    finding = json.loads(capfd.readouterr().out)["findings"][0]
    assert ("missing-labels", "warning") == (finding["check"], finding["severity"])
    assert 1 == cli.run([*words, "--strict"])
    assert 0 == cli.run([*words, "--strict", "--skip", "missing-labels"])
    assert 0 == cli.run([*words, "--strict", "--only", "empty-box,tiny-object"])
    assert 2 == cli.run([*words, "--only", "empty-boxes"])
    assert "Did you mean 'empty-box'" in capfd.readouterr().err


def test_the_page_is_never_put_into_the_data(shapes):
    assert 2 == cli.run(["data", "doctor", str(shapes), "--output", str(shapes / "page.html")])


def test_a_reading_that_was_kept_is_found_as_ill(shapes, capfd, tmp_path):
    (shapes / "JPEGImages" / "shapes_00003.jpg").unlink()
    path = shapes / "Annotations" / "shapes_00004.xml"
    path.write_text(path.read_text().replace("<xmax>", "<xmax>9", 1))
    words = ["data", "doctor", str(shapes), "--json"]
    told = []
    for more in ([], ["--cache", str(tmp_path / "kept")], ["--cache", str(tmp_path / "kept")]):
        assert 1 == cli.run([*words, *more])
        told.append(json.loads(capfd.readouterr().out)["findings"])
    assert 2 <= len(told[0])
    assert told[0] == told[1] == told[2]
    assert any((tmp_path / "kept").iterdir())
