"""The file of an R-CNN: a classifier's graph up to its features, and what was learned on these."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from boxray import bundle
from boxray.boxes import Array
from boxray.bundle.rcnn import RcnnModel
from boxray.errors import ModelError
from boxray.export import store_half, with_metadata

FEATURES = "features"  # what a classifier's graph calls them
Layer = tuple[Array, Array]  # weights (outputs, channels) and biases (outputs)


def rcnn_bytes(model: RcnnModel, classifier: bytes, logits: Layer, deltas: Layer) -> bytes:
    """A sealed model file: a classifier's graph up to its features, then both linear layers.

    Its weights are stored in 16 bits. Raises ModelError for a classifier that gives no features.
    """
    whole = onnx.load_from_string(classifier)
    graph = whole.graph
    if FEATURES not in [output.name for output in graph.output]:
        raise ModelError(
            f"the classifier's graph gives {[output.name for output in graph.output]}, and no "
            f"{FEATURES!r}; R-CNN learns on these. Take lite0-imagenet, or one exported as a map."
        )
    _cut_off(graph)
    flat = "flat_features"
    graph.node.append(helper.make_node("Flatten", [FEATURES], [flat], axis=1))
    for name, layer in (("logits", logits), ("deltas", deltas)):
        parts = [f"{name}.weight", f"{name}.bias"]
        for part, values in zip(parts, layer, strict=True):
            graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), part))
        graph.node.append(helper.make_node("Gemm", [flat, *parts], [name], transB=1))
        shape: list[str | int | None] = ["batch", len(layer[1])]
        graph.output.append(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape))
    store_half(whole)
    del whole.metadata_props[:]
    return with_metadata(whole, bundle.to_text(model))


def _cut_off(graph: onnx.GraphProto) -> None:
    """Take away, in place, all that the features do not need, and every output."""
    needed, kept = {FEATURES}, []
    for node in reversed(graph.node):  # which stand in the order in which they are run
        if needed & set(node.output):
            needed |= set(node.input)
            kept.append(node)
    weights = [weight for weight in graph.initializer if weight.name in needed]
    for old, new in ((graph.node, kept[::-1]), (graph.initializer, weights), (graph.output, [])):
        del old[:]
        old.extend(new)
