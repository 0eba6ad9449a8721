"""`boxray data grid`: a picture, a table, a document."""

import json
from pathlib import Path

from PIL import Image

from boxray import cli
from boxray.data import synthetic


def test_it_draws_one_image_and_says_who_answers(tmp_path, capfd):
    root = synthetic.make(tmp_path / "d", images=3, seed=1)
    out = tmp_path / "out"
    words = ["data", "grid", str(root), "--cells", "4", "--priors", "2", "--output", str(out)]
    assert 0 == cli.run([*words, "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.grid/1", 4, 2) == (
        document["schema"],
        document["cells"],
        len(document["priors_wh"]),
    )
    assert {"label", "row", "column", "place", "prior", "iou"} == set(document["objects"][0])
    with Image.open(document["picture"]) as picture:
        assert 1280 == max(picture.size)
    assert 2 == cli.run(words), "a folder that is not empty needs --overwrite"


def test_nothing_is_written_with_json_alone(tmp_path, monkeypatch):
    root = synthetic.make(tmp_path / "d", images=3, seed=1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert 0 == cli.run(["data", "grid", str(root), "--json"])
    assert [] == list(Path.cwd().iterdir())
    assert 0 == cli.run(["data", "grid", str(root)])
    assert ["shapes_00000.grid.jpg"] == [path.name for path in Path("boxray-data").iterdir()]
