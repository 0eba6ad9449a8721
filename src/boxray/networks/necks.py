"""The pyramid between backbone and heads: coarse maps tell fine ones what, fine ones tell where."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional


def convolution(channels_in: int, channels_out: int, size: int, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the spatial size stays, or is divided by the stride."""
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(channels_out, momentum=0.03, eps=1e-3),
        nn.ReLU(inplace=True),
    )


class Pyramid(nn.Module):
    """Top-down, then bottom-up: one map of `width` channels per level, finest first.

    Source: Lin et al. 2017 (feature pyramid), Liu et al. 2018 (path aggregation), with sums
    where the papers concatenate.
    """

    def __init__(self, channels: tuple[int, ...], width: int) -> None:
        super().__init__()
        pairs = range(len(channels) - 1)
        self.lateral = nn.ModuleList(convolution(c, width, 1) for c in channels)
        self.top_down = nn.ModuleList(convolution(width, width, 3) for _ in pairs)
        self.shrink = nn.ModuleList(convolution(width, width, 3, stride=2) for _ in pairs)
        self.bottom_up = nn.ModuleList(convolution(width, width, 3) for _ in pairs)

    def forward(self, maps: list[Float[Tensor, "n _ _ _"]]) -> list[Float[Tensor, "n c _ _"]]:
        maps = [lateral(m) for lateral, m in zip(self.lateral, maps, strict=True)]
        for level in reversed(range(len(maps) - 1)):
            coarse = functional.interpolate(maps[level + 1], scale_factor=2.0, mode="nearest")
            maps[level] = self.top_down[level](maps[level] + coarse)
        for level in range(len(maps) - 1):
            fine = self.shrink[level](maps[level])
            maps[level + 1] = self.bottom_up[level](maps[level + 1] + fine)
        return maps
