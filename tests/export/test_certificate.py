"""The certificate: a sound file gets one, and each planted fault is refused with its name."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper

from boxray import bundle, data, export
from boxray.bundle.certificates import Precision
from boxray.data.synthetic import make
from boxray.engines.onnx import INPUT_NAME, METADATA_KEY
from boxray.errors import ModelError
from boxray.export.certificate import Pictures, certify
from boxray.export.twins import of_file, of_recipe
from boxray.files import UNSEALED, seal
from boxray.recipes.grid_lite0 import grid_lite0
from boxray.recipes.recipe import Recipe
from test_export import CANVAS_HW, CLASSES, PRIORS, SETTINGS, as_if_trained

MEAN, STD = 127.0, 128.0


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    torch.manual_seed(0)
    recipe = grid_lite0(len(CLASSES), PRIORS, CANVAS_HW)
    as_if_trained(recipe)
    return recipe


@pytest.fixture(scope="module")
def content(recipe, tmp_path_factory) -> bytes:
    run = tmp_path_factory.mktemp("run")
    path = export.export_run(
        recipe, recipe.network, run, classes=CLASSES, settings=SETTINGS, metrics={}
    )
    return path.read_bytes()


@pytest.fixture(scope="module")
def twin(recipe):
    return of_recipe(recipe, CLASSES, trained="best.safetensors")


def resealed(graph: onnx.ModelProto, **changes: object) -> bytes:
    """The graph as a whole model file, some fields of its metadata replaced."""
    (entry,) = graph.metadata_props
    document = json.loads(entry.value)
    entry.value = json.dumps({**document, **changes, "sha256": UNSEALED})
    return seal(graph.SerializeToString())


def metadata(content: bytes) -> dict:
    (entry,) = onnx.load_from_string(content).metadata_props
    assert METADATA_KEY == entry.key
    return json.loads(entry.value)


def before_all(content: bytes, operator: str, *weights: np.ndarray, **attributes: object) -> bytes:
    """The file with one more step between its input and its network."""
    graph = onnx.load_from_string(content)
    put_before(graph, INPUT_NAME, operator, *weights, **attributes)
    return resealed(graph)


def put_before(
    graph: onnx.ModelProto, name: str, operator: str, *weights: np.ndarray, **attributes: object
) -> None:
    """One more step between this input and all that reads it."""
    for node in graph.graph.node:
        for place, read in enumerate(node.input):
            if name == read:
                node.input[place] = "spoilt"
    names = [f"fault_{number}" for number in range(len(weights))]
    graph.graph.initializer.extend(
        numpy_helper.from_array(weight, name) for weight, name in zip(weights, names, strict=True)
    )
    graph.graph.node.insert(0, helper.make_node(operator, [name, *names], ["spoilt"], **attributes))


def half_a_pixel(content: bytes, kernel: np.ndarray, pads: tuple[int, ...]) -> bytes:
    """The file that sees its pictures moved."""
    weight = np.tile(kernel.astype(np.float32), (3, 1, 1, 1))
    return before_all(content, "Conv", weight, group=3, pads=pads)


def from_0_to_1(content: bytes) -> bytes:
    """The file whose network gets pixels from 0 to 1."""
    # (x·128 + 127) / 255 = (x + 127/128) · 128/255
    shifted = before_all(content, "Mul", np.array([STD / 255], np.float32))
    graph = onnx.load_from_string(shifted)
    graph.graph.initializer.append(
        numpy_helper.from_array(np.array([MEAN / STD], np.float32), "shift")
    )
    graph.graph.node[0].input[0] = "shifted"
    graph.graph.node.insert(0, helper.make_node("Add", [INPUT_NAME, "shift"], ["shifted"]))
    return resealed(graph)


def test_a_sound_file_is_certified_against_its_own_and_the_trained_weights(content, twin):
    found = certify(content, twin)
    assert found.pixels < 0.01
    assert found.score < 1e-4
    assert found.pairs > 100  # not vacuous
    assert 0 < found.trained_pixels < 5  # 16 bits are fewer than 32
    assert "best.safetensors" == found.weights
    assert (CANVAS_HW, (320, 224)) == found.canvases_hw
    written = export.restated(content, certificate=found)
    assert found == bundle.describe(written, "it").certificate


def test_a_file_alone_is_compared_with_its_own_weights(content):
    found = certify(content, of_file(bundle.describe(content, "it")))
    assert "the file's own" == found.weights
    assert found.trained_pixels is None
    assert found.pixels < 0.01


def test_a_file_of_no_recipe_has_no_twin(content):
    model = bundle.describe(content, "it")
    assert of_file(replace(model, recipe={})) is None
    assert of_file(replace(model, recipe={"recipe": 7})) is None


class TestPlantedFaults:
    def test_blue_green_red(self, content, twin):
        order = np.array([2, 1, 0])
        with pytest.raises(ModelError, match="wrong order of channels"):
            certify(before_all(content, "Gather", order, axis=1), twin)

    def test_blue_green_red_in_the_first_layers_weights(self, content, twin):
        graph = onnx.load_from_string(content)
        for weight in graph.graph.initializer:
            if len(weight.dims) == 4 and weight.dims[1] == 3:
                turned = np.ascontiguousarray(numpy_helper.to_array(weight)[:, ::-1])
                weight.CopyFrom(numpy_helper.from_array(turned, weight.name))
        with pytest.raises(ModelError, match=r"wrong order of channels.*BGR"):
            certify(resealed(graph), twin)

    @pytest.mark.parametrize(
        ("kernel", "pads", "way"),
        [
            (np.full((1, 2), 0.5), (0, 1, 0, 0), "right"),
            (np.full((1, 2), 0.5), (0, 0, 0, 1), "left"),
            (np.full((2, 1), 0.5), (1, 0, 0, 0), "down"),
        ],
    )
    def test_a_letterbox_off_by_half_a_pixel(self, content, twin, kernel, pads, way):
        with pytest.raises(ModelError, match=f"wrong letterbox.*half a pixel too far {way}"):
            certify(half_a_pixel(content, kernel, pads), twin)

    def test_priors_in_another_order(self, content, twin):
        coder = metadata(content)["coder"]
        swapped = [level[::-1] for level in coder["priors"]]
        spoilt = resealed(onnx.load_from_string(content), coder={**coder, "priors": swapped})
        with pytest.raises(ModelError, match="wrong priors or coder"):
            certify(spoilt, twin)
        with pytest.raises(ModelError, match="wrong order of priors"):
            of_file(bundle.describe(spoilt, "it"))

    def test_another_normalisation_in_the_metadata(self, content, twin):
        changed = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
        spoilt = resealed(onnx.load_from_string(content), normalisation=changed)
        for one in (twin, of_file(bundle.describe(spoilt, "it"))):
            with pytest.raises(ModelError, match="wrong normalisation"):
                certify(spoilt, one)

    def test_another_normalisation_in_the_graph(self, content, twin):
        with pytest.raises(ModelError, match=r"another normalisation.*pixels from 0 to 1"):
            certify(from_0_to_1(content), twin)

    def test_the_weights_of_another_moment(self, content, recipe, twin):
        with torch.no_grad():
            moved = recipe.network.head.where[0].bias
            moved += 0.01
            try:
                with pytest.raises(ModelError, match=r"other weights: head\.where\.0\.bias"):
                    certify(content, twin)
            finally:
                moved -= 0.01


def test_average_precision_is_compared_on_given_pictures(content, tmp_path):
    folder = make(tmp_path / "shapes", images=5, seed=0)
    shapes = replace(data.read(folder, "train"), classes=CLASSES)  # three of them, too
    twin = of_file(bundle.describe(content, "it"))
    found = certify(content, twin, dataset=Pictures(shapes, "shapes")).precision
    assert isinstance(found, Precision)
    assert ("shapes", len(shapes)) == (found.data, found.images)
    assert found.torch_ap50 == pytest.approx(found.file_ap50, abs=0.005)
