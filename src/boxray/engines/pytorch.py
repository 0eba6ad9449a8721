"""Runs a torch network as an engine: the same canvases in, the same raw arrays out as ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Num, UInt8
from torch import Tensor, nn

from boxray.boxes import Array


@dataclass(frozen=True)
class TorchEngine:
    """The learned step in torch. The network is used in evaluation mode and left in it.

    mean and std: of red, green and blue on the scale 0 to 255.
    """

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, canvases: UInt8[Array, "n h w 3"]) -> tuple[Float32[Array, "n ..."], ...]:
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(canvases)).to(device)
        with torch.inference_mode():
            raw = self.raw(pixels)
        return tuple(level.cpu().numpy() for level in raw)

    def raw(self, canvases: Num[Tensor, "n h w 3"]) -> tuple[Tensor, ...]:
        """The same of tensors, whose gradients come along."""
        self.network.eval()
        image = normalise(canvases.permute(0, 3, 1, 2), self.mean, self.std)
        raw: tuple[Tensor, ...] = self.network(image)
        return raw


@dataclass(frozen=True)
class TorchStages:
    """The two learned steps of a two-stage network in torch, for one canvas at a time."""

    network: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def propose(
        self, canvases: UInt8[Array, "n h w 3"]
    ) -> tuple[tuple[Tensor, ...], tuple[Array, ...]]:
        device = next(self.network.parameters()).device
        pixels = torch.from_numpy(np.ascontiguousarray(canvases)).to(device)
        with torch.inference_mode():
            features, raw = self._proposed(pixels)
        return features, tuple(level.cpu().numpy() for level in raw)

    def _proposed(
        self, canvases: Num[Tensor, "n h w 3"]
    ) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        self.network.eval()
        image = normalise(canvases.permute(0, 3, 1, 2), self.mean, self.std)
        said: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
        said = self.network.propose(image)  # type: ignore[operator]
        return said

    def refined(
        self, canvases: Num[Tensor, "n h w 3"], boxes: Float[Tensor, "k 4"]
    ) -> Float[Tensor, "rows numbers"]:
        """What is said of the same boxes on each canvas, one after another, with its gradients."""
        features, _ = self._proposed(canvases)
        numbers: Tensor = self.network.refine(features, [boxes] * len(canvases))  # type: ignore[operator]
        return numbers

    def refine(
        self, features: tuple[Tensor, ...], boxes: Float32[Array, "k 4"]
    ) -> Float32[Array, "k numbers"]:
        placed = torch.from_numpy(boxes).to(features[0].device)
        with torch.inference_mode():
            numbers = self.network.refine(features, [placed])  # type: ignore[operator]
        said: Array = numbers.cpu().numpy()
        return said


def normalise(
    pixels: Num[Tensor, "n 3 h w"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "n 3 h w"]:
    """(pixel - mean) / std per channel, laid out as a CPU convolves fastest (channels last)."""
    rows = pixels.permute(0, 2, 3, 1).flatten(2)  # whole ones: three numbers at a time are slow
    width = pixels.shape[3]
    centre, spread = (torch.tensor(n, device=pixels.device).repeat(width) for n in (mean, std))
    image = (rows.float() - centre).div_(spread)
    return image.reshape(len(pixels), -1, width, 3).permute(0, 3, 1, 2)
