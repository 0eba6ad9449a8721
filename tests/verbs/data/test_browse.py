"""`boxray data browse`: one file, outside the data."""

import json

import pytest

from boxray import cli
from boxray.data import synthetic


@pytest.fixture
def shapes(tmp_path):
    return synthetic.make(tmp_path / "data", images=3, seed=3)


def test_it_writes_one_page(shapes, tmp_path, capfd):
    page = tmp_path / "pages" / "shapes.html"
    words = ["data", "browse", str(shapes), "--limit", "2", "--output", str(page), "--json"]
    assert 0 == cli.run(words)
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.browse/1", 3, 2) == tuple(
        document[k] for k in ("schema", "images", "shown")
    )
    assert page.read_text("utf-8").startswith("<!doctype html>")
    assert 2 == cli.run(words), "the file exists"
    assert 0 == cli.run([*words, "--overwrite"])


@pytest.mark.parametrize("name", ["page.txt", "data/page.html"])
def test_it_writes_neither_another_ending_nor_into_the_data(shapes, tmp_path, name, capfd):
    assert 2 == cli.run(["data", "browse", str(shapes), "--output", str(tmp_path / name)])
    assert "--output" in capfd.readouterr().err
    assert not (tmp_path / name).exists()
