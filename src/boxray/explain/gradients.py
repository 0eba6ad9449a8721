"""Evidence from gradients: how every pixel of a picture changes what a network says of an object.

The same number is asked about as in `occlusion`, IoU · score of the best candidate, and followed
from a canvas of the padding's grey to the picture, in a straight line. A pixel's part in the rise
is its difference from grey times the mean gradient on the way; all parts together are the rise.
Source: Sundararajan et al. 2017 (integrated gradients), equations 1 and 3.

It needs a network in torch. The proposals of a second stage are those of the whole picture, on all
of the way: that they depend on the pixels, too, is left out, as it is in training.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from boxray import images
from boxray.boxes import Array
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.engines.pytorch import TorchEngine, TorchStages
from boxray.explain.decision import as_box
from boxray.explain.occlusion import GRADIENTS, Evidence
from boxray.explain.target import Target
from boxray.images import PADDING, Pixels, Placement
from boxray.protocols import Coder
from boxray.records import Candidates

STEPS = 64  # on the way from grey to the picture
AT_ONCE = 4  # canvases whose gradients are kept at one time
ENOUGH = 0.9  # of the rise that the parts should come to

Look: TypeAlias = Callable[[Float[Tensor, "n h w 3"]], list[Candidates]]


def of_maps(engine: TorchEngine, coder: Coder) -> Look:
    """All candidates that a network of one stage says of canvases, with their gradients."""

    def look(canvases: Float[Tensor, "n h w 3"]) -> list[Candidates]:
        raw = engine.raw(canvases)
        return [coder.decode(one) for one in zip(*raw, strict=True)]

    return look


def of_proposals(
    engine: TorchStages, coder: ProposalDeltas, proposals: Float[Array, "k 4"]
) -> Look:
    """All candidates that a second stage says of these proposals, in canvas pixels."""

    def look(canvases: Float[Tensor, "n h w 3"]) -> list[Candidates]:
        size_hw = (canvases.shape[1], canvases.shape[2])
        boxes = torch.from_numpy(proposals).to(canvases.device, torch.float32)
        numbers = engine.refined(canvases, boxes)
        return [
            coder.at(boxes, size_hw).decode(one)
            for one in numbers.reshape(len(canvases), len(boxes), -1)
        ]

    return look


def attribute(
    look: Look,
    image: Pixels,
    canvas_hw: tuple[int, int],
    targets: Sequence[Target],
    *,
    steps: int = STEPS,
    threads: int | None = None,
) -> tuple[Evidence, ...]:
    """Each pixel's part in what is said of these objects; below 0 it speaks against one.

    `reliability` of the evidence is the share of the rise from grey to the picture that the parts
    come to: 1 but for the way's being walked in steps. threads: of torch, None for its own choice.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    canvas, placement = images.fit(image, canvas_hw)
    grey = torch.full((*canvas_hw, 3), float(PADDING))
    away = torch.from_numpy(canvas).float() - grey
    with torch.no_grad():
        ends = _said(look(torch.stack([grey, grey + away])), targets, placement)
    parts = np.zeros((len(targets), *canvas_hw))
    places = (torch.arange(steps) + 0.5) / steps
    for start in range(0, steps, AT_ONCE):
        some = places[start : start + AT_ONCE]
        on_the_way = (grey + some[:, None, None, None] * away).requires_grad_()
        said = _said(look(on_the_way), targets, placement)
        for which in range(len(targets)):
            parts[which] += _slopes(said[:, which], on_the_way, away) / steps
    return tuple(
        _evidence(target, part, float(rise[0]), float(rise[1]), placement, steps)
        for target, part, rise in zip(targets, parts, ends.T, strict=True)
    )


def _slopes(
    said: Float[Tensor, "n"], canvases: Float[Tensor, "n h w 3"], away: Float[Tensor, "h w 3"]
) -> Float[Array, "h w"]:
    """Of all canvases together how what is said rises with each pixel, the further it goes."""
    if not said.requires_grad:  # no candidate is of the class
        return np.zeros(away.shape[:2])
    (slopes,) = torch.autograd.grad(said.sum(), canvases, retain_graph=True)
    found: Array = (slopes.sum(0) * away).sum(-1).double().numpy()
    return found


def _said(
    found: Sequence[Candidates], targets: Sequence[Target], placement: Placement
) -> Float[Tensor, "n t"]:
    """How well each target is said of each canvas, as in `occlusion`."""
    return torch.stack(
        [torch.stack([_best(one, target, placement) for target in targets]) for one in found]
    )


def _best(found: Candidates, target: Target, placement: Placement) -> Float[Tensor, ""]:
    agreed: Tensor = target.agreement(found, placement)
    return agreed.max() if len(agreed) else torch.zeros((), dtype=torch.float64)


def _evidence(
    target: Target,
    part: Float[Array, "h w"],
    in_grey: float,
    in_full: float,
    placement: Placement,
    steps: int,
) -> Evidence:
    """What is on the picture, not on its padding, where nothing differs from grey."""
    (top, left), (height, width) = placement.offset, placement.resized_hw
    values = part[top : top + height, left : left + width]
    rise = in_full - in_grey
    missing = abs(float(values.sum()) - rise) / max(abs(rise), 1e-9)
    reliability = max(0.0, 1 - missing) if rise else 0.0
    return Evidence(
        label=target.name,
        box=None if target.box is None else as_box(target.box),
        point=target.point,
        values=values,
        size_hw=placement.image_hw,
        unhidden=in_full,
        masks=steps,
        reliability=reliability,
        converged=reliability >= ENOUGH,
        method=GRADIENTS,
    )
