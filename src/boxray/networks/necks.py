"""The pyramid between backbone and heads: coarse maps tell fine ones what, fine ones tell where."""

from __future__ import annotations

from collections import OrderedDict
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool, LastLevelP6P7

from boxray.networks.depthwise import DepthwiseConv

Extra: TypeAlias = Literal["pool", "top", "pyramid"]


def convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the spatial size stays, or is divided by the stride."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(channels_out, momentum=0.03, eps=1e-3),
        nn.ReLU(inplace=True),
    )


def separable(channels_in: int, channels_out: int, stride: int = 1) -> nn.Sequential:
    """Depthwise 5×5, then 1×1, batch norm, ReLU: in a quarter of a 3×3's time or less.

    Each channel is looked at alone first, then all at each place; nothing lies between the two.
    Source: Howard et al. 2017 (MobileNets), section 3.1; without the norm and activation between
    them as in Tan et al. 2020 (EfficientDet); measured in docs/experiments.md.
    """
    deep = nn.Conv2d(channels_in, channels_in, 5, stride, 2, groups=channels_in, bias=False)
    return nn.Sequential(DepthwiseConv(deep), *convolution(channels_in, channels_out, 1))


class Pyramid(nn.Module):
    """Top-down, then bottom-up: one map of `width` channels per level, finest first.

    Source: Lin et al. 2017 (feature pyramid), Liu et al. 2018 (path aggregation), with sums
    where the papers concatenate. Convolutions that look around are separable.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        pairs = range(len(channels) - 1)
        self.lateral = nn.ModuleList(convolution(c, width, 1) for c in channels)
        self.top_down = nn.ModuleList(separable(width, width) for _ in pairs)
        self.shrink = nn.ModuleList(separable(width, width, stride=2) for _ in pairs)
        self.bottom_up = nn.ModuleList(separable(width, width) for _ in pairs)

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n c _ _"]]:
        maps = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        for level in reversed(range(len(maps) - 1)):
            coarse = functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
            maps[level] = self.top_down[level](maps[level] + coarse)
        for level in range(len(maps) - 1):
            fine = self.shrink[level](maps[level])
            maps[level + 1] = self.bottom_up[level](maps[level + 1] + fine)
        return maps


class FeaturePyramid(nn.Module):
    """Top-down only, as in the papers: one map of `width` channels per level, finest first.

    extra: what is added above the backbone's coarsest map: "pool" one level, by taking every second
    cell (Faster R-CNN's P6); "top" and "pyramid" two levels, by strided convolutions from the
    backbone's coarsest map or from the pyramid's (RetinaNet's P6 and P7).
    Source: Lin et al. 2017 (feature pyramid), section 3; Lin et al. 2017 (focal loss), section 4.
    """

    def __init__(self, channels: tuple[int, ...], width: int, extra: Extra) -> None:
        super().__init__()
        if extra == "pool":
            above = LastLevelMaxPool()
        else:
            above = LastLevelP6P7(channels[-1] if extra == "top" else width, width)
        self.fpn = FeaturePyramidNetwork(list(channels), width, above)

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n c _ _"]]:
        named = OrderedDict((str(number), level) for number, level in enumerate(maps))
        return list(self.fpn(named).values())


class Concatenation(nn.Module):
    """Top-down: coarse maps, doubled in size, lie beside finer ones before both are mixed.

    One map of `width` channels per level, finest first. Source: Redmon & Farhadi 2018, section 2.3.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        coarser = [*[width] * (len(channels) - 1), 0]
        self.mix = nn.ModuleList(
            nn.Sequential(convolution(c + w, width, 1), convolution(width, width, 3))
            for c, w in zip(channels, coarser, strict=True)
        )
        self.reduce = nn.ModuleList(convolution(width, width, 1) for _ in channels[1:])

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n c _ _"]]:
        mixed = [self.mix[-1](maps[-1])]
        for level in reversed(range(len(maps) - 1)):
            coarse = self.reduce[level](mixed[0])
            coarse = functional.interpolate(coarse, scale_factor=2.0, mode="nearest")
            mixed.insert(0, self.mix[level](torch.cat([maps[level], coarse], 1)))
        return mixed
