"""A one-stage network: backbone, pyramid, head. It holds no loss, threshold or decoding."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn


class OneStageNetwork(nn.Module):
    """Normalised pixels (n, 3, H, W) to one raw array per level, in training and in use alike."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, ...]:
        raw: tuple[Tensor, ...] = self.head(self.neck(self.backbone(image)))
        return raw
