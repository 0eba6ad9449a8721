"""From a network of timm's and a file of weights to one .onnx file that runs without torch."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from boxray import bundle
from boxray.engines.onnx import OnnxEngine, open_session
from boxray.engines.pytorch import TorchEngine
from boxray.errors import ModelError
from boxray.export import classifier_bytes
from boxray.networks.classifiers import LogitMap, Logits
from boxray.recipes import patches

LOGIT_SHARE = 1e-4  # of the largest logit, or of 1: what rounding may make of one
BATCH = 3  # pictures on which file and network are compared


def from_weights(
    name: str, weights: Path, *, classes: tuple[str, ...] | None = None
) -> tuple[bytes, float]:
    """A sealed classifier in single precision, and how far its logits are from the network's.

    As `patches.from_file`; where the network can say what each window of a larger picture shows,
    the file can. Raises ModelError for a file that says something else than the network.
    """
    model, network = patches.from_file(name, weights, classes=classes)
    size_hw = model.preprocessing.size_hw
    mapped = _mapped(network, size_hw)
    stride = mapped.stride if isinstance(mapped, LogitMap) else None
    model = replace(model, stride=stride)
    try:
        content = classifier_bytes(model, mapped, half=False)
    except (RuntimeError, ValueError, torch.onnx.errors.OnnxExporterError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ModelError(f"{name} cannot be written as ONNX: {reason}") from error
    return content, _apart(content, model, network)


def _mapped(network: Logits, size_hw: tuple[int, int]) -> nn.Module:
    """The network as a map of windows where it can be one, else as it is."""
    try:
        return LogitMap(copy.deepcopy(network.body), size_hw)
    except (ModelError, AttributeError, RuntimeError, AssertionError):
        return network  # its layers look at the whole picture, or at one size of it alone


def _apart(content: bytes, model: bundle.ClassifierModel, network: nn.Module) -> float:
    """The largest difference of a logit over a batch of noise; ModelError if it is no rounding."""
    fed = model.preprocessing
    shape = (BATCH, *fed.size_hw, 3)
    canvases = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    said = OnnxEngine(open_session(content), fed.mean, fed.std)(canvases)[0]
    (meant,) = TorchEngine(network, fed.mean, fed.std)(canvases)
    apart = float(np.abs(said.reshape(meant.shape) - meant).max())
    if not apart <= LOGIT_SHARE * max(1.0, float(np.abs(meant).max())):
        raise ModelError(
            f"the export is refused: its logits are up to {apart:.3g} from those of {model.name} "
            "in torch."
        )
    return apart
