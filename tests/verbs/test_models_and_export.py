"""`models` says what a file says; `export` writes it elsewhere, once it is checked."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

import tiny_model
from boxray import bundle, from_classifier
from boxray.cli import run
from boxray.errors import ModelError, OutputError, SettingError
from boxray.verbs.export import Judged, Stated, export
from boxray.verbs.models import model, models, to_dict


def test_every_shipped_model_is_listed():
    expected = [*bundle.shipped(), *from_classifier.NAMES]
    assert expected == [listing.model.name for listing in models()]


def test_a_file_is_described_with_its_size_and_all_its_metadata(tmp_path):
    path = tiny_model.write(tmp_path)
    document = json.loads(json.dumps(to_dict((model(path),))))
    assert "boxray.models/1" == document["schema"]
    (entry,) = document["models"]
    assert path.stat().st_size == entry["size_bytes"]
    written = tiny_model.document()
    for field in ("name", "classes", "canvas_hw", "thresholds", "metrics", "recipe", "licence"):
        assert written[field] == entry[field]


def test_the_list_says_on_what_a_model_was_validated(capsys):
    run(["models"])
    words = " ".join(capsys.readouterr().out.split())
    assert re.search(r"val AP50 0\.\d+ of voc07 and coco_val2017_subset", words)
    assert "AP50 on voc07 0." in words


def test_an_exported_model_is_the_same_file(tmp_path):
    path = tiny_model.write(tmp_path)
    report = export(path, tmp_path / "copy.onnx")
    assert path.read_bytes() == (tmp_path / "copy.onnx").read_bytes()
    assert report.model.sha256 == report.to_dict()["sha256"]
    assert str(tmp_path / "copy.onnx") in report.summary()[0]


def test_a_damaged_model_is_not_exported(tmp_path):
    path = tiny_model.write(tmp_path)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError):
        export(path, tmp_path / "copy.onnx")
    assert not (tmp_path / "copy.onnx").exists()


def test_an_unknown_format_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(SettingError, match=r"no format '\.tflite'\. Formats: \.onnx"):
        export("default", tmp_path / "model.tflite")


def test_a_file_is_not_overwritten_unless_asked_for(tmp_path):
    path = tiny_model.write(tmp_path)
    with pytest.raises(SettingError, match="exists"):
        export(path, path)
    export(path, path, overwrite=True)


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path):
    with pytest.raises(OutputError):
        export(tiny_model.write(tmp_path), tmp_path / "absent/model.onnx")


DARKNET = """
[net]
height=64
width=96
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=2
stride=2
[maxpool]
size=2
stride=1
[convolutional]
filters=21
size=1
pad=1
activation=linear
[{head}]
anchors={anchors}
num=3
classes=2
{options}
"""
YOLO = {"head": "yolo", "anchors": "10,14, 23,27, 37,58", "options": "mask=0,1,2"}
REGION = {"head": "region", "anchors": "1,2, 3,3, 5,8", "options": "softmax=1"}


class TestDarknet:
    """A .cfg and its .weights become one file that says what the network says."""

    @pytest.fixture(params=[YOLO, REGION], ids=["yolo", "region"])
    def pair(self, request, tmp_path):
        torch = pytest.importorskip("torch")
        from boxray.networks import darknet, darknet_configuration
        from boxray.networks.darknet_weights import Header

        configuration = tmp_path / "it.cfg"
        configuration.write_text(DARKNET.format(**request.param))
        layers = darknet_configuration.read(configuration).layers
        torch.manual_seed(0)
        network = darknet.DarknetNetwork(layers, prior_probability=0.5)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
        written = darknet.weights_of(network, Header(seen=7)).to_bytes()
        (tmp_path / "it.weights").write_bytes(written)
        return configuration, tmp_path / "it.weights", network.eval()

    def test_the_model_says_what_torch_says(self, pair, tmp_path):
        torch = pytest.importorskip("torch")
        configuration, weights, network = pair
        report = export(configuration, tmp_path / "it.onnx", weights=weights)
        assert ("class 0", "class 1") == report.model.classes
        assert {"darknet": "it.cfg", "images_seen": 7} == report.model.recipe
        detector = bundle.load(tmp_path / "it.onnx", threads=1)
        pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype(np.uint8)
        with torch.inference_mode():
            said = network(torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255)
        for ours, theirs in zip(detector.engine(pixels), said, strict=True):
            np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)
        assert detector.coder == report.model.coder
        assert 0 < len(detector.with_thresholds(score_threshold=0.0).detect(pixels[0]))

    def test_a_class_file_names_the_classes(self, pair, tmp_path):
        configuration, weights, _ = pair
        names = tmp_path / "it.names"
        names.write_text("ant\nbee\n")
        report = export(configuration, tmp_path / "it.onnx", weights=weights, classes=names)
        assert ("ant", "bee") == report.model.classes
        names.write_text("ant\n")
        with pytest.raises(SettingError, match="tells 2 classes apart, the class file names 1"):
            export(configuration, tmp_path / "other.onnx", weights=weights, classes=names)

    def test_half_a_pair_is_refused(self, pair, tmp_path):
        configuration, weights, _ = pair
        with pytest.raises(SettingError, match="a Darknet model is two files"):
            export(configuration, tmp_path / "new.onnx")
        for other in (tiny_model.write(tmp_path), "default"):
            with pytest.raises(SettingError, match="has its own"):
                export(other, tmp_path / "new.onnx", weights=weights)

    def test_weights_of_another_network_are_refused(self, pair, tmp_path):
        configuration, weights, _ = pair
        weights.write_bytes(weights.read_bytes()[:-4])
        with pytest.raises(ModelError, match="different networks"):
            export(configuration, tmp_path / "it.onnx", weights=weights)
        assert not (tmp_path / "it.onnx").exists()


class TestTheCertificate:
    def test_a_model_of_no_recipe_is_written_as_it_is_and_says_why(self, tmp_path):
        report = export(tiny_model.write(tmp_path), tmp_path / "copy.onnx")
        assert "it names no recipe of boxray" == report.unchecked == report.to_dict()["unchecked"]
        assert "Not compared with torch: it names no recipe" in report.summary()[1]

    def test_pictures_to_compare_on_need_something_to_compare(self, tmp_path):
        with pytest.raises(SettingError, match="compares the file with torch: it names no recipe"):
            export(tiny_model.write(tmp_path), tmp_path / "copy.onnx", judged_on=Judged(tmp_path))

    def test_the_shipped_model_gets_one_that_models_shows_and_a_copy_keeps(self, tmp_path):
        pytest.importorskip("torch")
        report = export("default", tmp_path / "mine.onnx", stated=Stated(name="mine"))
        assert report.unchecked is None
        assert report.certificate.pixels < 0.05
        assert "pixels" in report.summary()[1]
        shown = json.loads(json.dumps(model(tmp_path / "mine.onnx").to_dict()))["certificate"]
        assert report.to_dict()["certificate"]["pairs"] == shown["pairs"] > 50


class TestWhatAFileSaysOfItself:
    def test_another_canvas_and_thresholds_are_what_detect_uses_then(self, tmp_path):
        path = tmp_path / "small.onnx"
        stated = Stated(size=64, score_threshold=0.25, iou_threshold=0.75)
        export(tiny_model.write(tmp_path), path, stated=stated)
        before, now = bundle.load(tiny_model.write(tmp_path)), bundle.load(path)
        assert (64, 64) == now.canvas_hw != before.canvas_hw
        assert (0.25, 0.75) == (now.thresholds.score_threshold, now.thresholds.iou_threshold)
        assert before.thresholds.max_detections == now.thresholds.max_detections
        asked = before.with_thresholds(score_threshold=0.25, iou_threshold=0.75)
        picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        expected = replace(asked, canvas_hw=(64, 64)).detect(picture).to_dict()["detections"]
        assert expected == now.detect(picture).to_dict()["detections"]

    def test_the_certificate_is_of_the_file_as_it_is_written(self, tmp_path):
        pytest.importorskip("torch")
        report = export("default", tmp_path / "small.onnx", stated=Stated(size=224))
        assert (224, 224) == report.model.canvas_hw
        assert report.certificate.pixels < 0.05

    def test_a_canvas_that_is_no_multiple_of_the_stride_is_refused(self, tmp_path):
        with pytest.raises(SettingError, match=r"a canvas of \(100, 100\): expected .* multiples"):
            export("default", tmp_path / "it.onnx", stated=Stated(size=100))
        assert not (tmp_path / "it.onnx").exists()

    def test_a_threshold_out_of_range_is_refused(self, tmp_path):
        with pytest.raises(SettingError, match="iou_threshold"):
            export("default", tmp_path / "it.onnx", stated=Stated(iou_threshold=1.5))

    def test_a_classifier_has_none(self, tmp_path):
        with pytest.raises(SettingError, match=r"are a detector's; .*'lite0-imagenet' is none"):
            export("lite0-imagenet", tmp_path / "it.onnx", stated=Stated(size=224))
