"""Darknet networks against OpenCV's importer, and each layer against its definition."""

from pathlib import Path

import numpy as np
import pytest
import torch

from boxray.boxes import edges, sigmoid
from boxray.errors import ModelError
from boxray.networks import darknet_configuration, darknet_weights
from boxray.networks.darknet import DarknetNetwork, Reorganise, load, weights_of
from boxray.networks.darknet_layers import (
    Convolutional,
    Layer,
    Maxpool,
    Region,
    Route,
    Yolo,
    coder_of,
    levels_of,
)

pytest.importorskip("cv2", reason="needs OpenCV's Darknet importer: pip install 'boxray[dev]'")

from networks.darknet_peer import (  # once it is sure that cv2 is there
    EPSILON,
    as_opencv_orders,
    opencv_says,
    random_weights,
    resized,
)

PUBLISHED = (
    "yolov2-tiny-voc",
    "yolov2-tiny",
    "yolov3-tiny",
    "yolov2-voc",
    "yolov2",
    "yolov3-voc",
    "yolov3",
    "yolov3-spp",
)
TINY = PUBLISHED[:3]
EVERY_LAYER = """
[net]
width=64
height=96
channels=3

[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky

[convolutional]
batch_normalize=1
filters=8
size=3
pad=1
activation=leaky

[shortcut]
from=-2
activation=linear

[convolutional]
batch_normalize=1
filters=16
size=3
stride=2
pad=1
activation=leaky

[route]
layers=-1
groups=2
group_id=1

[convolutional]
batch_normalize=1
filters=8
size=1
pad=1
activation=leaky

[reorg]
stride=2

[maxpool]
size=2
stride=1

[maxpool]
size=5
stride=1

[route]
layers=-1,-2,6

[convolutional]
filters=14
size=1
pad=1
activation=linear

[yolo]
mask=2,3
anchors=10,14, 23,27, 37,58, 81,82
classes=2
num=4

[route]
layers=-4

[upsample]
stride=2

[route]
layers=-1,5

[maxpool]
size=2
stride=1

[convolutional]
filters=14
size=1
pad=1
activation=linear

[yolo]
mask=0,1
anchors=10,14, 23,27, 37,58, 81,82
classes=2
num=4
"""


def compare(text: str, size_hw: tuple[int, int], folder: Path) -> None:
    """Raw maps and decoded rows of a network with random weights, each to 1e-4 of its size."""
    configuration = darknet_configuration.parse(resized(text, size_hw), "it.cfg")
    layers, coder = configuration.layers, coder_of(configuration.layers)
    weights = random_weights(layers)
    pixels = np.random.default_rng(1).random((1, 3, *size_hw), dtype=np.float32)
    raw, decoded = opencv_says(text, layers, weights, pixels, folder)
    network = DarknetNetwork(layers, epsilon=EPSILON).eval()
    load(network, weights)
    with torch.inference_mode():
        said = [level[0].numpy() for level in network(torch.from_numpy(pixels))]
    for ours, theirs in zip(said, raw, strict=True):
        assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(theirs).max()
    found = coder.decode(tuple(said))
    scores = found.scores.reshape(-1, coder.class_count)
    objectness = sigmoid(coder.flatten(tuple(said))[:, 4:5])
    rows = np.concatenate([found.boxes[:: coder.class_count], objectness, scores], 1)
    ends = np.cumsum([len(level) for level in decoded])[:-1]
    shapes = [(len(p), m.shape[-2:]) for p, m in zip(coder.priors, said, strict=True)]
    for ours, theirs, shape in zip(np.split(rows, ends), decoded, shapes, strict=True):
        ours = as_opencv_orders(ours, *shape)
        boxes = theirs[:, :4] * np.array([*size_hw[::-1], *size_hw[::-1]], np.float64)
        # an edge is as exact as the box is large: those of random weights reach a million pixels
        largest = np.abs(edges(boxes)).max(1, keepdims=True)
        assert (np.abs(ours[:, :4] - edges(boxes)) <= 1e-4 * largest).all()
        kept = theirs[:, 4:] != 0  # OpenCV suppresses within [region], by setting scores to 0
        assert kept.any(0).all()
        assert kept[:, 0].all()
        wrong = np.abs(ours[:, 4:] - theirs[:, 4:]) > 1e-4 * theirs[:, 4:]
        assert not wrong[kept].any()


class TestAgainstOpenCV:
    @pytest.mark.parametrize("size_hw", [(96, 64), (64, 128)])
    def test_every_kind_of_layer(self, size_hw, tmp_path):
        compare(EVERY_LAYER, size_hw, tmp_path)

    @pytest.mark.parametrize("name", TINY)
    def test_the_small_published_networks(self, shared, name, tmp_path):
        compare((shared / "data" / "darknet" / f"{name}.cfg").read_text(), (64, 96), tmp_path)

    @pytest.mark.slow
    @pytest.mark.parametrize("size_hw", [(320, 320), (224, 320)])
    @pytest.mark.parametrize("name", PUBLISHED)
    def test_every_published_network(self, shared, name, size_hw, tmp_path):
        compare((shared / "data" / "darknet" / f"{name}.cfg").read_text(), size_hw, tmp_path)


class TestLayers:
    def test_reorg_is_darknets_index_arithmetic(self):
        # blas.c, reorg_cpu: the loops, one number at a time
        channels, height, width, s = 8, 4, 6, 2
        numbers = np.random.default_rng(0).normal(size=(1, channels, height, width))
        flat, expected = numbers.reshape(-1), np.zeros(numbers.size)
        for k in range(channels):
            for j in range(height):
                for i in range(width):
                    c2, offset = k % (channels // s**2), k // (channels // s**2)
                    w2, h2 = i * s + offset % s, j * s + offset // s
                    place = w2 + width * s * (h2 + height * s * c2)
                    expected[i + width * (j + height * k)] = flat[place]
        got = Reorganise(s)(torch.from_numpy(numbers))
        assert (1, 32, 2, 3) == tuple(got.shape)
        np.testing.assert_array_equal(expected, got.numpy().reshape(-1))
        unshuffled = torch.nn.functional.pixel_unshuffle(torch.from_numpy(numbers), s)
        assert not torch.equal(unshuffled, got)

    def test_a_pool_of_stride_one_looks_right_and_down_past_an_edge_that_is_never_the_largest(self):
        network = DarknetNetwork(
            (Maxpool(2, 1), Convolutional(6, 1, 1, False, "linear"), Region(1, ((1.0, 1.0),)))
        )
        numbers = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]]).expand(1, 3, 2, 2)
        expected = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]])  # zeros would win all but one place
        torch.testing.assert_close(expected, network.layers[0](numbers)[0, 0])

    def test_a_group_of_a_route_is_its_part_of_the_channels(self):
        head = (Convolutional(6, 1, 1, False, "linear"), Region(1, ((1.0, 1.0),)))
        network = DarknetNetwork(
            (Convolutional(6, 1), Route((0,), groups=3, group=2), *head), prior_probability=0.5
        )
        maps = torch.arange(6.0)[None, :, None, None]
        assert [4.0, 5.0] == network.layers[1](maps).flatten().tolist()


class TestHeads:
    def layers(self, text: str = EVERY_LAYER) -> tuple[Layer, ...]:
        return darknet_configuration.parse(text, "it.cfg").layers

    def test_heads_come_finest_first_whatever_their_order_in_the_file(self):
        levels = levels_of(self.layers())
        assert [(4, (0, 1)), (8, (2, 3))] == [(x.stride, x.head.mask) for x in levels]
        assert (((10.0, 14.0), (23.0, 27.0)), ((37.0, 58.0), (81.0, 82.0))) == coder_of(
            self.layers()
        ).priors

    def test_region_anchors_are_cells_and_classes_exclude_each_other(self):
        layers = (
            *(Maxpool(2, 2) for _ in range(5)),
            Convolutional(14, 1, 1, False, "linear"),
            Region(2, ((1.5, 2.0), (3.0, 1.0))),
        )
        coder = coder_of(layers)
        assert (((48.0, 64.0), (96.0, 32.0)),) == coder.priors
        assert coder.softmax

    def test_before_training_nearly_nothing_is_an_object(self):
        network = DarknetNetwork(self.layers(), prior_probability=0.01).eval()
        with torch.inference_mode():
            raw = network(torch.rand(1, 3, 64, 64))
        objectness = coder_of(self.layers()).flatten(raw)[0, :, 4].sigmoid()
        assert 0.01 == pytest.approx(objectness.mean().item(), abs=0.005)

    def test_a_head_whose_filters_do_not_fit_says_how_many_it_needs(self):
        layers = (Convolutional(13, 1), Yolo(2, ((4.0, 4.0), (9.0, 9.0)), (0, 1)))
        with pytest.raises(ModelError, match="2 anchors of 5 \\+ 2 numbers need 14 channels"):
            DarknetNetwork(layers)


class TestWeights:
    def test_what_is_loaded_is_what_is_written_byte_for_byte(self):
        layers = darknet_configuration.parse(EVERY_LAYER, "it.cfg").layers
        content = random_weights(layers).to_bytes()
        network = DarknetNetwork(layers)
        weights = darknet_weights.parse(content, layers, "it.weights")
        load(network, weights)
        assert content == weights_of(network, weights.header).to_bytes()

    def test_another_networks_weights_are_refused(self):
        layers = darknet_configuration.parse(EVERY_LAYER, "it.cfg").layers
        other = random_weights(layers[:2])
        with pytest.raises(ModelError, match="another network's: 2 convolutions for 6"):
            load(DarknetNetwork(layers), other)
