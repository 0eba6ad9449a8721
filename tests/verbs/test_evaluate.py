"""`evaluate` finds the split and the classes by itself, and refuses what does not fit."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray import bundle
from boxray.cli import run
from boxray.data import Conventions, read
from boxray.errors import FormatError, SettingError
from boxray.evaluation import evaluate as judge
from boxray.verbs.evaluate import Losses, evaluate
from boxray.verbs.evaluation_tables import evaluation
from boxray.verbs.running import Running

OBJECT = (
    "<object><name>{name}</name><bndbox><xmin>5</xmin><ymin>5</ymin>"
    "<xmax>30</xmax><ymax>30</ymax></bndbox></object>"
)


@pytest.fixture(scope="module")
def running(tmp_path_factory) -> Running:
    return Running(model=tiny_model.write(tmp_path_factory.mktemp("model")), threads=1)


def voc(folder, names=("cat", "person", "cat"), split="val"):
    """A VOC data set of one object per picture; all of it in one split."""
    chance = np.random.default_rng(3)
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, name in enumerate(names):
        picture = Image.fromarray(chance.integers(0, 256, (40, 60, 3), np.uint8))
        picture.save(folder / f"JPEGImages/{number}.jpg")
        size = "<size><width>60</width><height>40</height><depth>3</depth></size>"
        text = f"<annotation>{size}{OBJECT.format(name=name)}</annotation>"
        (folder / f"Annotations/{number}.xml").write_text(text)
    stems = "".join(f"{number}\n" for number in range(len(names)))
    (folder / f"ImageSets/Main/{split}.txt").write_text(stems)
    return folder


def test_a_run_that_is_judged_on_what_it_learned_from_says_so(tmp_path):
    folder, trained = voc(tmp_path / "data"), tmp_path / "run"
    trained.mkdir()
    tiny_model.write(trained).rename(trained / "model.onnx")
    asked = Running(model=trained, threads=1)
    assert not [note for note in evaluate(asked, folder).notes if "learned from" in note]
    settings = {"settings": {"data": {"value": [str(folder)], "origin": "user"}}}
    (trained / "settings.json").write_text(json.dumps(settings))
    learned = {"train": ["JPEGImages/0.jpg", "JPEGImages/2.jpg"], "val": ["JPEGImages/1.jpg"]}
    (trained / "split.json").write_text(json.dumps(learned))
    (note,) = [note for note in evaluate(asked, folder).notes if "learned from" in note]
    assert f"warning: {trained} learned from 2 of these 3 pictures" in note
    same_names = voc(tmp_path / "other")
    assert not [note for note in evaluate(asked, same_names).notes if "learned from" in note]


@pytest.mark.parametrize("protocol", ["coco", "voc"])
def test_the_document_has_the_numbers_and_what_they_are_of(running, tmp_path, protocol):
    told = []
    report = evaluate(
        running,
        voc(tmp_path / "data"),
        protocol=protocol,
        on_image=lambda done, total: told.append((done, total)),
    )
    document = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert "boxray.evaluate/1" == document["schema"]
    assert (protocol, "val", 3, "tiny") == tuple(
        document[field] for field in ("protocol", "split", "images", "model")
    )
    assert 0 <= document["metrics"]["AP50"] <= 1
    assert set(tiny_model.CLASSES) == set(document["per_class"])
    assert document["per_class"]["motorbike"]["AP50"] is None  # no truth, so no number
    assert (0.001, 0.25) == (document["score_floor"], document["display_threshold"])
    assert [(1, 3), (2, 3), (3, 3)] == told


def test_the_test_split_is_preferred_to_val(running, tmp_path):
    folder = voc(tmp_path)
    (folder / "ImageSets/Main/test.txt").write_text("0\n")
    assert ("test", 1) == (
        evaluate(running, folder).evaluation.split,
        evaluate(running, folder).evaluation.images,
    )
    assert "val" == evaluate(running, folder, split="val").evaluation.split


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_data_without_splits_is_divided_as_in_the_models_training(
    running, tmp_path, monkeypatch, seed
):
    folder = voc(tmp_path, names=("cat",) * 10)
    (folder / "ImageSets/Main/val.txt").unlink()
    states = replace(bundle.describe(*bundle.read(running.model)), recipe={"seed": seed})
    monkeypatch.setattr(bundle, "describe", lambda *_: states)
    judged, told = [], []
    monkeypatch.setattr(
        "boxray.verbs.evaluate.judge",
        lambda detector, dataset, **how: judged.append(dataset) or judge(detector, dataset, **how),
    )
    evaluate(running, folder, on_image=lambda done, total: told.append((done, total)))
    val = read(folder, "val", conventions=Conventions(split_seed=seed))
    assert [s.path for s in val.samples] == [s.path for s in judged[0].samples]
    assert [*((done, 10) for done in range(1, 11)), (1, 2), (2, 2)] == told


def test_other_names_for_the_same_things_are_matched(running, tmp_path):
    # COCO's motorcycle is VOC's motorbike; a class file adds what nobody could know
    folder = voc(tmp_path / "data", names=("motorcycle", "moggy"))
    plain = evaluate(running, folder)
    assert plain.evaluation.per_class["motorbike"]["AP50"] is not None
    assert plain.evaluation.per_class["cat"]["AP50"] is None
    (tmp_path / "classes.txt").write_text("person\ncat: moggy\nmotorbike\n")
    told = evaluate(running, folder, classes=tmp_path / "classes.txt")
    assert told.evaluation.per_class["cat"]["AP50"] is not None


def test_data_without_a_class_of_the_model_is_refused_with_both_lists(running, tmp_path):
    with pytest.raises(SettingError, match="has zebra; the model knows person, cat, motorbike"):
        evaluate(running, voc(tmp_path, names=("zebra",)))


def test_what_is_no_data_set_or_split_is_refused(running, tmp_path):
    with pytest.raises(FormatError):
        evaluate(running, tmp_path)
    with pytest.raises(FormatError, match="holdout"):
        evaluate(running, voc(tmp_path), split="holdout")


def test_an_unknown_protocol_gets_a_suggestion(running, tmp_path):
    with pytest.raises(SettingError, match="Did you mean 'voc'"):
        evaluate(running, voc(tmp_path), protocol="vocc")


def test_the_tables_show_intervals_and_what_is_undefined(running, tmp_path):
    from rich.console import Console

    console = Console(width=120)
    with console.capture() as captured:
        for part in evaluation(evaluate(running, voc(tmp_path))):
            console.print(part)
    text = captured.get()
    assert "95 % interval" in text
    assert "n/a" in text
    assert "split 'val'" in text


def test_a_page_shows_what_was_lost_and_the_pictures_that_lost_most(running, tmp_path):
    page = tmp_path / "lost.html"
    folder = voc(tmp_path / "data")
    cut_off = folder / "JPEGImages/2.jpg"
    cut_off.write_bytes(cut_off.read_bytes()[:-500])
    report = evaluate(running, folder, losses=Losses(page))
    assert str(page) == report.to_dict()["page"]
    (data,) = re.findall(
        r'<script type="application/json" id="data">(.*?)</script>', page.read_text()
    )
    by_title = {one["heading"]: one["blocks"] for one in json.loads(data)["sections"]}
    words, counts = by_title["What became of the objects"]
    assert "`" not in str(words)  # nothing there turns it into another font
    assert list(report.waterfall.outcomes) == counts["head"][1:]
    assert list(map(str, report.waterfall.outcomes.values())) == counts["rows"][0][1:]
    shown, unread = by_title["Where most was lost"]
    lost = {Path(path).name: count for path, count in report.waterfall.worst}
    assert "2.jpg" in unread["lines"][0]
    assert lost.pop("2.jpg") == 1
    assert list(lost) == [shot["title"] for shot in shown["shots"]]
    for shot in shown["shots"]:
        assert f"{lost[shot['title']]} of 1 not found" in shot["words"]
        (annotated,) = [one for one in shot["outlines"] if one["dashed"]]
        assert [4, 4, 30, 30] == annotated["edges"]  # VOC counts from 1
    (knobs,) = by_title["What turning a threshold would do"]
    assert sum(map(len, report.waterfall.curves.values())) == len(knobs["rows"])


def test_a_page_without_its_numbers_or_over_something_is_refused(running, tmp_path, capsys):
    page = str(tmp_path / "lost.html")
    assert 2 == run(["evaluate", "default", str(tmp_path), "--html", page])
    assert "add that" in capsys.readouterr().err
    (tmp_path / "lost.html").write_text("mine")
    with pytest.raises(SettingError, match="--overwrite"):
        evaluate(running, tmp_path / "data", losses=Losses(tmp_path / "lost.html"))
