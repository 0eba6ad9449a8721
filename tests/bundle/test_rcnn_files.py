"""What the file of a learned R-CNN says: read back as written, every field checked, and run."""

import json
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import tiny_model
from boxray import bundle
from boxray.bundle import RcnnModel
from boxray.bundle import rcnn as files
from boxray.classification.preprocessing import Preprocessing
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.detectors import TwoStage
from boxray.engines.onnx import INPUT_NAME
from boxray.engines.proposals import EdgeBoxes, SelectiveSearch
from boxray.errors import ModelError
from boxray.export.rcnn import rcnn_bytes
from boxray.selection import Thresholds

MODEL = RcnnModel(
    name="tiny-rcnn",
    classes=("cat", "dog"),
    coder=ProposalDeltas(2, (1.0, 1.0, 1.0, 1.0)),
    proposer=EdgeBoxes(side=64, limit=20, overlap=0.5),
    limit=20,
    context=0.1,
    canvas_hw=(64, 96),
    preprocessing=Preprocessing((4, 6), (1.0, 2.0, 3.0), (4.0, 5.0, 6.0), "bicubic"),
    thresholds=Thresholds(score_threshold=0.2, iou_threshold=0.3),
    metrics={},
    recipe={"seed": 3},
    training_data=("nothing",),
    licence="Apache-2.0",
    versions={},
)
CHANNELS = 3


def classifier(outputs=("logits", "features")) -> bytes:
    """The mean of each colour as features, and logits of five classes, as an unsealed file."""
    weight = np.ones((CHANNELS, 5), np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", [INPUT_NAME], ["features"]),
        helper.make_node("Flatten", ["features"], ["means"]),
        helper.make_node("MatMul", ["means", "weight"], ["logits"]),
    ]
    image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["n", 3, "h", "w"])
    shapes = {"logits": ["n", 5], "features": ["n", CHANNELS, 1, 1]}
    said = [helper.make_tensor_value_info(n, TensorProto.FLOAT, shapes[n]) for n in outputs]
    stored = [numpy_helper.from_array(weight, "weight")]
    whole = helper.make_graph(nodes, "tiny", [image], said, stored)
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(whole, opset_imports=opsets, ir_version=10).SerializeToString()


def layers():
    random = np.random.default_rng(0)
    return tuple(
        (random.normal(size=(count, CHANNELS)), random.normal(size=count)) for count in (3, 12)
    )


@pytest.mark.parametrize(
    "proposer",
    [MODEL.proposer, SelectiveSearch("quality", side=100, limit=7, overlap=0.9, seed=3)],
)
def test_what_is_written_is_read_back(proposer):
    model = replace(MODEL, proposer=proposer)
    assert model == files.parse(bundle.to_text(model))


def test_a_file_of_edges_is_not_named_in_a_model(tmp_path):
    with pytest.raises(ModelError, match="no path"):
        bundle.to_text(replace(MODEL, proposer=EdgeBoxes(edge_model=tmp_path / "edges.yml.gz")))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("context", -0.1, "context"),
        ("context", "much", "context"),
        ("canvas_hw", [0, 64], "canvas"),
        ("coder", {"kind": "yolo_grid"}, "proposal_deltas"),
        ("proposer", {"kind": "chance"}, "proposer.kind"),
        ("proposer", {"kind": "edge_boxes", "side": 0, "limit": 3}, "side"),
        ("proposer", {"kind": "edge_boxes", "side": 9, "limit": 10**9}, "limit"),
        (
            "proposer",
            {"kind": "edge_boxes", "side": 9, "limit": 3, "step": 2, "overlap": 0.5},
            "step",
        ),
        (
            "proposer",
            {"kind": "selective_search", "side": 9, "limit": 3, "overlap": 0.5, "mode": "slow"},
            "proposer.mode",
        ),
        ("limit", 0, "limit"),
        ("thresholds", {}, "thresholds"),
        ("classes", ["cat", "cat"], "classes"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(field, value, said):
    document = json.loads(bundle.to_text(MODEL))
    with pytest.raises(ModelError, match=said):
        files.parse(json.dumps({**document, field: value}))


def test_another_kind_is_not_read_as_an_rcnn():
    document = json.loads(bundle.to_text(MODEL))
    with pytest.raises(ModelError, match="kind"):
        files.parse(json.dumps({**document, "kind": "one-stage"}))


def test_its_graph_says_what_the_layers_say_of_the_features(tmp_path):
    path = tmp_path / "tiny.onnx"
    logits, deltas = layers()
    path.write_bytes(rcnn_bytes(MODEL, classifier(), logits, deltas))
    assert MODEL.classes == bundle.described(path).classes
    detector = bundle.load(path, threads=1)
    assert isinstance(detector, TwoStage)
    canvas = np.random.default_rng(1).integers(0, 256, (64, 96, 3), np.uint8)
    box = np.array([[10.0, 20.0, 60.0, 50.0]])
    numbers = detector.engine.refine((canvas[None],), box)
    # the same by hand: a tenth of 50 x 30 on each side, then the mean of normalised colours
    seen = MODEL.preprocessing.of_whole()
    means = seen.values(seen.pixels(canvas[17:53, 5:65])).mean((0, 1))
    expected = [means @ weights.T + biases for weights, biases in (deltas, logits)]
    np.testing.assert_allclose(np.concatenate(expected), numbers[0], rtol=1e-3, atol=1e-4)


def test_nothing_is_left_of_the_classifier_beyond_its_features():
    graph = onnx.load_from_string(rcnn_bytes(MODEL, classifier(), *layers())).graph
    assert ["logits", "deltas"] == [output.name for output in graph.output]
    assert not [weight for weight in graph.initializer if weight.name == "weight"]


def test_a_classifier_without_features_is_refused():
    with pytest.raises(ModelError, match="no 'features'"):
        rcnn_bytes(MODEL, classifier(outputs=("logits",)), *layers())


def test_a_graph_of_other_classes_is_refused(tmp_path):
    path = tmp_path / "tiny.onnx"
    path.write_bytes(tiny_model.sealed(bundle.to_text(MODEL), onnx.load_from_string(classifier())))
    with pytest.raises(ModelError, match="2 classes need"):
        bundle.load(path, threads=1)
