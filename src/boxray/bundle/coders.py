"""Coders in a metadata document: one table of kinds, each with its writer and its reader."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from boxray.bundle.fields import is_whole, mismatch, numbers, sequence
from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas
from boxray.coders.yolo_grid import LARGEST_LOG_SCALE, YoloGrid
from boxray.errors import ModelError
from boxray.protocols import Coder

MAX_SIDE = 4096  # pixels; a canvas beyond this is a mistake or an attack

Fields = dict[str, Any]


@dataclass(frozen=True)
class Kind:
    """How one kind of coder stands in a document; read takes the number of classes, too."""

    of: type
    write: Callable[[Any], Fields]
    read: Callable[[Fields, int], Coder]


def written(coder: Coder) -> Fields:
    """The coder as a document's table. Raises ModelError for a kind that no document knows."""
    for name, kind in KINDS.items():
        if type(coder) is kind.of:
            return {"kind": name, **kind.write(coder)}
    raise ModelError(
        f"a model file cannot hold a {type(coder).__name__}; it can hold {', '.join(KINDS)}."
    )


def parsed(fields: Fields, class_count: int) -> Coder:
    """The coder that a document's table describes, every field checked."""
    name = fields.get("kind")
    if not isinstance(name, str) or name not in KINDS:
        raise mismatch("coder.kind", f"one of {', '.join(KINDS)}", name)
    return KINDS[name].read(fields, class_count)


def _write_yolo_grid(coder: YoloGrid) -> Fields:
    return {
        "strides": coder.strides,
        "priors": coder.priors,
        "stretch": coder.stretch,
        "softmax": coder.softmax,
        "largest_log_scale": coder.largest_log_scale,
    }


def _read_yolo_grid(fields: Fields, class_count: int) -> YoloGrid:
    steps = strides(fields)
    (stretch,) = numbers([fields.get("stretch")], "coder.stretch", 1, low=1.0, high=10.0)
    # files older than these two say nothing of them
    softmax = fields.get("softmax", False)
    if not isinstance(softmax, bool):
        raise mismatch("coder.softmax", "true or false", softmax)
    most = [fields.get("largest_log_scale", LARGEST_LOG_SCALE)]
    (largest,) = numbers(most, "coder.largest_log_scale", 1, low=1.0, high=20.0)
    return YoloGrid(class_count, steps, priors(fields, len(steps)), stretch, softmax, largest)


def strides(fields: Fields) -> tuple[int, ...]:
    """Canvas pixels per cell, finest level first, each a divisor of the coarsest."""
    found = sequence(fields, "strides")
    whole = all(is_whole(stride) for stride in found)
    if not found or not whole or list(found) != sorted(set(found)) or found[0] < 1:
        raise mismatch("coder.strides", "whole numbers of pixels, finest first", found)
    if found[-1] > MAX_SIDE or any(found[-1] % stride for stride in found):
        raise mismatch("coder.strides", "divisors of the coarsest, which fits a canvas", found)
    return found


def priors(fields: Fields, level_count: int) -> tuple[tuple[tuple[float, float], ...], ...]:
    """Widths and heights of every level, in canvas pixels."""
    levels = sequence(fields, "priors")
    if len(levels) != level_count or not all(isinstance(level, list) for level in levels):
        raise mismatch("coder.priors", f"one list for each of {level_count} strides", levels)
    return tuple(_level(level) for level in levels)


def _level(level: list[Any]) -> tuple[tuple[float, float], ...]:
    if not level:
        raise mismatch("coder.priors", "at least one prior on each level", level)
    pairs = [numbers(pair, "coder.priors", 2, low=1e-3) for pair in level]
    return tuple((width, height) for width, height in pairs)


def _write_anchor_deltas(coder: AnchorDeltas) -> Fields:
    return {
        "strides": coder.strides,
        "priors": coder.priors,
        "weights": coder.weights,
        "canvas_multiple": coder.canvas_multiple,
    }


def _read_anchor_deltas(fields: Fields, class_count: int) -> AnchorDeltas:
    steps = strides(fields)
    multiple = fields.get("canvas_multiple")
    if not is_whole(multiple) or not 0 < multiple <= MAX_SIDE or multiple % steps[0]:
        expected = f"a whole number of pixels that {steps[0]} divides"
        raise mismatch("coder.canvas_multiple", expected, multiple)
    return AnchorDeltas(
        class_count, steps, priors(fields, len(steps)), delta_weights(fields), multiple
    )


def delta_weights(fields: Fields) -> tuple[float, float, float, float]:
    """What the four deltas are multiplied by."""
    x, y, width, height = numbers(fields.get("weights"), "coder.weights", 4, low=1e-3)
    return x, y, width, height


KINDS = {
    "anchor_deltas": Kind(AnchorDeltas, _write_anchor_deltas, _read_anchor_deltas),
    "yolo_grid": Kind(YoloGrid, _write_yolo_grid, _read_yolo_grid),
}


def proposal_deltas_written(coder: ProposalDeltas) -> Fields:
    """A second stage's coder as a document's table."""
    return {"kind": "proposal_deltas", "weights": coder.weights, "smallest": coder.smallest}


def proposal_deltas_parsed(fields: Fields, class_count: int) -> ProposalDeltas:
    """The second stage's coder that a document's table describes."""
    if fields.get("kind") != "proposal_deltas":
        raise mismatch("second.coder.kind", "proposal_deltas", fields.get("kind"))
    (smallest,) = numbers([fields.get("smallest")], "second.coder.smallest", 1, low=0.0)
    return ProposalDeltas(class_count, delta_weights(fields), smallest)
