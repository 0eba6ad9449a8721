"""Model files: read back as written, every field checked, and nothing else taken for one."""

import json
import os
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tiny_model
from boxray import bundle
from boxray.coders.yolo_grid import YoloGrid
from boxray.errors import ModelError, SettingError
from boxray.selection import Thresholds

MODEL = bundle.parse(json.dumps(tiny_model.document()))


def text_with(field: str, value: object) -> str:
    """The metadata document with one field changed, `coder.strides` for one within another."""
    document = tiny_model.document()
    *outer, last = field.split(".")
    place = document
    for name in outer:
        place = place[name]
    place[last] = value
    return json.dumps(document)


class TestTheMetadata:
    def test_is_read_into_the_record(self):
        assert tiny_model.CLASSES == MODEL.classes
        assert tiny_model.CODER == MODEL.coder
        assert (64, 96) == MODEL.canvas_hw
        assert ((127.0,) * 3, (128.0,) * 3) == (MODEL.mean, MODEL.std)
        assert tiny_model.THRESHOLDS == MODEL.thresholds
        assert "Apache-2.0" == MODEL.licence

    def test_holds_the_names_the_design_gives_to_its_fields(self):
        assert set(tiny_model.document()) == set(json.loads(bundle.to_text(MODEL)))

    @given(
        classes=st.lists(
            st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1).filter(
                str.strip
            ),
            min_size=1,
            max_size=5,
            unique=True,
        ),
        score=st.floats(0, 1),
        size=st.tuples(st.floats(0.01, 1e5), st.floats(0.01, 1e5)),
        stretch=st.floats(1, 10),
    )
    def test_is_read_back_exactly_as_it_was_written(self, classes, score, size, stretch):
        model = replace(
            MODEL,
            classes=tuple(classes),
            coder=YoloGrid(len(classes), (8, 32), ((size,), (size, size)), stretch),
            thresholds=Thresholds(score_threshold=score, iou_threshold=0.5),
        )
        assert model == bundle.parse(bundle.to_text(model))

    @pytest.mark.parametrize("method", ["diou", "soft-linear", "fusion"])
    def test_keeps_the_method_of_suppression(self, method):
        thresholds = replace(MODEL.thresholds, method=method, suppress_within="all")
        model = replace(MODEL, thresholds=thresholds)
        assert thresholds == bundle.parse(bundle.to_text(model)).thresholds

    def test_that_is_older_than_the_choice_of_a_method_suppresses_greedily(self):
        document = json.loads(bundle.to_text(MODEL))
        del document["thresholds"]["method"]
        assert "greedy" == bundle.parse(json.dumps(document)).thresholds.method

    @pytest.mark.parametrize(
        ("field", "wrong"),
        [
            ("schema", "boxray.model/2"),
            ("kind", "three-stage"),
            ("name", 7),
            ("name", "two\nlines"),
            ("classes", []),
            ("classes", ["cat", "cat"]),
            ("classes", ["cat", ""]),
            ("classes", ["cat", "\x1b[2J"]),
            ("classes", "cat"),
            ("coder", None),
            ("coder.kind", "anchors"),
            ("coder.strides", []),
            ("coder.strides", [8, 16, "32"]),
            ("coder.strides", [8, 16, -32]),
            ("coder.strides", [32, 16, 8]),
            ("coder.strides", [8, 12, 32]),
            ("coder.priors", [[[1, 2]]]),
            ("coder.priors", [[[1, 2]], [[1, 2]], []]),
            ("coder.priors", [[[1, 2]], [[1, 2]], [[1]]]),
            ("coder.priors", [[[1, 2]], [[1, 2]], [[0, 2]]]),
            ("coder.priors", [[[1, 2]], [[1, 2]], [[True, 2]]]),
            ("coder.stretch", 0.5),
            ("coder.stretch", "2"),
            ("canvas_hw", [64, 100]),
            ("canvas_hw", [0, 96]),
            ("canvas_hw", [64]),
            ("canvas_hw", [64, 1_000_000_000 * 32]),
            ("normalisation.mean", [127, 127]),
            ("normalisation.std", [128, 0, 128]),
            ("thresholds.score_threshold", 2),
            ("thresholds.max_detections", 0),
            ("thresholds.max_detections", 1.5),
            ("thresholds.limit_before", True),
            ("thresholds.suppress_within", "galaxy"),
            ("thresholds.method", "median"),
            ("thresholds.nms", 0.5),
            ("metrics", []),
            ("training_data", {}),
            ("licence", None),
            ("versions", "1"),
        ],
    )
    def test_is_refused_with_the_name_of_the_field_that_is_wrong(self, field, wrong):
        with pytest.raises(ModelError) as caught:
            bundle.parse(text_with(field, wrong))
        name = field.removeprefix("normalisation.").split("_hw")[0]
        assert name.split(".")[0] in str(caught.value)
        assert len(str(caught.value)) < 400

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "[]",
            "null",
            '{"schema": NaN}',
            '{"schema": 1, "schema": 2}',
            "[" * 100_000,
            "1" * 5000,
        ],
        ids=["empty", "open", "list", "null", "nan", "key twice", "deep", "huge number"],
    )
    def test_must_be_sound_json(self, text):
        with pytest.raises(ModelError, match=r"JSON|an object"):
            bundle.parse(text)

    @pytest.mark.parametrize("number", [float("nan"), float("inf"), object()])
    def test_is_not_written_if_it_could_not_be_read_back(self, number):
        with pytest.raises(ModelError, match="cannot be written as JSON"):
            bundle.to_text(replace(MODEL, metrics={"AP": number}))

    def test_is_not_written_with_a_canvas_that_does_not_fit_the_strides(self):
        with pytest.raises(ModelError, match="multiples of 32"):
            bundle.to_text(replace(MODEL, canvas_hw=(100, 100)))


class TestLoading:
    def test_takes_a_file_as_text_or_path(self, tmp_path):
        path = tiny_model.write(tmp_path)
        for given_as in (path, str(path)):
            detector = bundle.load(given_as, threads=1)
            assert "tiny" == detector.name
            assert tiny_model.CLASSES == detector.classes

    def test_takes_a_run_folder(self, tmp_path):
        tiny_model.write(tmp_path, bundle.MODEL_FILE)
        assert "tiny" == bundle.load(tmp_path, threads=1).name

    def test_takes_every_shipped_name(self):
        described = {name: bundle.describe(*bundle.read(name)) for name in bundle.shipped()}
        for name, model in described.items():
            classifier = isinstance(model, bundle.ClassifierModel)
            loaded = (bundle.load_classifier if classifier else bundle.load)(name, threads=1)
            assert model.classes == loaded.classes

    def test_says_who_takes_a_model_of_the_other_kind(self, tmp_path):
        with pytest.raises(ModelError, match=r"it is a classifier.*boxray classify"):
            bundle.load("lite0-imagenet", threads=1)
        with pytest.raises(ModelError, match=r"it is a detector.*boxray detect"):
            bundle.load_classifier(tiny_model.write(tmp_path), threads=1)

    def test_a_size_replaces_the_canvas(self, tmp_path):
        path = tiny_model.write(tmp_path)
        assert (64, 64) == bundle.load(path, size=64, threads=1).canvas_hw
        wide = bundle.load(path, size=(32, 128), threads=1)
        assert (32, 128) == wide.canvas_hw
        wide.detect_array(np.zeros((50, 70, 3), np.uint8))

    @pytest.mark.parametrize("size", [0, -32, 33, (64, 65), 1_000_000_000])
    def test_a_size_that_does_not_fit_the_strides_is_a_setting_error(self, tmp_path, size):
        with pytest.raises(SettingError, match="multiples of 32"):
            bundle.load(tiny_model.write(tmp_path), size=size, threads=1)

    def test_a_model_that_nobody_knows_gets_a_suggestion(self, monkeypatch):
        monkeypatch.setattr(bundle, "shipped", lambda: ("default", "tiny"))
        with pytest.raises(ModelError, match=r"Did you mean 'default'\? Shipped: default, tiny"):
            bundle.load("defualt")

    def test_a_graph_for_another_number_of_classes_is_refused_with_both(self):
        # 2 priors of 5 + 3 numbers are 16 channels, of 5 + 4 they are 18
        content = tiny_model.sealed(whole=tiny_model.graph(class_count=4))
        with pytest.raises(ModelError, match=r"\(16, 16, 16\) channels, the graph has \(18, 18"):
            bundle.from_bytes(content, "other")

    def test_a_graph_with_a_level_too_few_is_refused(self):
        content = tiny_model.sealed(whole=tiny_model.graph(strides=(8, 16)))
        with pytest.raises(ModelError, match="priors on 3 levels"):
            bundle.from_bytes(content, "other")

    def test_a_single_flipped_bit_is_found_wherever_it_is(self):
        content = tiny_model.sealed()
        for position in range(0, len(content), len(content) // 40):
            damaged = bytearray(content)
            damaged[position] ^= 1
            with pytest.raises(ModelError):
                bundle.from_bytes(bytes(damaged), "damaged")

    def test_a_truncated_file_is_found_wherever_it_ends(self):
        content = tiny_model.sealed()
        for end in range(1, len(content), len(content) // 20):
            with pytest.raises(ModelError):
                bundle.from_bytes(content[:end], "torn")

    def test_describe_tells_what_the_file_says_with_its_seal(self):
        model = bundle.describe(tiny_model.sealed(), "tiny")
        assert MODEL == replace(model, sha256=MODEL.sha256)
        assert 64 == len(model.sha256.strip("0")) or model.sha256 != "0" * 64


class Trap:
    """Its pickle makes a file when it is opened."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


class TestWhatIsNoModel:
    @pytest.mark.parametrize("name", ["weights.pt", "weights.pth", "weights.onnx", "weights"])
    def test_a_pickle_is_never_opened(self, tmp_path, name):
        path, mark = tmp_path / name, tmp_path / "ran"
        path.write_bytes(pickle.dumps(Trap(mark)))
        with pytest.raises(ModelError):
            bundle.load(path)
        assert not mark.exists()

    @pytest.mark.parametrize(
        ("content", "says"), [(b"", "is empty"), (b"404: Not Found", "carries 0 sha256")]
    )
    def test_an_empty_or_foreign_file_says_so(self, tmp_path, content, says):
        path = tmp_path / "model.onnx"
        path.write_bytes(content)
        with pytest.raises(ModelError, match=says):
            bundle.load(path)

    def test_a_folder_without_a_model_says_what_it_lacks(self, tmp_path):
        with pytest.raises(ModelError, match=r"^\S+ holds no model\.onnx"):
            bundle.load(tmp_path)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
    def test_a_pipe_is_refused_and_not_waited_for(self, tmp_path):
        os.mkfifo(tmp_path / "model.onnx")
        for place in (tmp_path, tmp_path / "model.onnx"):
            with pytest.raises(ModelError, match="pipe or device"):
                bundle.load(place)

    @pytest.mark.parametrize("name", ["x" * 300, "a\0b", "", "no/such/file.onnx"])
    def test_a_name_that_no_file_can_have_is_refused(self, name):
        with pytest.raises(ModelError):
            bundle.load(name)
