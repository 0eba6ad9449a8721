"""The walk of `detect` stays within its budget, and docs/walk.md tells it as it is."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from architecture.source import DEFAULT_MODEL, NO_DEFAULT_MODEL, ROOT
from boxray import load

MOST = {"files": 8, "functions": 30, "lines": 300, "depth": 6}


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> dict:
    """What tests/architecture/walk.py measures on a photo."""
    if not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    photo = tmp_path_factory.mktemp("walk") / "photo.jpg"
    try:
        from skimage.data import astronaut

        picture = astronaut()
    except ImportError:  # without the demo's photos the walk is shorter, not different
        picture = np.full((240, 320, 3), 128, np.uint8)
    Image.fromarray(picture).save(photo)
    done = subprocess.run(
        [sys.executable, "-m", "architecture.walk", str(photo)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert 0 == done.returncode, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_detect_walks_few_files(walk: dict):
    assert len(walk["files"]) <= MOST["files"], walk["files"]


@pytest.mark.parametrize("measure", ["functions", "lines", "depth"])
def test_detect_stays_within_its_budget(walk: dict, measure: str):
    assert walk[measure] <= MOST[measure], walk


def test_the_walk_in_the_docs_names_every_function_that_runs(walk: dict):
    text = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `([\w/]+\.py)` \| (.+?) \|", text, re.MULTILINE)
    told = {f"{file} {name}" for file, names in listed for name in re.findall(r"`([^`]+)`", names)}
    assert set(walk["named"]) == told


def test_the_walk_in_the_docs_is_on_the_canvas_of_the_shipped_model():
    if not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    height, width = load("default").canvas_hw
    rows = sum(3 * (height // stride) * (width // stride) for stride in (8, 16, 32))
    text = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
    assert f"a canvas of {height}×{width}" in text
    assert f"({rows}, 25)" in text


def test_the_budget_is_measured_on_the_shipped_model():
    if not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    assert DEFAULT_MODEL.stat().st_size < 12_000_000  # bytes; the package stays light
    together = sum(path.stat().st_size for path in DEFAULT_MODEL.parent.glob("*.onnx"))
    assert together < 22_000_000
    assert Path(ROOT / "src" / "boxray" / "models") == DEFAULT_MODEL.parent
