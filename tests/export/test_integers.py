"""A model on 8-bit integers: smaller, still the same detector, and it says what it cost."""

import subprocess
import sys
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import tiny_model
from boxray import bundle, data
from boxray.bundle.certificates import Certificate
from boxray.data.synthetic import make
from boxray.engines.onnx import INPUT_NAME
from boxray.errors import ModelError, SettingError
from boxray.export import integers
from boxray.export.certificate import Pictures
from boxray.training.transfer import read_start
from boxray.verbs.export import Judged, export

CERTIFICATE = Certificate("the file's own", 0.0, 0.0, 9, 0, 4, ((64, 96),), "2", "1")


def deeper() -> onnx.ModelProto:
    """The tiny network with one layer more in front, since last layers keep their precision."""
    whole = tiny_model.graph()
    for node in whole.graph.node:
        node.input[0] = "hidden"
    mixing = (0.8 * np.eye(3) + 0.07).astype(np.float32).reshape(3, 3, 1, 1)
    whole.graph.initializer.append(numpy_helper.from_array(mixing, "mixing"))
    first = helper.make_node("Conv", [INPUT_NAME, "mixing"], ["hidden"], name="first")
    whole.graph.node.insert(0, first)
    return whole


SEALED = tiny_model.sealed(whole=deeper())


@pytest.fixture(scope="module")
def shapes(tmp_path_factory) -> data.Dataset:
    found = data.read(make(tmp_path_factory.mktemp("data") / "shapes", images=5, seed=0), "train")
    return replace(found, classes=tiny_model.CLASSES)  # three of them, too


@pytest.fixture(scope="module")
def content(shapes) -> bytes:
    return integers.to_integers(SEALED, CERTIFICATE, shapes, Pictures(shapes, "shapes"))


def test_the_file_is_whole_and_says_what_integers_cost(content, shapes):
    found = bundle.describe(content, "it").certificate
    assert CERTIFICATE == replace(found, integers=None)
    cost = found.integers
    assert ("shapes", len(shapes), len(shapes)) == (cost.data, cost.calibrated_on, cost.images)
    assert cost.pairs > 20
    assert cost.median_score < 0.05
    assert 0 < cost.median_pixels < 5  # it is not the same file again


def test_the_last_layers_keep_their_precision():
    whole = deeper()
    for number, node in enumerate(whole.graph.node):
        node.name = str(number)
    assert {"1", "2", "3"} == set(integers._last_layers(whole))


def test_two_products_fit_in_16_bits(content):
    # AVX2 without VNNI adds two products of an activation (0 to 255) and a weight in 16 bits
    tensors = map(numpy_helper.to_array, onnx.load_from_string(content).graph.initializer)
    weights = [one for one in tensors if one.dtype == np.int8 and one.ndim == 4]
    assert weights
    for layer in weights:
        for kernel in layer.astype(int):
            products = [255 * w for place in kernel.transpose(1, 2, 0) for w in place.ravel()]
            firsts, seconds = products[::2], [*products[1::2], 0]
            assert max(abs(a + b) for a, b in zip(firsts, seconds, strict=False)) < 2**15


def test_a_channel_is_as_coarse_as_its_worst_neighbours_ask():
    weights = np.zeros((3, 2, 1, 2), np.int8)  # in: two channels, at two places side by side
    weights[0, :, 0, 0] = 127, 120  # neighbours: 247 of 127
    weights[1, 0, 0, :] = 127, 120  # one channel at two places: no neighbours
    weights[2, :, 0, 0] = 127, -120  # they pull both ways: 7
    assert [247 / 127, 1, 1] == integers._overflow(weights).tolist()


def test_a_coarser_scale_says_nearly_the_same():
    steps = np.array([[100, -7], [50, 3]], np.int8)
    whole = numpy_helper.from_array(steps, "whole")
    scale = numpy_helper.from_array(np.array([0.5, 2.0], np.float32), "scale")
    integers._rescale(whole, scale, np.array([1.6, 1.0]))
    # 100 / 1.6 = 62.5, to even; -7 / 1.6 = -4.375
    assert [[62, -4], [50, 3]] == numpy_helper.to_array(whole).tolist()
    assert [0.8, 2.0] == pytest.approx(numpy_helper.to_array(scale).tolist())


def test_its_numbers_are_near_those_before(content):
    canvas = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3)).astype(np.uint8)
    before, after = (
        bundle.from_bytes(one, "it", threads=1).engine(canvas) for one in (SEALED, content)
    )
    for one, other in zip(before, after, strict=True):
        assert 0 < np.abs(one - other).mean() < 0.1 * np.abs(one).mean()


def test_a_fall_of_average_precision_is_refused(shapes, monkeypatch):
    monkeypatch.setattr(integers, "AP50_LOST", -1.0)  # even a gain is too little
    with pytest.raises(ModelError, match=r"integers are refused: AP50 on shapes falls"):
        integers.to_integers(SEALED, CERTIFICATE, shapes, Pictures(shapes, "shapes"))


def test_pictures_are_needed(shapes):
    nothing = replace(shapes, samples=())
    with pytest.raises(SettingError, match="the data has none"):
        integers.to_integers(SEALED, CERTIFICATE, nothing, Pictures(shapes, "shapes"))


def test_it_is_copied_as_it_is_and_nothing_begins_with_it(content, tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(content)
    report = export(path, tmp_path / "copy.onnx")
    assert content == (tmp_path / "copy.onnx").read_bytes()
    assert "it is on 8-bit integers" in report.unchecked
    with pytest.raises(SettingError, match="on 8-bit integers"):
        export(path, tmp_path / "other.onnx", judged_on=Judged(tmp_path, int8=True))
    with pytest.raises(SettingError, match="start from the model before"):
        read_start(str(path))


def test_importing_it_leaves_the_search_path_as_it_was():
    program = "import sys; before = list(sys.path); import boxray.export.integers; "
    program += "sys.exit(before != sys.path)"
    assert 0 == subprocess.run([sys.executable, "-c", program]).returncode
