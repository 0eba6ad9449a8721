"""How far two detectors differ on one picture: their detections in pairs, and what has no partner.

Not a judgement against truths: neither side is right. Partners are of one class and overlap by at
least half, each being taken once; whoever is first chooses in the order of its scores.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.metrics import voc
from boxray.metrics.matching import match
from boxray.records import Detections, Truths

POLICY = replace(voc.POLICY, set_aside=(), if_claimed="next best")


@dataclass(frozen=True)
class Agreement:
    """Pairs of detections, by their rows on either side, and how far the two are apart.

    pixels: the farthest of a pair's four edges; score: the difference of their scores.
    alone: rows of the first, and of the second, that have no partner.
    """

    pairs: Int[Array, "p 2"]
    pixels: Float[Array, "p"]
    score: Float[Array, "p"]
    alone: tuple[Int[Array, "k"], Int[Array, "m"]]

    @property
    def farthest(self) -> tuple[float, float]:
        """The largest difference in pixels, and of a score; infinite where something is alone."""
        if any(map(len, self.alone)):
            return math.inf, math.inf
        return float(self.pixels.max(initial=0)), float(self.score.max(initial=0))


def agree(one: Detections, other: Detections) -> Agreement:
    """The detections of the same picture by two detectors, each best first, in pairs."""
    pairs = _pairs(one, other)
    mine, theirs = pairs.T
    return Agreement(
        pairs=pairs,
        pixels=np.abs(one.boxes[mine] - other.boxes[theirs]).max(1, initial=0),
        score=np.abs(one.scores[mine] - other.scores[theirs]),
        alone=(
            np.setdiff1d(np.arange(len(one)), mine),
            np.setdiff1d(np.arange(len(other)), theirs),
        ),
    )


def _pairs(one: Detections, other: Detections) -> Int[Array, "p 2"]:
    count = int(max(one.labels.max(initial=-1), other.labels.max(initial=-1))) + 1
    asked = Truths.of(other.boxes, other.labels)
    pairs = [np.zeros((0, 2), np.int64)]
    for label, matches in enumerate(match([asked], [one], class_count=count, policy=POLICY)):
        (mine,) = np.nonzero(one.labels == label)
        claimed = matches.claimed[0, 0]
        best_first = mine[np.argsort(-one.scores[mine], kind="stable")]
        rows = np.stack([best_first, claimed], 1)
        pairs.append(rows[claimed >= 0])
    return np.concatenate(pairs)
