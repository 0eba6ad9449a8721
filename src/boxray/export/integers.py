"""A model file on 8-bit integers: smaller, quicker, and judged before it is let out.

Weights and activations are whole numbers times a scale, one scale for each channel of a weight and
one for each activation, whose range is what real pictures made of it. The last layers keep their
precision.
Source: Jacob et al. 2018 (quantization for integer-arithmetic-only inference), section 2.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import torch
from jaxtyping import Float, Int8
from onnx import numpy_helper

from boxray import bundle, images
from boxray.bundle.certificates import Certificate, Integers
from boxray.detectors import OneStage
from boxray.engines.onnx import INPUT_NAME, METADATA_KEY, OnnxEngine
from boxray.engines.pytorch import normalise
from boxray.errors import ModelError, SettingError
from boxray.evaluation import AnnotatedImages, evaluate
from boxray.export import with_metadata
from boxray.export.certificate import Pictures
from boxray.images import Pixels
from boxray.metrics.agreement import agree
from boxray.records import Sample

_search_path = list(sys.path)
from onnxruntime.quantization import (  # noqa: E402
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process  # noqa: E402

# the package appends a folder of its own, whose `metrics` or `benchmark` would hide a user's
sys.path[:] = _search_path

CALIBRATED_ON = 64  # pictures, spread over those to learn from
COMPARED = 50  # pictures that are compared box by box
AP50_LOST = 0.02  # at most
PAIR = 127  # two weights, one step for rounding left: 255 · 128 is below 2¹⁵


def to_integers(
    content: bytes, certificate: Certificate, seen: AnnotatedImages, judged: Pictures
) -> bytes:
    """The same model on 8-bit integers, sealed, its certificate saying what that costs.

    content: a one-stage model; certificate: its own. seen: pictures to find the ranges on, best
    those that it learned from; judged: others. Raises SettingError for two stages or no picture,
    ModelError if AP50 falls by more than AP50_LOST.
    """
    before = bundle.from_bytes(content, "the model")
    model = bundle.describe(content, "the model")
    assert isinstance(model, bundle.Model)
    if not isinstance(before, OneStage):
        raise SettingError("--int8 takes one-stage models so far; this one has two stages.")
    samples = seen.samples[:: max(1, len(seen.samples) // CALIBRATED_ON)][:CALIBRATED_ON]
    graph = _quantised(content, before, samples)
    kept = [entry for entry in graph.metadata_props if entry.key != METADATA_KEY]
    del graph.metadata_props[:]
    graph.metadata_props.extend(kept)
    draft = with_metadata(graph, bundle.to_text(model))
    after = bundle.from_bytes(draft, "the model on integers")
    assert isinstance(after, OneStage)
    integers = _compared(before, after, judged, len(samples))
    found = replace(certificate, integers=integers)
    # what training measured was another file
    measured = {f"AP50 on {judged.name}": round(integers.ap50, 4)}
    del graph.metadata_props[len(kept) :]
    sealed = replace(model, certificate=found, metrics=measured)
    return with_metadata(graph, bundle.to_text(sealed))


class _Canvases(CalibrationDataReader):  # type: ignore[misc]  # it comes without types
    """What the network is given of some pictures, one at a time."""

    def __init__(self, detector: OneStage, samples: Sequence[Sample]) -> None:
        self.left = self._inputs(detector, samples)

    @staticmethod
    def _inputs(detector: OneStage, samples: Sequence[Sample]) -> Iterator[dict[str, np.ndarray]]:
        engine = detector.engine
        assert isinstance(engine, OnnxEngine)
        for sample in samples:
            canvas: Pixels = images.fit(images.load(sample.path), detector.canvas_hw)[0]
            pixels = torch.from_numpy(canvas[None]).permute(0, 3, 1, 2)
            image = normalise(pixels, engine.mean, engine.std).contiguous()
            yield {INPUT_NAME: image.numpy()}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """The next picture, None at the end."""
        return next(self.left, None)


def _quantised(content: bytes, detector: OneStage, samples: Sequence[Sample]) -> onnx.ModelProto:
    if not samples:
        raise SettingError("--int8 finds the ranges of numbers on pictures; the data has none.")
    with tempfile.TemporaryDirectory() as folder:
        given, ready, small = (Path(folder) / f"{name}.onnx" for name in ("given", "ready", "new"))
        given.write_bytes(content)
        # shapes are free, and onnxruntime's own optimiser folds the 16-bit weights' casts
        quant_pre_process(given, ready, skip_symbolic_shape=True)
        quantize_static(
            ready,
            small,
            _Canvases(detector, samples),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=_last_layers(onnx.load(ready)),
        )
        graph = onnx.load(small)
    _leave_room(graph)
    return graph


def _leave_room(graph: onnx.ModelProto) -> None:
    """Widen the weights' scales where products could overflow, so that all processors agree.

    x86 processors without VNNI add two neighbouring products of an activation and a weight in 16
    bits and cut off what is more, in silence (decision 31). Depthwise layers have another way.
    """
    nodes = graph.graph.node
    makers = {node.output[0]: node for node in nodes if node.op_type == "DequantizeLinear"}
    stored = {entry.name: entry for entry in graph.graph.initializer}
    for node in nodes:
        grouped = any(one.name == "group" and one.i > 1 for one in node.attribute)
        kernel = makers.get(node.input[1]) if node.op_type == "Conv" and not grouped else None
        if kernel is None:  # the layer keeps its precision
            continue
        factor = _overflow(numpy_helper.to_array(stored[kernel.input[0]]))
        biases = (makers[name] for name in node.input[2:] if name in makers)  # on their own scale
        for maker in (kernel, *biases):
            whole, scale = (stored[name] for name in maker.input[:2])
            _rescale(whole, scale, factor)


def _overflow(weights: Int8[np.ndarray, "out in h w"]) -> Float[np.ndarray, "out"]:
    """By how much the worst two neighbours of each output channel are too large together.

    Neighbours are two input channels at one place of the kernel, or of that and the next.
    """
    order = weights.transpose(0, 2, 3, 1).reshape(len(weights), -1).astype(np.float64)
    pairs = np.pad(order, ((0, 0), (0, order.shape[1] % 2))).reshape(len(weights), -1, 2).sum(2)
    return np.asarray(np.maximum(np.abs(pairs).max(1) / PAIR, 1))


def _rescale(
    whole: onnx.TensorProto, scale: onnx.TensorProto, factor: Float[np.ndarray, "out"]
) -> None:
    """The same numbers on a coarser scale, channel by channel."""
    steps, width = numpy_helper.to_array(whole), numpy_helper.to_array(scale)
    fewer = np.rint(steps / factor.reshape(-1, *[1] * (steps.ndim - 1))).astype(steps.dtype)
    whole.CopyFrom(numpy_helper.from_array(fewer, whole.name))
    wider = (width * factor).astype(width.dtype)
    scale.CopyFrom(numpy_helper.from_array(wider, scale.name))


def _last_layers(graph: onnx.ModelProto) -> list[str]:
    """The last convolution before each output, and all behind it, by their names.

    They say sizes and logits: on integers their boxes are off by four times as much, and no
    quicker (docs/experiments.md).
    """
    makers = {name: node for node in graph.graph.node for name in node.output}
    found: dict[str, None] = {}
    waiting = [output.name for output in graph.graph.output]
    while waiting:
        node = makers.get(waiting.pop())
        if node is not None:
            found[node.name] = None
            waiting += [] if node.op_type == "Conv" else node.input
    return list(found)


def _compared(before: OneStage, after: OneStage, judged: Pictures, calibrated_on: int) -> Integers:
    """Box by box where a person would see one, and AP50."""
    agreements = []
    for sample in judged.images.samples[:COMPARED]:
        photo = images.load(sample.path)
        agreements.append(agree(before.detect_array(photo), after.detect_array(photo)))
    pixels = np.concatenate([one.pixels for one in agreements])
    score = np.concatenate([one.score for one in agreements])
    scored = [
        evaluate(detector, judged.images, protocol="voc", resamples=0)
        for detector in (before, after)
    ]
    ap50_before, ap50 = (one.metrics["AP50"] for one in scored)
    if ap50_before is None or ap50 is None:
        raise SettingError(f"{judged.name} has no object of the model's classes.")
    if ap50 < ap50_before - AP50_LOST:
        raise ModelError(
            f"integers are refused: AP50 on {judged.name} falls from {ap50_before:.3f} to "
            f"{ap50:.3f}, by more than {AP50_LOST:g}. Export without --int8."
        )
    return Integers(
        data=judged.name,
        calibrated_on=calibrated_on,
        images=scored[0].images,
        ap50_before=ap50_before,
        ap50=ap50,
        pairs=len(pixels),
        alone=sum(len(rows) for one in agreements for rows in one.alone),
        median_pixels=float(np.median(pixels)) if len(pixels) else 0.0,
        median_score=float(np.median(score)) if len(score) else 0.0,
    )
