"""What a classifier's file says: read back as written, every field checked."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny_model
from boxray import bundle
from boxray.bundle import ClassifierModel, classifiers
from boxray.classification.preprocessing import Preprocessing
from boxray.engines.onnx import INPUT_NAME
from boxray.errors import ModelError

MODEL = ClassifierModel(
    name="tiny",
    classes=("cat", "dog"),
    wnids=("n02121620", "n02084071"),
    preprocessing=Preprocessing(
        (4, 6), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "bicubic", 0.5, "stretch"
    ),
    metrics={"top1": 0.5},
    recipe={},
    training_data=("nothing",),
    licence="Apache-2.0",
    versions={},
    stride=32,
)


def graph(outputs: int) -> onnx.ModelProto:
    """The mean of each colour, times a random matrix: features, their mean, one linear layer."""
    weight = np.random.default_rng(0).normal(size=(3, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", [INPUT_NAME], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["means"]),
        helper.make_node("MatMul", ["means", "weight"], ["logits"]),
    ]
    image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["n", 3, "h", "w"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", outputs])
    stored = [numpy_helper.from_array(weight, "weight")]
    whole = helper.make_graph(nodes, "tiny", [image], [logits], stored)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def write(folder, outputs=2, text=None):
    path = folder / "tiny.onnx"
    path.write_bytes(tiny_model.sealed(text or bundle.to_text(MODEL), graph(outputs)))
    return path


def test_it_is_read_back_as_it_was_written():
    assert MODEL == classifiers.parse(bundle.to_text(MODEL))


@pytest.mark.parametrize("outputs", [2, 3])
def test_it_loads_with_an_output_for_each_class_and_perhaps_one_for_none_of_them(tmp_path, outputs):
    loaded = bundle.load_classifier(write(tmp_path, outputs), threads=1)
    said = loaded.probabilities([np.zeros((9, 9, 3), np.uint8)])
    assert (1, 2) == said.shape
    assert (1.0 == pytest.approx(said.sum())) == (outputs == 2)


@pytest.mark.parametrize("outputs", [1, 4])
def test_a_graph_for_another_number_of_classes_is_refused_with_both(tmp_path, outputs):
    with pytest.raises(ModelError, match=rf"2 classes need an output.*\({outputs},\)"):
        bundle.load_classifier(write(tmp_path, outputs), threads=1)


def test_the_first_files_said_nothing_of_maps():
    document = json.loads(bundle.to_text(MODEL))
    del document["stride"]
    assert classifiers.parse(json.dumps(document)).stride is None


def test_it_is_described_with_its_seal(tmp_path):
    described = bundle.describe(write(tmp_path).read_bytes(), "tiny")
    assert isinstance(described, ClassifierModel)
    assert 64 * "0" != described.sha256


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("classes", ["cat", "cat"]),
        ("wnids", ["n02121620"]),
        ("wnids", ["n02121620", "n02121620"]),
        ("wnids", ["n02121620", "dog"]),
        ("wnids", None),
        ("preprocessing", None),
        ("preprocessing.size_hw", [4]),
        ("preprocessing.size_hw", [0, 4]),
        ("preprocessing.size_hw", [4, 5000]),
        ("preprocessing.fit", "pad"),
        ("preprocessing.interpolation", "nearest"),
        ("preprocessing.crop_share", 0),
        ("preprocessing.crop_share", 1.5),
        ("preprocessing.crop_share", "all"),
        ("normalisation.mean", [1, 2]),
        ("normalisation.std", [1, 2, 0]),
        ("licence", 7),
        ("stride", 0),
        ("stride", 1.5),
    ],
)
def test_it_is_refused_with_the_name_of_the_field_that_is_wrong(field, wrong):
    document = json.loads(bundle.to_text(MODEL))
    *outer, last = field.split(".")
    place = document
    for name in outer:
        place = place[name]
    place[last] = wrong
    named = last if outer == ["normalisation"] else field
    with pytest.raises(ModelError, match=f"metadata field {named}"):
        classifiers.parse(json.dumps(document))
