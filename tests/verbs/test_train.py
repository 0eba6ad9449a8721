"""`train` and `resume` hand over to torch, and say what to install where there is none."""

import builtins
import json
from dataclasses import fields
from pathlib import Path

import pytest

from boxray.errors import MissingExtra, SettingError
from boxray.verbs import train as verb
from boxray.verbs.explain_evidence import network_of


@pytest.fixture
def without_torch(monkeypatch):
    """Importing boxray.training fails as it does where torch is not installed."""
    original = builtins.__import__

    def absent(name, globals=None, locals=None, fromlist=(), level=0):  # noqa: A002
        of_training = name == "boxray" and "training" in (fromlist or ())
        if of_training or name.startswith("boxray.training"):
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
        return original(name, globals, locals, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", absent)


def test_without_torch_the_message_is_the_line_to_type(without_torch, tmp_path):
    for attempt in (
        lambda: verb.train([tmp_path], tmp_path / "run", options={}),
        lambda: verb.resume(tmp_path),
        lambda: network_of(tmp_path),
    ):
        with pytest.raises(MissingExtra, match=r'needs torch.*pip install "boxray\[train\]"'):
            attempt()


def test_a_run_is_not_written_into_the_data_it_learns_from(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="needs torch: pip install 'boxray[train]'")
    with pytest.raises(SettingError, match="which is only read"):
        verb.train([tmp_path], tmp_path / "deep" / "run", options={})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=r"runs/.* lies inside ., which is only read"):
        verb.train([Path()], options={})
    assert not list(tmp_path.iterdir())


def test_a_run_without_a_name_gets_the_first_free_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Path("runs/bccd") == verb._free_run([Path("data/bccd")])
    Path("runs/bccd").mkdir(parents=True)
    assert Path("runs/bccd-2") == verb._free_run([Path("data/bccd")])


def test_the_report_is_the_document_of_the_design():
    report = verb.TrainReport(Path("runs/x"), 120, 0.5, 0.61, 33.0, None)
    document = json.loads(json.dumps(report.to_dict()))
    assert "boxray.train/1" == document["schema"]
    assert {"run", "best", "metrics", "wall_s"} <= set(document)
    assert "boxray detect PICTURE --model runs/x" in report.summary()[1]


def test_the_report_has_the_fields_of_the_training_s_own_result():
    pytest.importorskip("torch", reason="needs torch: pip install 'boxray[train]'")
    from boxray.training import TrainResult

    assert {f.name for f in fields(TrainResult)} == {f.name for f in fields(verb.TrainReport)}
