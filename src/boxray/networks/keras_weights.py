"""Weights of Keras' InceptionV3 and InceptionResNetV2, for timm's networks of the same names.

Both libraries create these networks' layers in the same order. Keras numbers most of them as it
creates them (`conv2d_1`, `batch_normalization_1`; from 0, 1 or later, by version and session), and
names the rest. A network is filled by that order, and every shape is checked.
Source: Szegedy et al. 2015 and 2016; keras.applications for names and order.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from boxray.errors import ModelError
from boxray.networks.fitting import require_fit
from boxray.networks.keras_files import Layers

CONVOLUTION, NORM, DENSE = "conv2d", "batch_normalization", "predictions"
# modules of timm's that Keras names, and what it calls them
NAMED = (
    (r"conv2d_7b\.conv", "conv_7b"),
    (r"conv2d_7b\.bn", "conv_7b_bn"),
    (r"repeat\.(\d+)\.conv2d", "block35_{}_conv"),
    (r"repeat_1\.(\d+)\.conv2d", "block17_{}_conv"),
    (r"repeat_2\.(\d+)\.conv2d", "block8_{}_conv"),
    (r"block8\.conv2d", "block8_10_conv"),
    (r"fc|classif", DENSE),
)
AXES = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}  # of Keras' height, width, in, out; in, out


class Place(NamedTuple):
    """Where a tensor of Keras' goes."""

    tensor: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """As Keras has it: a convolution's height, width, in, out; a dense layer's in, out."""
        back = np.argsort(AXES[self.tensor.ndim])
        return tuple(self.tensor.shape[axis] for axis in back)


def class_count(layers: Layers) -> int:
    """How many classes a file's network tells apart. ModelError for a file without a classifier."""
    bias = layers.get(DENSE, {}).get("bias")
    if bias is None or bias.ndim != 1:
        raise ModelError(
            f"it has no layer {DENSE!r}, the classifier. A file 'notop' is without: take the other."
        )
    return len(bias)


def load_keras(network: nn.Module, layers: Layers) -> None:
    """Fill timm's InceptionV3 or InceptionResNetV2, whole; batch norm's scale, absent there, is 1.

    Raises ModelError, naming what is unknown, missing or of another shape; then nothing is changed.
    """
    found = {
        f"{layer}/{name}": value
        for layer, weights in layers.items()
        for name, value in weights.items()
    }
    places = _places(network, {kind: _first(layers, kind) for kind in (CONVOLUTION, NORM)})
    require_fit(
        {name: value.shape for name, value in found.items()},
        {name: place.shape for name, place in places.items()},
    )
    for name, value in found.items():
        if name.endswith("/moving_variance") and (value < 0).any():
            raise ModelError(f"{name} is below 0, and no variance is.")
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.fill_(1.0)
        for name, place in places.items():
            value = found[name]
            place.tensor.copy_(torch.from_numpy(value.transpose(AXES[value.ndim]).copy()))


def _places(network: nn.Module, numbers: dict[str, int]) -> dict[str, Place]:
    """Every tensor of Keras' network by `layer/name`; numbers: the first that each kind bears."""
    places: dict[str, Place] = {}
    for name, module in network.named_modules():
        tensors = _tensors(module)
        if not tensors:
            continue
        layer = _named(name)
        if layer is None:
            kind = NORM if isinstance(module, nn.BatchNorm2d) else CONVOLUTION
            layer = kind if numbers[kind] == 0 else f"{kind}_{numbers[kind]}"
            numbers[kind] += 1
        places |= {f"{layer}/{key}": Place(tensor) for key, tensor in tensors.items()}
    return places


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """A module's own tensors, by Keras' names for them."""
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None  # statistics are what batch norm is here
        assert module.running_var is not None
        return {
            "beta": module.bias,
            "moving_mean": module.running_mean,
            "moving_variance": module.running_var,
        }
    if isinstance(module, nn.Conv2d | nn.Linear):
        bias = {} if module.bias is None else {"bias": module.bias}
        return {"kernel": module.weight, **bias}
    return {}


def _named(module: str) -> str | None:
    """What Keras calls a module that it has a name for."""
    for pattern, name in NAMED:
        match = re.fullmatch(pattern, module)
        if match:
            return name.format(*(1 + int(block) for block in match.groups()))  # Keras counts from 1
    return None


def _first(layers: Layers, kind: str) -> int:
    """The lowest number that layers of this kind bear: 0 is not written; 1 if there are none."""
    found = (re.fullmatch(rf"{kind}(?:_(\d{{1,9}}))?", layer) for layer in layers)
    return min((int(match[1] or 0) for match in found if match), default=1)
