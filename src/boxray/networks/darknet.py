"""A Darknet network in torch: YOLOv2 and YOLOv3 as their configurations describe them.

Sources: Redmon & Farhadi 2017 (YOLO9000), 2018 (YOLOv3). It holds no loss, threshold or decoding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from boxray.errors import ModelError
from boxray.networks.darknet_layers import (
    Convolutional,
    Head,
    Layer,
    Maxpool,
    Reorg,
    Route,
    Shortcut,
    Upsample,
    levels_of,
    maps_of,
    source,
)
from boxray.networks.darknet_weights import Convolution, Header, Weights

# Published weights were made on GPUs, where Darknet adds this to the variance before the root.
EPSILON = 1e-5
MOMENTUM = 0.03  # of batch norm's statistics; Darknet's 0.01 is made for longer trainings
LEAK = 0.1


class DarknetNetwork(nn.Module):
    """Pixels from 0 to 1 (n, 3, H, W) to one raw map per head, finest first.

    layers: as a configuration says, or one of the functions in yolo_layers. epsilon: what batch
    norm adds to the variance. prior_probability: what objectness says before training.
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        *,
        epsilon: float = EPSILON,
        prior_probability: float = 0.01,
    ) -> None:
        super().__init__()
        maps = maps_of(layers)
        self.places = [level.place + 1 for level in levels_of(layers)]
        self.sources = [_sources(layer, place + 1) for place, layer in enumerate(layers)]
        self.layers = nn.ModuleList(
            _module(layer, maps[place].channels, epsilon) for place, layer in enumerate(layers)
        )
        for place, layer in enumerate(layers):
            if isinstance(layer, Shortcut):
                _start_as_identity(self.layers[place - 1])
        for level in levels_of(layers):
            _quieten(self.layers[level.place - 1], level.head, prior_probability)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        maps = [image]
        for layer, sources in zip(self.layers, self.sources, strict=True):
            maps.append(layer(*(maps[place] for place in sources)))
        return tuple(maps[place] for place in self.places)


class Block(nn.Sequential):
    """A convolution, its batch norm where it has one, its activation."""

    def __init__(self, layer: Convolutional, channels: int, epsilon: float) -> None:
        norm = layer.batch_normalize
        conv = nn.Conv2d(
            channels,
            layer.filters,
            layer.size,
            layer.stride,
            layer.size // 2,
            groups=layer.groups,
            bias=not norm,
        )
        parts: list[nn.Module] = [conv]
        if norm:
            parts.append(nn.BatchNorm2d(layer.filters, eps=epsilon, momentum=MOMENTUM))
        if layer.activation == "leaky":
            nn.init.kaiming_normal_(conv.weight, a=LEAK)
            parts.append(nn.LeakyReLU(LEAK, inplace=True))
        super().__init__(*parts)


class Pool(nn.Module):
    """The largest of size × size cells, padded with -∞ by size - 1, the odd one right and below."""

    def __init__(self, layer: Maxpool) -> None:
        super().__init__()
        near = (layer.size - 1) // 2
        far = layer.size - 1 - near
        if near == far:  # the pool pads with -∞ by itself
            self.pool: nn.Module = nn.MaxPool2d(layer.size, layer.stride, near)
        elif layer.size == layer.stride:  # and needs no padding where the stride divides the map
            self.pool = nn.MaxPool2d(layer.size, layer.stride)
        else:
            pad = nn.ConstantPad2d((near, far, near, far), -math.inf)
            self.pool = nn.Sequential(pad, nn.MaxPool2d(layer.size, layer.stride))

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c p q"]:
        pooled: Tensor = self.pool(features)
        return pooled


class Reorganise(nn.Module):
    """Darknet's reorg: n·c·h·w → n·cs²·(h/s)·(w/s).

    The c channels are read as c/s² maps of s times the height and width, and each of their s × s
    blocks is spread over channels. This is not torch's pixel_unshuffle, and no rearrangement of
    neighbours either; published weights were trained with it.
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d p q"]:
        s = self.stride
        n, c, h, w = features.shape
        blocks = features.reshape(n, c // s**2, h, s, w, s)
        spread = blocks.permute(0, 3, 5, 1, 2, 4)
        return spread.reshape(n, c * s**2, h // s, w // s)


class Join(nn.Module):
    """Maps side by side; of each only one group of its channels."""

    def __init__(self, layer: Route) -> None:
        super().__init__()
        self.groups, self.group = layer.groups, layer.group

    def forward(self, *maps: Float[Tensor, "n _ h w"]) -> Float[Tensor, "n c h w"]:
        return torch.cat([m.chunk(self.groups, dim=1)[self.group] for m in maps], dim=1)


class Add(nn.Module):
    """The sum of two maps."""

    def __init__(self, layer: Shortcut) -> None:
        super().__init__()
        leaky = layer.activation == "leaky"
        self.activation = nn.LeakyReLU(LEAK) if leaky else nn.Identity()

    def forward(
        self, features: Float[Tensor, "n c h w"], other: Float[Tensor, "n c h w"]
    ) -> Float[Tensor, "n c h w"]:
        added: Tensor = self.activation(features + other)
        return added


class Enlarge(nn.Module):
    """Every cell repeated, stride × stride times."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c p q"]:
        return functional.interpolate(features, scale_factor=float(self.stride), mode="nearest")


def load(network: DarknetNetwork, weights: Weights) -> None:
    """Fill a network with the weights of a file that was read for the same layers.

    Raises ModelError if they are another network's.
    """
    blocks = [layer for layer in network.layers if isinstance(layer, Block)]
    wanted = [[tuple(tensor.shape) for tensor in _tensors(block)] for block in blocks]
    got = [[a.shape for a in one.arrays()] for one in weights.convolutions]
    if wanted != got:
        raise ModelError(
            f"the weights are another network's: {len(got)} convolutions for {len(wanted)}, or "
            "others in size."
        )
    with torch.no_grad():
        for block, one in zip(blocks, weights.convolutions, strict=True):
            for tensor, array in zip(_tensors(block), one.arrays(), strict=True):
                tensor.copy_(torch.from_numpy(array))


def weights_of(network: DarknetNetwork, header: Header) -> Weights:
    """The network's weights as a file has them; what `load` undoes."""
    convolutions = []
    for layer in network.layers:
        if isinstance(layer, Block):
            arrays = [tensor.detach().cpu().numpy().copy() for tensor in _tensors(layer)]
            plain = len(arrays) == 2
            convolutions.append(
                Convolution(arrays[0], None, None, None, arrays[1])
                if plain
                else Convolution(*arrays)
            )
    return Weights(header, tuple(convolutions))


def _tensors(block: Block) -> list[Tensor]:
    """A block's tensors in the order of a weights file."""
    conv, norm = block[0], block[1] if len(block) > 1 else None
    assert isinstance(conv, nn.Conv2d)
    if isinstance(norm, nn.BatchNorm2d):
        assert norm.running_mean is not None  # Darknet's batch norm keeps statistics
        assert norm.running_var is not None
        return [norm.bias, norm.weight, norm.running_mean, norm.running_var, conv.weight]
    assert conv.bias is not None
    return [conv.bias, conv.weight]


def _module(layer: Layer, channels: int, epsilon: float) -> nn.Module:
    match layer:
        case Convolutional():
            return Block(layer, channels, epsilon)
        case Maxpool():
            return Pool(layer)
        case Reorg():
            return Reorganise(layer.stride)
        case Upsample():
            return Enlarge(layer.stride)
        case Route():
            return Join(layer)
        case Shortcut():
            return Add(layer)
        case _:
            return nn.Identity()  # a head: what it says is the map before it


def _sources(layer: Layer, count: int) -> tuple[int, ...]:
    """Which of the `count` maps so far, the picture first, a layer takes."""
    match layer:
        case Route():
            return tuple(source(place, count) for place in layer.layers)
        case Shortcut():
            return count - 1, source(layer.layer, count)
        case _:
            return (count - 1,)


def _start_as_identity(block: nn.Module) -> None:
    """Let what is added to a shortcut be nothing before training, or sums grow with the depth.

    Source: Goyal et al. 2017, section 5.1.
    """
    if isinstance(block, Block) and len(block) > 1 and isinstance(block[1], nn.BatchNorm2d):
        nn.init.zeros_(block[1].weight)


@torch.no_grad()
def _quieten(block: nn.Module, head: Head, prior_probability: float) -> None:
    """Let a head's objectness say `prior_probability`, and its box numbers the prior itself."""
    if not isinstance(block, Block) or len(block) != 1:
        return
    conv = block[0]
    assert isinstance(conv, nn.Conv2d)
    assert conv.bias is not None
    nn.init.normal_(conv.weight, std=0.01)
    bias = np.zeros((len(head.mask), 5 + head.class_count), np.float32)
    bias[:, 4] = math.log(prior_probability / (1 - prior_probability))
    conv.bias.copy_(torch.from_numpy(bias.ravel()))
