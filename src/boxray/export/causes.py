"""Which of the known faults explains that a file says something else than its network.

Each suspect does to the picture what the fault would do to the file's. The one with which torch
comes to say what the file says is the cause.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from boxray.boxes import Array
from boxray.detectors import OneStage, TwoStage
from boxray.engines.pytorch import TorchEngine, TorchStages
from boxray.export.twins import Twin
from boxray.images import PADDING

Picture: TypeAlias = Float[Tensor, "n 3 h w"]  # what the network is given
Spoil: TypeAlias = Callable[[Picture], Picture]

EXPLAINED = 0.2  # of the mean difference may be left


FRAME = 8  # pixels of grey around a picture: what moved it may have put anything at its edge
RAW_SHARE = 1e-3  # of the largest raw number: what rounding may change


def largest(raw: tuple[Array, ...]) -> float:
    """The largest raw number, whatever its sign."""
    return max(float(np.abs(level).max()) for level in raw)


def raw_of(detector: OneStage | TwoStage, canvases: UInt8[Array, "n h w 3"]) -> tuple[Array, ...]:
    """What the learned step, or the first of two, says of a batch."""
    if isinstance(detector, TwoStage):
        return tuple(map(np.asarray, detector.engine.propose(canvases)[1]))
    return tuple(map(np.asarray, detector.engine(canvases)))


def difference(one: tuple[Array, ...], other: tuple[Array, ...]) -> float:
    """The largest difference of two raw outputs."""
    return max(float(np.abs(a - b).max()) for a, b in zip(one, other, strict=True))


def usual_difference(one: tuple[Array, ...], other: tuple[Array, ...]) -> float:
    """The mean difference of two raw outputs."""
    return float(np.mean([np.abs(a - b).mean() for a, b in zip(one, other, strict=True)]))


def named(file: OneStage | TwoStage, twin: Twin, pictures: UInt8[Array, "n h w 3"]) -> str:
    """The cause of a difference, for people."""
    canvases = np.full_like(pictures, PADDING)
    canvases[:, FRAME:-FRAME, FRAME:-FRAME] = pictures[:, FRAME:-FRAME, FRAME:-FRAME]
    said = raw_of(file, canvases)
    expected = raw_of(twin.detector, canvases)
    apart = difference(said, expected)
    network = twin.engine.network
    left = {
        name: usual_difference(said, raw_of(spoilt.detector, canvases))
        for name, spoil in _suspects(twin.engine).items()
        for spoilt in [twin.holding(_Spoilt(network, spoil))]
    }
    suspect = min(left, key=lambda name: left[name])
    if left[suspect] <= EXPLAINED * usual_difference(said, expected):
        return suspect
    return f"the graph says other numbers, up to {apart:.3g} apart; no usual fault explains it"


def _suspects(engine: TorchEngine | TorchStages) -> dict[str, Spoil]:
    mean, std = (torch.tensor(n)[:, None, None] for n in (engine.mean, engine.std))
    usual = {
        "pixels from 0 to 1": (0.0, 255.0),
        "pixels from -1 to 1": (127.5, 127.5),
        "pixels from 0 to 255": (0.0, 1.0),
        "pixels of ImageNet's mean and spread": (
            torch.tensor([123.675, 116.28, 103.53])[:, None, None],
            torch.tensor([58.395, 57.12, 57.375])[:, None, None],
        ),
    }
    suspects: dict[str, Spoil] = {
        f"another normalisation: the file gives its network {name}": partial(
            lambda image, centre, spread: (image * std + mean - centre) / spread,
            centre=centre,
            spread=spread,
        )
        for name, (centre, spread) in usual.items()
    }
    suspects["wrong order of channels: the file takes blue, green, red (BGR) for RGB"] = (
        lambda image: image.flip(1)
    )
    for way, (axis, step) in {
        "left": (3, -1), "right": (3, 1), "up": (2, -1), "down": (2, 1),
    }.items():  # fmt: skip
        suspects[f"wrong letterbox: the file sees the picture half a pixel too far {way}"] = (
            partial(_half_a_pixel, axis=axis, step=step)
        )
    return suspects


def _half_a_pixel(image: Picture, axis: int, step: int) -> Picture:
    """The picture moved by half a pixel, its edge repeated."""
    last = image.shape[axis] - 1
    places = (torch.arange(last + 1) - step).clamp(0, last)
    return (image + image.index_select(axis, places)) / 2


class _Spoilt(nn.Module):
    """A network that is given a picture with a fault."""

    def __init__(self, network: nn.Module, spoil: Spoil) -> None:
        super().__init__()
        self.network = network
        self.spoil = spoil

    def forward(self, image: Picture) -> tuple[Tensor, ...]:
        raw: tuple[Tensor, ...] = self.network(self.spoil(image))
        return raw

    def propose(self, image: Picture) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        said: tuple[tuple[Tensor, ...], tuple[Tensor, ...]]
        said = self.network.propose(self.spoil(image))  # type: ignore[operator]
        return said
