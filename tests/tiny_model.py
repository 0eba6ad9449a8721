"""A model file small enough to make in a test: one strided convolution per level, random weights.

It has the input, outputs and metadata of a real one, and its scores are high enough to detect
something, at random, in every picture.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from boxray.coders.yolo_grid import YoloGrid
from boxray.engines.onnx import INPUT_NAME, METADATA_KEY
from boxray.files import seal
from boxray.selection import Thresholds

CLASSES = ("person", "cat", "motorbike")
STRIDES = (8, 16, 32)
PRIORS = (
    ((12.0, 16.0), (24.0, 20.0)),
    ((40.0, 60.0), (70.0, 50.0)),
    ((120.0, 160.0), (220.0, 200.0)),
)


def graph(strides=STRIDES, class_count=3, *, seed=0) -> onnx.ModelProto:
    """The graph alone: (x - mean) / std in, one raw map of A·(5 + C) channels per level out."""
    chance = np.random.default_rng(seed)
    channels = 2 * (5 + class_count)
    nodes, weights = [], []
    for stride in strides:
        kernel = chance.normal(0, 2 / stride, (channels, 3, stride, stride)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"kernel_{stride}"))
        nodes.append(
            helper.make_node(
                "Conv",
                [INPUT_NAME, f"kernel_{stride}"],
                [f"level_{stride}"],
                kernel_shape=[stride, stride],
                strides=[stride, stride],
            )
        )
    image = helper.make_tensor_value_info(INPUT_NAME, TensorProto.FLOAT, ["n", 3, "h", "w"])
    levels = [
        helper.make_tensor_value_info(
            f"level_{s}", TensorProto.FLOAT, ["n", channels, f"h{s}", f"w{s}"]
        )
        for s in strides
    ]
    whole = helper.make_graph(nodes, "tiny", [image], levels, weights)
    return helper.make_model(whole, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def document(changes: Mapping[str, object] | None = None) -> dict[str, object]:
    """A whole metadata document, with some fields replaced."""
    fields = {
        "schema": "boxray.model/1",
        "sha256": "0" * 64,
        "name": "tiny",
        "kind": "one-stage",
        "classes": list(CLASSES),
        "coder": {
            "kind": "yolo_grid",
            "strides": list(STRIDES),
            "priors": [[list(prior) for prior in level] for level in PRIORS],
            "stretch": 2.0,
        },
        "canvas_hw": [64, 96],
        "normalisation": {"mean": [127, 127, 127], "std": [128, 128, 128]},
        "thresholds": {
            "score_threshold": 0.25,
            "iou_threshold": 0.5,
            "limit_before": 1000,
            "limit_before_per_group": None,
            "suppress_within": "class",
            "max_detections": 100,
            "method": "greedy",
        },
        "metrics": {"AP50": 0.5},
        "recipe": {"epochs": 1},
        "training_data": ["nothing"],
        "licence": "Apache-2.0",
        "versions": {"boxray": "0.1.0"},
    }
    return {**fields, **(changes or {})}


def sealed(text: str | None = None, whole: onnx.ModelProto | None = None) -> bytes:
    """The bytes of a model file with this metadata text and graph."""
    whole = graph() if whole is None else whole
    entry = whole.metadata_props.add()
    entry.key = METADATA_KEY
    entry.value = json.dumps(document()) if text is None else text
    return seal(whole.SerializeToString())


def write(folder: Path, name: str = "tiny.onnx") -> Path:
    """A whole model file."""
    path = folder / name
    path.write_bytes(sealed())
    return path


CODER = YoloGrid(len(CLASSES), STRIDES, PRIORS, 2.0)
THRESHOLDS = Thresholds(score_threshold=0.25, iou_threshold=0.5)
