"""Classifiers, from timm: feature maps, their mean over the picture, one linear layer.

A network here is timm's own, so it has timm's `forward_features` and `forward_head`.
"""

from __future__ import annotations

import timm
from jaxtyping import Float
from torch import Tensor, nn

from boxray.networks.backbones import fold_batch_norm, load_lite0_weights


class Logits(nn.Module):
    """One of timm's classifiers, whose only raw array is its logits."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n classes"]]:
        """The logits, in a row of one array."""
        return (self.body(image),)


def lite0_classifier() -> nn.Module:
    """EfficientNet-Lite0 with the pip package's ImageNet weights, its batch norm folded."""
    body: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_lite0_weights(body)
    fold_batch_norm(body)
    return body.eval()
