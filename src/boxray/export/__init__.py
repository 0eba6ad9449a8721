"""From a trained network to one .onnx file that runs without torch and says all about itself."""

from __future__ import annotations

import copy
import hashlib
import io
import itertools
import platform
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

import boxray
from boxray import bundle
from boxray.bundle.certificates import Certificate
from boxray.bundle.fields import is_plain
from boxray.engines.onnx import INPUT_NAME, METADATA_KEY
from boxray.errors import ModelError
from boxray.files import seal, write_atomically
from boxray.recipes.recipe import Recipe
from boxray.selection import Thresholds

OPSET = 17
# of the settings: paths, which are nobody's business, and what the metadata says elsewhere
PRIVATE = ("data", "output", "classes", "start", "classes_found", "priors")
HALF = ".half"  # what the name of a weight stored in 16 bits ends in


def export_run(
    recipe: Recipe,
    network: nn.Module,
    run: Path,
    *,
    classes: tuple[str, ...],
    settings: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Path:
    """Write `run`/model.onnx; weights are stored in half precision and computed in single."""
    model = bundle.Model(
        name=legible(run.resolve().name),
        classes=classes,
        coder=recipe.coder,
        canvas_hw=recipe.canvas_hw,
        mean=recipe.mean,
        std=recipe.std,
        thresholds=recipe.thresholds,
        metrics=dict(metrics),
        recipe={k: v for k, v in settings.items() if k not in PRIVATE},
        training_data=tuple(legible(Path(p).name) for p in settings["data"]),
        licence="unstated",
        versions=versions(),
    )
    path = run / bundle.MODEL_FILE
    if recipe.second is not None:
        second = bundle.Second(recipe.second.coder, recipe.second.proposals)
        model, content = with_second(replace(model, second=second), network)
        write_atomically(run / second_of(model).file, content)
    write_atomically(path, to_bytes(model, network))
    return path


def versions() -> dict[str, str]:
    """Of what wrote a file."""
    return {
        "boxray": boxray.__version__,
        "torch": torch.__version__,
        "onnx": onnx.__version__,
        "python": platform.python_version(),
    }


def to_bytes(model: bundle.Model, network: nn.Module, *, half: bool = True) -> bytes:
    """A sealed model file of this network; `half` stores its weights in 16 bits."""
    graph = _first_graph(network, model)
    if half:
        store_half(graph)
    return with_metadata(graph, bundle.to_text(model))


def with_metadata(graph: onnx.ModelProto, text: str) -> bytes:
    """The file of a checked graph that says about itself what `text` says, sealed."""
    entry = graph.metadata_props.add()
    entry.key, entry.value = METADATA_KEY, text
    onnx.checker.check_model(graph)
    return seal(graph.SerializeToString())


def classifier_bytes(
    model: bundle.ClassifierModel, network: nn.Module, *, half: bool = True
) -> bytes:
    """A sealed model file of a classifier of any batch; `half` stores its weights in 16 bits.

    network: gives logits alone, or maps of logits and features (`LogitMap`), of any size then. Its
    batch norm is folded by the exporter, which knows what follows what in any network.
    """
    network = copy.deepcopy(network).eval().cpu()
    height, width = model.preprocessing.size_hw
    example = torch.zeros(1, 3, height, width)
    with torch.inference_mode():
        outputs = ["logits", "features"][: len(network(example))]
    is_map = len(outputs) == 2
    places = {2: "rows", 3: "columns"} if is_map else {}
    axes = {INPUT_NAME: {0: "batch"} | ({2: "height", 3: "width"} if is_map else {})}
    axes |= {name: {0: "batch"} | places for name in outputs}
    graph = _traced(network, (example,), axes, outputs=outputs)
    if half:
        store_half(graph)
    return with_metadata(graph, bundle.to_text(replace(model, versions=versions())))


def restated(
    content: bytes,
    *,
    name: str | None = None,
    licence: str | None = None,
    certificate: Certificate | None = None,
    canvas_hw: tuple[int, int] | None = None,
    thresholds: Thresholds | None = None,
) -> bytes:
    """A model file that says something else of itself, sealed anew; graph and weights stay.

    certificate, canvas_hw and thresholds are of detectors only.
    """
    graph = onnx.load_from_string(content)
    model = bundle.describe(content, "the model")
    changed = replace(model, name=name or model.name, licence=licence or model.licence)
    if isinstance(changed, bundle.Model):
        changed = replace(
            changed,
            certificate=certificate or changed.certificate,
            canvas_hw=canvas_hw or changed.canvas_hw,
            thresholds=thresholds or changed.thresholds,
        )
    for entry in graph.metadata_props:
        if entry.key == METADATA_KEY:
            entry.value = bundle.to_text(changed)
    return seal(graph.SerializeToString())


def legible(name: str) -> str:
    """A folder's name as metadata can hold it: any other letter is an underscore."""
    return "".join(letter if is_plain(letter) else "_" for letter in name)


def _first_graph(network: nn.Module, model: bundle.Model) -> onnx.ModelProto:
    """The network, or its first stage, as an ONNX graph of free batch, height and width."""
    network = folded(network)
    height, width = model.canvas_hw
    example = torch.zeros(1, 3, height, width)
    levels = [f"level_{stride}" for stride in model.coder.strides]
    axes = {INPUT_NAME: {0: "batch", 2: "height", 3: "width"}}
    if model.second is not None:
        with torch.inference_mode():
            count = len(network.propose(example)[0])  # type: ignore[operator]
        levels = [f"feature_{number}" for number in range(count)] + levels
        network = _Proposing(network)
    axes |= {level: {0: "batch", 2: f"rows_{level}", 3: f"columns_{level}"} for level in levels}
    return _traced(network, (example,), axes, outputs=levels)


def with_second(
    model: bundle.Model, network: nn.Module, *, half: bool = True
) -> tuple[bundle.Model, bytes]:
    """A two-stage model that names its second graph, and that graph, for any number of boxes."""
    network = folded(network)
    height, width = model.canvas_hw
    example = torch.zeros(1, 3, height, width)
    with torch.inference_mode():
        features, _ = network.propose(example)  # type: ignore[operator]
    boxes = torch.tensor([[0.0, 0.0, width / 2, height / 2], [0.0, 0.0, width, height]])
    names = [f"feature_{number}" for number in range(len(features))]
    axes = {name: {2: f"rows_{name}", 3: f"columns_{name}"} for name in names}
    axes |= {"boxes": {0: "proposals"}, "numbers": {0: "proposals"}}
    graph = _traced(_Refining(network), (*features, boxes), axes, outputs=["numbers"])
    if half:
        store_half(graph)
    onnx.checker.check_model(graph)
    content = graph.SerializeToString()
    digest = hashlib.sha256(content).hexdigest()
    return replace(model, second=replace(second_of(model), digest=digest)), content


def second_of(model: bundle.Model) -> bundle.Second:
    """The second stage of a model that has one."""
    assert model.second is not None  # only two-stage models come here
    return model.second


class _Proposing(nn.Module):
    """The first step of a two-stage network, its outputs in one row."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        features, raw = self.network.propose(image)  # type: ignore[operator]
        return (*features, *raw)


class _Refining(nn.Module):
    """The second step of a two-stage network, its inputs in one row, the boxes last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
        numbers: torch.Tensor = self.network.refine(inputs[:-1], [inputs[-1]])  # type: ignore[operator]
        return numbers


def _traced(
    network: nn.Module,
    examples: tuple[torch.Tensor, ...],
    axes: dict[str, dict[int, str]],
    *,
    outputs: list[str],
) -> onnx.ModelProto:
    """The graph of a network in use; axes: which ones are free, of the inputs and the outputs."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # torch has a newer exporter, which needs another package and knows free sizes less well
        warnings.simplefilter("ignore", DeprecationWarning)
        # what tracing fixes is tested at other sizes
        warnings.simplefilter("ignore", torch.jit.TracerWarning)  # type: ignore[attr-defined]
        warnings.filterwarnings("ignore", "Constant folding")  # the padding is not: it is cheap
        torch.onnx.export(
            network,
            examples,
            buffer,  # type: ignore[arg-type]  # a file-like object is documented
            input_names=[name for name in axes if name not in outputs],
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=OPSET,
            do_constant_folding=False,  # it would store a reshaped weight under no name of ours
            dynamo=False,
        )
    return onnx.load_from_string(buffer.getvalue())


def store_half(graph: onnx.ModelProto) -> None:
    """Store every large weight in 16 bits, with a cast back to 32 before it is used, in place.

    onnxruntime folds the casts when it loads the file, so speed is that of single precision.
    """
    casts = []
    for weight in graph.graph.initializer:
        if weight.data_type != onnx.TensorProto.FLOAT or np.prod(weight.dims) < 64:
            continue
        name = weight.name
        stored = numpy_helper.to_array(weight).astype(np.float16)
        weight.CopyFrom(numpy_helper.from_array(stored, f"{name}{HALF}"))
        casts.append(helper.make_node("Cast", [weight.name], [name], to=onnx.TensorProto.FLOAT))
    for number, cast in enumerate(casts):
        graph.graph.node.insert(number, cast)


def as_stored(network: nn.Module, *contents: bytes) -> nn.Module:
    """The network that was exported, in torch, with exactly the weights of its model file or files.

    For comparisons of the engines. Raises ModelError if they hold another network.
    """
    plain = folded(network)
    weights = {
        name.removeprefix("network."): weight  # the halves of a two-stage network say so
        for content in contents
        for name, weight in stored_weights(content).items()
    }
    wanted = plain.state_dict()
    try:
        plain.load_state_dict({name: weights[name] for name in wanted})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"the model file holds another network: {error}.") from error
    return plain


def stored_weights(content: bytes) -> dict[str, torch.Tensor]:
    """The weights in a model file, in single precision, by their names in the folded network."""
    graph = onnx.load_from_string(content).graph
    weights = {
        weight.name.removesuffix(HALF): torch.tensor(numpy_helper.to_array(weight)).float()
        for weight in graph.initializer
    }
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in weights:  # equal weights: stored once
            weights[node.output[0]] = weights[node.input[0]]
    return weights


def folded(network: nn.Module) -> nn.Module:
    """A copy for use, on the CPU: each batch norm is folded into the convolution before it.

    The exporter would do so itself, but give the weights other names.
    """
    plain = copy.deepcopy(network).eval().cpu()
    for parent in plain.modules():
        for (name, first), (next_name, second) in itertools.pairwise(list(parent.named_children())):
            if isinstance(first, nn.Conv2d) and isinstance(second, nn.BatchNorm2d):
                setattr(parent, name, fuse_conv_bn_eval(first, second))
                setattr(parent, next_name, nn.Identity())
            elif isinstance(first, nn.Conv2d) and isinstance(second, FrozenBatchNorm2d):
                kept = (second.running_mean, second.running_var, second.eps)
                weights = (first.weight, first.bias, *kept, second.weight, second.bias)
                first.weight, first.bias = fuse_conv_bn_weights(*weights)
                setattr(parent, next_name, nn.Identity())
    return plain
