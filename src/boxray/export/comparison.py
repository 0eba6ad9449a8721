"""A model file beside its network in torch, candidate by candidate.

A candidate is known on both sides by its row of the raw output and its class. It is compared with
itself, whatever the order of the scores made of it: near a tie, a last digit decides who suppresses
whom, and that is no difference of what the two say. For the same reason the second of two stages is
asked by both about the file's proposals, and the first is compared as a detector of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, UInt8

from boxray import images
from boxray.boxes import Array
from boxray.detectors import OneStage, TwoStage
from boxray.explain import Decision
from boxray.images import Pixels
from boxray.protocols import StagedEngine

Size: TypeAlias = tuple[int, int]

SHOWN = 60  # candidates of the first picture that reach the threshold: some will be suppressed


@dataclass(frozen=True)
class Measured:
    """How far a file and its network are apart over all pictures and canvases.

    pixels and score: the most of any candidate that reaches the threshold on either side. pairs:
    detections that both show; alone: those that only one shows, the other having suppressed them.
    """

    pixels: float
    score: float
    pairs: int
    alone: int


def measured(
    file: OneStage | TwoStage,
    network: OneStage | TwoStage,
    photos: list[Pixels],
    canvases_hw: tuple[Size, ...],
) -> Measured:
    """All pictures on all canvases."""
    parts = []
    for canvas_hw in canvases_hw:
        pair = replace(file, canvas_hw=canvas_hw), replace(network, canvas_hw=canvas_hw)
        threshold = _threshold(pair[0], photos[0])
        parts += [_of_photo(*pair, photo, threshold) for photo in photos]
    return Measured(
        max(part.pixels for part in parts),
        max(part.score for part in parts),
        sum(part.pairs for part in parts),
        sum(part.alone for part in parts),
    )


def _threshold(detector: OneStage | TwoStage, photo: Pixels) -> float:
    """The score that enough candidates of a picture reach, whatever the network knows."""
    everything = detector.detect_array(photo, score_threshold=0.0).candidates
    assert everything is not None
    return float(np.sort(everything.scores)[-SHOWN:][0])


def _of_photo(
    file: OneStage | TwoStage, network: OneStage | TwoStage, photo: Pixels, threshold: float
) -> Measured:
    one = _decided(file, photo, threshold)
    apart = []
    if isinstance(network, TwoStage):
        assert one.proposals is not None
        canvas, _ = images.fit(photo, network.canvas_hw)
        features, raw = network.engine.propose(canvas[None])
        first = replace(one.proposals, raw=tuple(np.asarray(level[0]) for level in raw))
        lowest = one.proposals.selection.scores.min(initial=1.0)  # that the file looks at
        apart.append(_apart(one.proposals, first, float(lowest)))
        led = _Led(network.engine, features, one.proposals.raw)
        network = replace(network, engine=led)
    other = _decided(network, photo, threshold)
    apart.append(_apart(one, other, threshold))
    shown, also = (set(side.keys()[side.selection.kept[side.places]]) for side in (one, other))
    pixels, score = np.max(apart, 0)
    return Measured(float(pixels), float(score), len(shown & also), len(shown ^ also))


def _decided(detector: OneStage | TwoStage, photo: Pixels, threshold: float) -> Decision:
    found = detector.detect_array(photo, score_threshold=threshold)
    return detector.decision(found, photo.shape[:2])


@dataclass(frozen=True)
class _Led:
    """Two learned steps on one picture, the second of which looks at another network's proposals.

    features: of this network; raw: the first step's numbers of the other.
    """

    engine: StagedEngine
    features: tuple[Array, ...]
    raw: tuple[Array, ...]

    def propose(
        self, canvases: UInt8[Array, "1 h w 3"]
    ) -> tuple[tuple[Array, ...], tuple[Array, ...]]:
        del canvases  # the picture is known
        return self.features, tuple(level[None] for level in self.raw)

    def refine(
        self, features: tuple[Array, ...], boxes: Float[Array, "k 4"]
    ) -> Float[Array, "k numbers"]:
        return self.engine.refine(features, boxes)


def _apart(one: Decision, other: Decision, threshold: float) -> tuple[float, float]:
    """The farthest edge, in pixels of the picture, and the largest difference of a score.

    Of every candidate to which either side gives the threshold. One that the other side does not
    have is as far from it as its box is from having no inside: its narrower side.
    """
    candidates = [side.coder.decode(side.raw) for side in (one, other)]
    keys, also = (side.row * len(one.classes) + side.labels for side in candidates)
    _, mine, theirs = np.intersect1d(keys, also, assume_unique=True, return_indices=True)
    same = candidates[0].take(mine), candidates[1].take(theirs)
    reached = np.maximum(same[0].scores, same[1].scores) >= threshold
    boxes = [one.in_image(side.boxes[reached]) for side in same]
    pixels = [np.abs(boxes[0] - boxes[1]).max(initial=0)]
    score = np.abs(same[0].scores - same[1].scores)[reached].max(initial=0)
    for side, matched in zip(candidates, (mine, theirs), strict=True):
        lacking = side.scores >= threshold
        lacking[matched] = False
        missed = one.in_image(side.boxes[lacking])
        pixels.append((missed[:, 2:] - missed[:, :2]).min(1).max(initial=0))
    return float(max(pixels)), float(score)
