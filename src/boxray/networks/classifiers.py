"""Classifiers, from timm: feature maps, their mean over the picture, one linear layer.

A network here is timm's own, so it has timm's `forward_features` and `get_classifier`.
"""

from __future__ import annotations

import timm
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from boxray.errors import ModelError
from boxray.networks.backbones import fold_batch_norm, load_lite0_weights

PROBE_WIDTH = 4096  # pixels; InceptionResNetV2 sees 3,039 (Araujo et al. 2019)


class Logits(nn.Module):
    """One of timm's classifiers, whose only raw array is its logits."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.body = body

    def forward(self, image: Float[Tensor, "n 3 h w"]) -> tuple[Float[Tensor, "n classes"]]:
        """The logits, in a row of one array."""
        return (self.body(image),)


class LogitMap(nn.Module):
    """One of timm's classifiers as a convolution: what it says of each window of a picture.

    A window has the size that the classifier was trained for, size_hw in pixels; the next one
    begins where the network's next cell does, `stride` pixels on. The mean over the picture becomes
    a mean over the cells of a window, and the linear layer a convolution of 1x1. Of a picture as
    large as one window the map has one place, and says what the classifier says.
    Source: Sermanet et al. 2014 (OverFeat), section 3.5. Raises ModelError for a network with
    another end, or with a layer that looks at the whole picture at once, which it names.
    """

    def __init__(self, body: nn.Module, size_hw: tuple[int, int]) -> None:
        super().__init__()
        linear = body.get_classifier()  # type: ignore[operator]
        with torch.inference_mode():
            cells = body.eval().forward_features(torch.zeros(1, 3, *size_hw))  # type: ignore[operator]
        _require_local(body, size_hw[0])
        _require_mean_and_linear(body, linear, cells)
        body.reset_classifier(0)  # type: ignore[operator]
        self.body = body
        self.window_hw = tuple(map(int, cells.shape[-2:]))
        self.stride = int(body.feature_info[-1]["reduction"])  # type: ignore[index]
        self.head = nn.Conv2d(linear.in_features, linear.out_features, 1)
        with torch.no_grad():
            self.head.weight.copy_(linear.weight[:, :, None, None])
            self.head.bias.copy_(linear.bias)  # type: ignore[union-attr]

    def forward(
        self, image: Float[Tensor, "n 3 h w"]
    ) -> tuple[Float[Tensor, "n classes rows columns"], Float[Tensor, "n channels rows columns"]]:
        """The logits of every window, and the features that they are made of."""
        cells = self.body.forward_features(image)  # type: ignore[operator]
        features = functional.avg_pool2d(cells, self.window_hw, stride=1)
        return self.head(features), features


def _require_mean_and_linear(body: nn.Module, linear: object, cells: Tensor) -> None:
    """Or a ModelError: what follows the feature maps is their mean and one linear layer."""
    end = getattr(body, "head", body)  # where timm's newer networks have it
    pooling = getattr(getattr(end, "global_pool", None), "pool_type", None)
    if pooling != "avg" or not isinstance(linear, nn.Linear) or cells.ndim != 4:
        raise ModelError(
            f"{type(body).__name__} ends in {pooling} and {type(linear).__name__}; as a map of "
            "windows it must end in feature maps, their mean over the picture, and nn.Linear."
        )
    if linear.in_features != cells.shape[1]:
        raise ModelError(
            f"{type(body).__name__} has {cells.shape[1]} feature maps and a linear layer of "
            f"{linear.in_features}: there is something between them, which is no map."
        )


def _require_local(body: nn.Module, height: int) -> None:
    """Or a ModelError that names the first layer whose right end knows what is at the left end.

    Tried on a strip that is wider than what the deepest networks see of a picture. What is far
    away must not count: then a window's cells are the same in every picture around it.
    """
    strip = torch.rand(1, 3, height, PROBE_WIDTH, generator=torch.Generator().manual_seed(0))
    changed = strip.clone()
    changed[..., :32] = 1 - changed[..., :32]
    before, after = _right_ends(body, strip), _right_ends(body, changed)
    for name, seen in before.items():
        if not torch.equal(seen, after[name]):
            raise ModelError(
                f"layer {name!r} ({type(body.get_submodule(name)).__name__}) looks at the whole "
                "picture at once (as squeeze-excite and attention do), so that a window's features "
                "depend on what is far outside of it. Slide it exactly, window by window."
            )


def _right_ends(body: nn.Module, strip: Tensor) -> dict[str, Tensor]:
    """What each layer says at the right end of a strip, in the order in which they are done."""
    ends: dict[str, Tensor] = {}
    hooks = []
    for name, layer in body.named_modules():

        def keep(_: nn.Module, __: object, said: object, name: str = name) -> None:
            if isinstance(said, Tensor):
                ends[name] = said[..., -1].clone()

        hooks.append(layer.register_forward_hook(keep))
    with torch.inference_mode():
        body.forward_features(strip)  # type: ignore[operator]
    for hook in hooks:
        hook.remove()
    return ends


def lite0_classifier() -> nn.Module:
    """EfficientNet-Lite0 with the pip package's ImageNet weights, its batch norm folded."""
    body: nn.Module = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    load_lite0_weights(body)
    fold_batch_norm(body)
    return body.eval()
