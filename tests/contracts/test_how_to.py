"""The toy detector of docs/how-to/add-a-detector.md is added as the page says, and trained."""

import re
import sys
from pathlib import Path
from types import ModuleType

from boxray import bundle, recipes
from boxray.data.synthetic import make
from boxray.training import TrainSettings, train

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "add-a-detector.md"


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
