"""`boxray data proposals`: a table, a plot, a document."""

import json
from pathlib import Path

import pytest
from PIL import Image

from boxray import cli
from boxray.data import synthetic

pytest.importorskip("cv2.ximgproc", reason="needs OpenCV: pip install 'boxray[proposals]'")


@pytest.mark.parametrize("way", ["selective-search", "selective-search-quality", "edge-boxes"])
def test_it_counts_the_objects_that_proposals_reach(tmp_path, capfd, way):
    root = synthetic.make(tmp_path / "d", images=3, seed=1)
    out = tmp_path / "out"
    words = ["data", "proposals", str(root), "--way", way, "--side", "200", "--limit", "2"]
    assert 0 == cli.run([*words, "--output", str(out), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ("boxray.data.proposals/1", way, 2) == (
        document["schema"],
        document["way"],
        document["images"],
    )
    recall = document["recall"]["0.50"]
    assert len(document["counts"]) == len(recall)
    assert sorted(recall) == recall, "more proposals reach no less"
    assert recall[-1] > 0.5, "bold shapes on a plain ground"
    with Image.open(document["picture"]) as picture:
        assert "PNG" == picture.format
    assert 0 == cli.run([*words, "--output", str(out), "--overwrite"])
    assert "average recall" in capfd.readouterr().out


def test_nothing_is_written_with_json_alone(tmp_path, monkeypatch):
    root = synthetic.make(tmp_path / "d", images=3, seed=1)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert 0 == cli.run(["data", "proposals", str(root), "--limit", "1", "--json"])
    assert [] == list(Path.cwd().iterdir())


def test_an_edge_model_is_for_edge_boxes(tmp_path, capfd):
    root = synthetic.make(tmp_path / "d", images=3, seed=1)
    assert 2 == cli.run(["data", "proposals", str(root), "--edge-model", "model.yml.gz"])
    assert "--way edge-boxes" in capfd.readouterr().err
