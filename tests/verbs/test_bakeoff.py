"""A bake-off measures each model once, in a process of its own, and goes on where it was."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

import boxray
import tiny_model
from boxray.bundle.contents import contents
from boxray.cli import run
from boxray.errors import MissingExtra, OutputError, SettingError
from boxray.verbs import bakeoff as verb
from boxray.verbs.bakeoff import Terms, bakeoff
from boxray.verbs.bakeoff_tables import bakeoff as tables
from verbs.test_evaluate import voc


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> list[Path]:
    """Two models of different weights."""
    folder = tmp_path_factory.mktemp("models")
    other = json.dumps(tiny_model.document({"name": "other"}))
    (folder / "other.onnx").write_bytes(tiny_model.sealed(other, tiny_model.graph(seed=1)))
    return [tiny_model.write(folder), folder / "other.onnx"]


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return voc(tmp_path_factory.mktemp("data") / "voc", names=("cat", "person") * 3)


TERMS = Terms(protocol="voc", threads=1, limit=4)


def test_models_are_measured_once_and_told_together(models, data, tmp_path, capfd, monkeypatch):
    output = tmp_path / "out"
    arguments = ["bakeoff", str(data), "--models", *map(str, models), "--output", str(output)]
    arguments += ["--protocol", "voc", "--limit", "4", "--threads", "1", "--json"]
    assert 0 == run(arguments)
    document = json.loads(capfd.readouterr().out)
    assert document == json.loads((output / "bakeoff.json").read_text())
    assert "boxray.bakeoff/1" == document["schema"]
    assert ("voc", "val", 4, 0, 1, "AP50") == tuple(
        document[name] for name in ("protocol", "split", "images", "seed", "threads", "metric")
    )
    assert ["tiny", "other"] == [entry["model"] for entry in document["models"]]
    assert 2 == len(list((output / "measured").iterdir()))
    assert b"\x89PNG" == (output / "bakeoff.png").read_bytes()[:4]

    def refuse(*_):
        raise AssertionError("measured again")

    monkeypatch.setattr(verb, "_in_its_own_process", refuse)
    again = bakeoff(models, data, terms=TERMS, output=output)
    assert document == again.to_dict()
    with pytest.raises(AssertionError, match="measured again"):
        bakeoff(models, data, terms=Terms(protocol="coco", threads=1, limit=4), output=output)


def test_a_model_that_fails_is_told_and_stops_no_other(models, data, tmp_path, capfd):
    output, broken = tmp_path / "out", tmp_path / "broken.onnx"
    broken.write_bytes(tiny_model.sealed(None, tiny_model.graph(class_count=2)))  # it says 3
    words = ["bakeoff", str(data), "--output", str(output), "--protocol", "voc", "--limit", "4"]
    words += ["--threads", "1"]
    assert 1 == run([*words, str(models[0]), str(broken), str(models[1])])
    table = capfd.readouterr().out
    assert "not measured, because" in table
    assert 1 == run([*words, str(models[0]), str(broken), str(models[1]), "--json"])
    document = json.loads(capfd.readouterr().out)
    assert ["tiny", "other"] == [entry["model"] for entry in document["models"]]
    ((name, why),) = document["failed"].items()
    assert str(broken) == name
    assert "channels" in why
    assert document == json.loads((output / "bakeoff.json").read_text())
    copied = Path(shutil.copy(models[0], tmp_path / "copied.onnx"))
    same = bakeoff([models[0], copied], data, terms=TERMS, output=output).entries
    assert [str(models[0]), str(copied)] == [entry["model"] for entry in same]
    twin = Path(shutil.copy(broken, tmp_path / "twin.onnx"))
    with pytest.raises(OutputError, match="no model could be measured"):
        bakeoff([broken, twin], data, terms=TERMS, output=tmp_path / "other")


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("sys.exit(3)", "its process ended with exit code 3"),
        ("os.kill(os.getpid(), 9)", "by signal 9, as by a system that has no memory left"),
    ],
)
def test_a_process_that_ends_without_a_word_is_told(
    models, data, tmp_path, monkeypatch, ending, told
):
    output = tmp_path / "out"
    before = bakeoff(models, data, terms=TERMS, output=output).entries
    third = tmp_path / "third.onnx"
    third.write_bytes(tiny_model.sealed(None, tiny_model.graph(seed=2)))
    command = verb._command

    def stopped(*asked):  # when it has written all that it writes
        whole = f"import os, subprocess, sys; subprocess.run({command(*asked)}); {ending}"
        return [sys.executable, "-c", whole]

    with monkeypatch.context() as patch:
        patch.setattr(verb, "_command", stopped)
        report = bakeoff([*models, third], data, terms=TERMS, output=output)
    assert before == report.entries
    assert told in report.failed[str(third)]
    after = bakeoff([*models, third], data, terms=TERMS, output=output)
    assert not after.failed
    assert 3 == len(after.entries) == len(list((output / "measured").iterdir()))


def test_numbers_are_of_these_truths_terms_and_this_version(models, data, monkeypatch):
    _, dataset = verb._drawn(TERMS, data)
    key = verb._key(models[0], dataset, TERMS)
    assert key == verb._key(models[0], dataset, TERMS)
    assert key != verb._key(models[1], dataset, TERMS)
    assert key != verb._key(models[0], dataset, replace(TERMS, threads=2))
    first, *others = dataset.samples
    hard = replace(first, truths=replace(first.truths, difficult=~first.truths.difficult))
    other = replace(dataset, samples=(hard, *others))
    assert key != verb._key(models[0], other, TERMS)  # VOC sets difficult ones aside
    coco = replace(TERMS, protocol="coco")
    assert key != verb._key(models[0], dataset, coco)
    monkeypatch.setattr(boxray, "__version__", "0.0.0")
    assert key != verb._key(models[0], dataset, TERMS)


def test_a_bake_off_that_cannot_be_drawn_is_refused_before_the_work(models, data, tmp_path):
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.figure", None)
        with pytest.raises(MissingExtra, match="matplotlib"):
            bakeoff(models, data, terms=TERMS, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_is_drawn_depends_on_the_seed_alone(models, data, tmp_path):
    def drawn(seed: int, limit: int | None = 3) -> list[str]:
        _, dataset = verb._drawn(Terms(protocol="voc", limit=limit, seed=seed), data)
        return [sample.path.name for sample in dataset.samples]

    assert drawn(1) == drawn(1)
    assert 3 == len(set(drawn(1)))
    assert 1 < len({tuple(drawn(seed)) for seed in range(6)})
    assert 6 == len(drawn(0, limit=None)) == len(drawn(0, limit=99))


def test_a_model_alone_is_measured_here_and_its_tables_say_what_it_takes(models, data, tmp_path):
    done = []
    report = bakeoff(
        models[:1],
        data,
        terms=TERMS,
        output=tmp_path / "out",
        on_image=lambda n, count: done.append((n, count)),
    )
    assert [(1, 4), (2, 4), (3, 4), (4, 4)] == done
    (entry,) = report.entries
    assert ("tiny", "one", 1) == (entry["model"], entry["stages"], entry["forward_passes"])
    assert entry["size_bytes"] == models[0].stat().st_size
    lines = [part for part in tables(report) if isinstance(part, str)]
    assert lines[0].startswith("1 models on 4 images of ")
    assert lines[0].endswith("split 'val', by VOC's rules, 1 thread")


def test_parameters_are_the_numbers_in_the_graph(models):
    weights = onnx.load(models[0]).graph.initializer
    # three levels of 2·(5 + 3) = 16 channels: 16·3·(8² + 16² + 32²)
    assert 16 * 3 * (64 + 256 + 1024) == contents(models[0]).parameters
    assert 3 == len(weights)


@pytest.mark.parametrize(
    "named,told", [([], "needs models"), (["default", "default"], "named twice")], ids=str
)
def test_a_list_that_is_no_comparison_is_refused(named, told, data, tmp_path):
    with pytest.raises(SettingError, match=told):
        bakeoff(named, data, output=tmp_path / "out")


def test_a_folder_with_something_else_in_it_is_left_alone(models, data, tmp_path):
    (tmp_path / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(SettingError, match="something else than a bake-off"):
        bakeoff(models, data, terms=TERMS, output=tmp_path)
    assert ["thesis.txt"] == [path.name for path in tmp_path.iterdir()]


def test_numbers_that_cannot_be_read_are_named(models, data, tmp_path):
    bakeoff(models[:1], data, terms=TERMS, output=tmp_path / "out")
    (kept,) = (tmp_path / "out" / "measured").iterdir()
    kept.write_text("{")
    with pytest.raises(OutputError, match="cannot be read"):
        bakeoff(models[:1], data, terms=TERMS, output=tmp_path / "out")


def test_what_cannot_be_compared_is_refused_before_any_work(models, data, tmp_path):
    dogs = voc(tmp_path / "dogs", names=("dog", "horse"))
    for folder, output, told in (
        (dogs, tmp_path / "out", "share no class name"),
        (data, data / "out", "which is only read"),
    ):
        with pytest.raises(SettingError, match=told):
            bakeoff(models, folder, terms=TERMS, output=output)
        assert not output.exists()
