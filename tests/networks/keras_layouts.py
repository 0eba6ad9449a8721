"""Keras' networks as written down in tests/golden, and files laid out as Keras lays them out."""

import re
from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

GOLDEN = Path(__file__).parents[1] / "golden"
NETWORKS = ("inception_v3", "inception_resnet_v2")
Layers = dict[str, dict[str, np.ndarray]]


def layers_of(name: str, *, first: int = 0) -> Layers:
    """Every tensor of a network, all of one number that is its layer's own; little memory.

    The number is that which Keras gave the layer, counted from 1, or else 1; first: what the first
    numbered layer is called, 0 being `conv2d`.
    """
    layers: Layers = {}
    for line in (GOLDEN / f"keras_{name}.tsv").read_text().splitlines()[1:]:
        layer, weight, shape = line.split("\t")
        value = 1.0
        match = re.fullmatch(r"(conv2d|batch_normalization)(?:_(\d+))?", layer)
        if match:
            number = int(match[2] or 0)
            value = 1.0 + number
            layer = f"{match[1]}_{number + first}" if number + first else match[1]
        full = np.broadcast_to(np.float32(value), [int(side) for side in shape.split("x")])
        layers.setdefault(layer, {})[weight] = full
    return layers


def write(path: Path, layers: Mapping[str, Mapping[str, np.ndarray]], layout: str) -> None:
    """The file that Keras 2 writes: at the root, in a whole model, or its list cut in two."""
    with h5py.File(path, "w") as file:
        top = file.create_group("model_weights") if layout == "nested" else file
        names = ["input_1", *layers, "add_1"]  # layers without weights are listed as well
        if layout == "cut":
            top.attrs["layer_names0"] = [name.encode() for name in names[:3]]
            top.attrs["layer_names1"] = [name.encode() for name in names[3:]]
        else:
            top.attrs["layer_names"] = np.array(names, "S")
        for layer in names:
            group = top.create_group(layer)
            weights = layers.get(layer, {})
            full = [f"{layer}/{name}:0" for name in weights]
            group.attrs["weight_names"] = np.array(full, "S") if full else []
            for name, value in zip(full, weights.values(), strict=True):
                group[name] = value
