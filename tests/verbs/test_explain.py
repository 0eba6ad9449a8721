"""`boxray explain`: one question, one answer, as a tree, a document and a drawing."""

import json

import numpy as np
import pytest
from PIL import Image

import tiny_model
from boxray import bundle
from boxray.cli import run
from boxray.explain import Hiding
from boxray.verbs import explain_tables
from boxray.verbs.explain import Question, explain_image
from boxray.verbs.explain_tables import where
from boxray.verbs.running import Running


@pytest.fixture
def photo(tmp_path):
    pixels = np.random.default_rng(1).integers(0, 256, (75, 110, 3), dtype=np.uint8)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def model(tmp_path):
    return tiny_model.write(tmp_path)


def asked(capsys, *arguments) -> dict:
    assert 0 == run(["explain", *map(str, arguments), "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_best_box_is_explained_unless_something_else_is_asked(photo, model, capsys):
    told = asked(capsys, photo, "--model", model)
    best = next(iter(bundle.load(model).detect(photo)))
    assert "boxray.explain/1" == told["schema"]
    assert list(best[0]) == pytest.approx(told["box"]["box"])
    assert best[2] == told["box"]["label"]
    assert {"tx", "ty", "tw", "th", "to"} == set(told["box"]["origins"][0]["raw"])


def test_a_point_without_a_box_is_a_miss_with_its_killer(photo, model, capsys):
    told = asked(capsys, photo, "--model", model, "--at", "5,5", "--score-threshold", "1")
    assert "score" == told["miss"]["killer"]
    assert told["miss"]["counterfactual"]["score_threshold"] is not None


def test_every_object_of_a_data_set_has_a_verdict(tmp_path, photo, model, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    photo = photo.rename(folder / "photo.png")
    objects = "".join(
        f"<object><name>{name}</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>60</xmax>"
        "<ymax>60</ymax></bndbox></object>"
        for name in ("cat", "person")
    )
    size = "<size><width>110</width><height>75</height><depth>3</depth></size>"
    (folder / "photo.xml").write_text(
        f"<annotation><filename>photo.png</filename>{size}{objects}</annotation>"
    )
    told = asked(capsys, photo, "--model", model, "--truth", folder)
    assert ["cat", "person"] == [one["label"] for one in told["truths"]]
    assert all((one["killer"] is None) == (one["detection"] is not None) for one in told["truths"])


def test_the_tree_says_the_numbers_of_the_document(photo, model, capsys):
    told = asked(capsys, photo, "--model", model)["box"]
    assert 0 == run(["explain", str(photo), "--model", str(model)])
    text = capsys.readouterr().out
    assert f"{told['score']:.4f}" in text
    assert told["origins"][0]["steps"][0]["formula"] in text
    assert "passed score_threshold" in text


def test_a_reader_is_told_which_number_is_the_column_and_which_the_width():
    grid = {"level": 2, "stride": 32, "cell": [4, 5], "prior": [125.08, 211.8]}
    assert "level 2; stride 32; cell in column 4, row 5; prior 125.1 x 211.8" == where(grid)
    window = {"level": 0, "window": [64, 32], "step": [3, 0]}
    assert "level 0; window 64 x 32; step 3 across, 0 down" == where(window)
    assert "proposal 7" == where({"proposal": 7})


def test_a_drawing_is_put_where_it_is_asked_for(photo, model, tmp_path):
    for question in (Question(box=0), Question(at=(5.0, 5.0))):
        report = explain_image(
            photo,
            Running(model=model),
            question,
            output=tmp_path / "why",
            overwrite=True,
        )
        with Image.open(report.picture) as drawn:
            assert (110, 75) == drawn.size
        assert explain_tables.explanation(report)


def test_with_pixels_a_heat_map_and_its_numbers_are_written(photo, model, tmp_path):
    for folder, question in (("box", {"box": 0}), ("point", {"at": (5.0, 5.0)})):
        report = explain_image(
            photo,
            Running(model=model),
            Question(**question, hiding=Hiding(most=16)),
            output=tmp_path / folder,
        )
        (evidence,) = report.evidence
        with Image.open(tmp_path / folder / "photo.pixels.png") as drawn:
            assert (110, 75) == drawn.size
        told = json.loads((tmp_path / folder / "photo.pixels.json").read_text())
        assert "boxray.evidence/1" == told["schema"]
        assert [evidence.to_dict()] == report.to_dict()["evidence"]
        assert 16 == told["evidence"][0]["masks"]
        assert explain_tables.explanation(report)
    result = bundle.load(model).detect(photo)
    (box, _, name) = next(iter(result))
    evidence = result.evidence(0, Hiding(most=16))
    assert (box, name) == (evidence.box, evidence.label)
    assert 16 == bundle.load(model).evidence_at(photo, 5.0, 5.0, Hiding(most=16)).masks


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--box", "999"], "no detection 999"),
        (["--score-threshold", "1"], "Lower the score_threshold, 1 now, or ask why nothing is at"),
        (["--at", "5"], "two numbers"),
        (["--at", "nan,5"], "two numbers"),
        (["--at", "500,5"], "outside the image"),
        (["--box", "0", "--at", "5,5"], "give one of them"),
        (["--box", "0", "--gradients"], "a run folder with its checkpoints"),
    ],
)
def test_wrong_use_is_refused_in_one_line(photo, model, capsys, arguments, said):
    assert 2 == run(["explain", str(photo), "--model", str(model), *arguments])
    error = capsys.readouterr().err
    assert said in error
    assert 1 == len(error.strip().splitlines())


def test_a_result_explains_itself_and_its_detector_a_point(photo, model):
    detector = bundle.load(model)
    result = detector.detect(photo)
    life = result.explain(0)
    assert result.boxes[0].tolist() == list(life.box)
    x, y = (life.box[0] + life.box[2]) / 2, (life.box[1] + life.box[3]) / 2
    assert type(life) is type(detector.explain_at(photo, x, y))


def test_a_page_is_put_where_it_is_asked_for(photo, model, tmp_path, capsys):
    page = tmp_path / "why.html"
    told = asked(capsys, photo, "--model", model, "--html", page)
    assert str(page) == told["page"]
    assert told["box"]["label"] in page.read_text("utf-8")
    assert 2 == run(["explain", str(photo), "--model", str(model), "--html", str(page)])
    assert "--overwrite" in capsys.readouterr().err
    wrong = tmp_path / "why.txt"
    assert 2 == run(["explain", str(photo), "--model", str(model), "--html", str(wrong)])
    assert "ends in .html" in capsys.readouterr().err


def test_a_page_is_made_of_a_picture_without_detections(photo, model, tmp_path, capsys):
    page = tmp_path / "why.html"
    told = asked(capsys, photo, "--model", model, "--score-threshold", "1", "--html", page)
    assert "box" not in told
    assert "miss" not in told
    assert page.exists()
    assert 2 == run(
        ["explain", str(photo), "--model", str(model), "--score-threshold", "1", "--box", "0"]
    )
    capsys.readouterr()
    assert 0 == run(
        [
            *("explain", str(photo), "--model", str(model), "--score-threshold", "1"),
            *("--html", str(page), "--overwrite"),
        ]
    )
    assert "shows no detection" in capsys.readouterr().out
