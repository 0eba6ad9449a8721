"""The user's data is the same, byte for byte, after everything that reads it."""

import hashlib
from pathlib import Path

import pytest

from architecture.source import DEFAULT_MODEL, NO_DEFAULT_MODEL
from boxray.cli import run
from boxray.data import read, splits, write
from boxray.data.formats import FORMATS
from boxray.data.synthetic import make

CLASSES = ("person", "car", "dog")  # of the shipped model, so that it can be evaluated


def state(folder: Path) -> dict[str, tuple]:
    """Every path below a folder, with what it holds, when it was written, and who may do what."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        about = path.lstat()
        content = path.read_bytes() if path.is_file() else b""
        digest = hashlib.sha256(content).hexdigest()
        found[str(path)] = digest, about.st_mtime_ns, about.st_mode, about.st_size
    return found


@pytest.fixture(params=sorted(FORMATS))
def data(request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set with splits in one format; results go elsewhere."""
    made = make(tmp_path / "made", images=10, seed=0, classes=CLASSES)
    write([read(made, split) for split in splits(made)], tmp_path / "data", request.param)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path / "data"


def test_looking_at_it_and_writing_it_anew_change_nothing(data, tmp_path, monkeypatch):
    before = state(data)
    for verb in ("show", "stats", "grid"):
        assert 0 == run(["data", verb, str(data), "--output", verb])
    assert 0 == run(["data", "priors", str(data), "--output", "priors"])
    assert 0 == run(["data", "browse", str(data), "--output", "browse.html"])
    for name in FORMATS:
        write(read(data), Path(name), name)
    monkeypatch.chdir(data)  # not even where it is the working folder and nothing else is said
    assert 0 == run(["data", "show", ".", "--json"])
    assert before == state(data)


def test_evaluating_on_it_changes_nothing(data, tmp_path):
    if not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    before = state(data)
    assert 0 == run(["evaluate", "default", str(data), "--json", "--cache", "kept"])
    assert before == state(data)
    assert 1 == len(list(Path("kept").iterdir()))


@pytest.mark.slow
def test_learning_from_it_changes_nothing(data, tmp_path):
    pytest.importorskip("torch", reason="training needs torch")
    before = state(data)
    asked = ["--epochs", "1", "--size", "64", "--batch", "4", "--output", "run", "--json"]
    assert 0 == run(["train", str(data), *asked])
    assert before == state(data)
    assert (Path("run") / "split.json").exists()
