"""Classifiers of timm's with the weights of a file that somebody names; nothing is downloaded."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import timm
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from boxray.errors import ModelError
from boxray.networks import keras_files, keras_weights
from boxray.networks.fitting import require_fit

SAFETENSORS = ".safetensors"
# whose weights Keras publishes, and how these want to be fed
FROM_KERAS = {
    "inception_v3": "inception_v3.tf_in1k",
    "inception_resnet_v2": "inception_resnet_v2.tf_in1k",
}
COUNTER = "num_batches_tracked"  # of batch norm; needed by nobody, and old files have none
AUXILIARY = "AuxLogits."  # a second classifier that some files have, used in training alone


class WithoutBorder(nn.Module):
    """What comes after a 3×3 mean, given that mean as TensorFlow takes it: of the map alone.

    torch's mean counts the zeros around the map as well. Here it is divided by the share of the
    nine places that lie on the map: 4/9 in a corner, 6/9 along an edge, 1 inside.
    """

    def __init__(self, following: nn.Module) -> None:
        super().__init__()
        self.following = following

    def forward(self, mean: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        """The features that follow."""
        inside = functional.avg_pool2d(torch.ones_like(mean[:1, :1]), 3, stride=1, padding=1)
        features: Tensor = self.following(mean / inside)
        return features


def feeding(name: str) -> Mapping[str, Any]:
    """What timm says about a network of its own: input, mean, std, crop, name of the classifier.

    Raises ModelError for a name that timm does not know, with the nearest that it does.
    """
    arch = name.partition(".")[0]
    try:
        found = timm.get_pretrained_cfg(name) if timm.is_model(arch) else None
    except RuntimeError:  # it knows the network, not the variant after the dot
        found = None
    if found is None:
        known = timm.list_models(f"{arch}.*", pretrained=True) or timm.list_models()
        near = difflib.get_close_matches(name, known, 3, cutoff=0.5)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ModelError(f"timm has no network {name!r}.{hint}")
    return asdict(found)


def from_keras(name: str, path: Path) -> nn.Module:
    """InceptionV3 or InceptionResNetV2 with the weights of a Keras `.h5` file, pooling as Keras.

    Raises ModelError, naming file and tensors, for a file that is not whole or of another network.
    """
    layers = keras_files.read(path)
    try:
        body: nn.Module = timm.create_model(name, num_classes=keras_weights.class_count(layers))
        keras_weights.load_keras(body, layers)
    except ModelError as error:
        raise ModelError(f"{path}, for {name}: {error}") from error
    for module in list(body.modules()):
        pooled = getattr(module, "branch_pool", None)
        if isinstance(pooled, nn.Module):  # InceptionV3's; the other's mean is right as it is
            module.branch_pool = WithoutBorder(pooled)
    return body.eval()


def from_timm(name: str, path: Path) -> nn.Module:
    """A network of timm's with the weights of a `.safetensors` file, whole and nothing else.

    Raises ModelError, naming file and tensors, for a file that is not whole or of another network.
    """
    described = feeding(name)
    stored = _stored(path)
    bias = stored.get(f"{head_of(described)}.bias")
    count = described["num_classes"] if bias is None else len(bias)
    body: nn.Module = timm.create_model(name, pretrained=False, num_classes=count)
    wanted = {
        key: tuple(value.shape)
        for key, value in body.state_dict().items()
        if key in stored or not key.endswith(COUNTER)
    }
    try:
        require_fit({key: tuple(value.shape) for key, value in stored.items()}, wanted)
    except ModelError as error:
        raise ModelError(f"{path}, for {name}: {error}") from error
    body.load_state_dict(stored, strict=False)  # every tensor but counters was just compared
    return body.eval()


def head_of(described: Mapping[str, Any]) -> str:
    """The name of the layer whose outputs are the logits; of several, which timm averages, one."""
    heads = described["classifier"]
    return heads if isinstance(heads, str) else str(heads[0])


def _stored(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file that are used outside training."""
    if not path.is_file():
        raise ModelError(f"{path}: no such file.")
    try:
        stored = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is no whole {SAFETENSORS} file: {error}") from error
    return {key: value for key, value in stored.items() if not key.startswith(AUXILIARY)}
