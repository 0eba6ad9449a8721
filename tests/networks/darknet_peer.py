"""OpenCV's importer of Darknet networks, and random weights, for comparisons."""

import re
from pathlib import Path

import cv2
import numpy as np

from boxray.boxes import Array
from boxray.networks.darknet_layers import Convolutional, Layer, Shortcut, levels_of, maps_of
from boxray.networks.darknet_weights import Convolution, Header, Weights

EPSILON = 1e-6  # what OpenCV adds to the variance


def random_weights(layers: tuple[Layer, ...], seed: int = 0) -> Weights:
    """Weights that keep what a network says near 1, batch norm's statistics included."""
    random, maps, found = np.random.default_rng(seed), maps_of(layers), []
    for place, layer in enumerate(layers):
        if not isinstance(layer, Convolutional):
            continue
        count, size = layer.filters, layer.size
        shape = (count, maps[place].channels // layer.groups, size, size)
        gain = 1.3 if layer.activation == "leaky" else 1.0
        if place + 1 < len(layers) and isinstance(layers[place + 1], Shortcut):
            gain = 0.3  # sums of many layers would grow without bound
        norm = [None] * 3
        if layer.batch_normalize:
            norm = [
                random.uniform(0.7, 1.3, count),
                random.normal(0, 0.1, count),
                random.uniform(0.5, 1.5, count),
            ]
        weight = random.normal(0, gain / np.sqrt(np.prod(shape[1:])), shape)
        arrays = [random.normal(0, 0.1, count), *norm, weight]
        found.append(Convolution(*(a if a is None else a.astype(np.float32) for a in arrays)))
    return Weights(Header(seen=32013312), tuple(found))


def resized(text: str, size_hw: tuple[int, int]) -> str:
    """A configuration for another canvas and single pictures, in which OpenCV drops no score."""
    numbers = {"height": size_hw[0], "width": size_hw[1], "batch": 1, "subdivisions": 1}
    for name, number in numbers.items():
        text = re.sub(rf"(?m)^\s*{name}\s*=.*$", f"{name}={number}", text)
    text = re.sub(r"(?m)^\s*thresh\s*=.*\n", "", text)
    return re.sub(r"(?m)^\[(region|yolo)\]", r"[\1]\nthresh=0", text)


def opencv_says(
    text: str, layers: tuple[Layer, ...], weights: Weights, pixels: Array, folder: Path
) -> tuple[list[Array], list[Array]]:
    """For pixels (1, 3, H, W): every head's raw map and decoded rows, finest first.

    A row is cx, cy, w, h as shares of the canvas, objectness, then scores of the classes; rows
    come cell by cell, then prior by prior.
    """
    (folder / "it.cfg").write_text(resized(text, pixels.shape[-2:]))
    (folder / "it.weights").write_bytes(weights.to_bytes())
    network = cv2.dnn.readNetFromDarknet(str(folder / "it.cfg"), str(folder / "it.weights"))
    (folder / "it.weights").unlink()
    network.setPreferableBackend(cv2.dnn.DNN_BACKEND_OPENCV)
    network.enableFusion(False)
    network.setInput(pixels)
    places = sorted(level.place for level in levels_of(layers))
    decoded = list(network.getUnconnectedOutLayersNames())
    said = network.forward([f"conv_{place - 1}" for place in places] + decoded)
    order = [places.index(level.place) for level in levels_of(layers)]
    return [said[i][0] for i in order], [said[len(places) + i] for i in order]


def as_opencv_orders(rows: Array, priors: int, size_hw: tuple[int, int]) -> Array:
    """Rows of one level, ours prior by prior, cell by cell as OpenCV has them."""
    numbers = rows.shape[-1]
    return rows.reshape(priors, *size_hw, numbers).transpose(1, 2, 0, 3).reshape(-1, numbers)
