"""The toy detector of docs/how-to/add-a-detector.md is added as the page says, and trained."""

import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from boxray import bundle, recipes
from boxray.data.synthetic import make
from boxray.training import TrainSettings, train

PAGES = Path(__file__).parents[2] / "docs" / "how-to"
PAGE = PAGES / "add-a-detector.md"


def test_one_network_file_one_recipe_and_one_line_are_a_detector(tmp_path, monkeypatch):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    for name, code in zip(("networks.toy", "recipes.toy"), blocks, strict=True):
        assert f"src/boxray/{name.replace('.', '/')}.py" in text
        module = ModuleType(f"boxray.{name}")
        monkeypatch.setitem(sys.modules, module.__name__, module)
        exec(compile(code, module.__name__, "exec"), module.__dict__)
    (line,) = re.findall(r'^    "(\w+)": "(\w+)",$', text, re.MULTILINE)
    monkeypatch.setitem(recipes.TABLE, *line)

    pictures = make(tmp_path / "shapes", images=5, seed=0)
    settings = TrainSettings(
        data=(pictures,),
        output=tmp_path / "run",
        recipe="toy",
        size=64,
        epochs=1.0,
        batch=2,
        threads=1,
        workers=0,
    )
    assert 2 == train(settings).steps
    detector = bundle.load(tmp_path / "run", threads=1).with_thresholds(score_threshold=0.0)
    assert len(detector.detect(next((pictures / "JPEGImages").iterdir()))) > 0


@pytest.mark.slow
def test_torchvisions_weights_become_a_model_as_the_page_says(tmp_path, monkeypatch):
    detection = pytest.importorskip("torchvision").models.detection
    text = (PAGES / "torchvision-weights.md").read_text(encoding="utf-8")
    loading, making = re.findall(r"^```python[^\n]*\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    weights = detection.fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    made = {"weights": weights}
    naming = loading.replace(re.findall(r"^weights = .*\n", loading, re.MULTILINE)[0], "")
    exec(compile(naming + making.replace("(800, 800)", "(64, 96)"), "page", "exec"), made)
    detector = bundle.load("torchvision-coco", threads=1).with_thresholds(score_threshold=0.0)
    assert 90 == len(set(detector.classes))
    assert ("person", "toothbrush") == (detector.classes[0], detector.classes[-1])
    assert len(detector.detect(np.zeros((50, 70, 3), np.uint8))) > 0
