"""Prior sizes: the widths and heights that a one-stage detector starts its boxes from.

Found by k-means over the truths' sizes (Redmon & Farhadi 2017, "YOLO9000", section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from boxray.boxes import Array, size_iou
from boxray.errors import BoxError, SettingError

Distance: TypeAlias = Literal["iou", "euclidean"]
PriorSizes: TypeAlias = tuple[tuple[float, float], ...]

MOST_ITERATIONS = 300
LEAST_GAIN = 1e-6  # of the cost; less ends the rounds
PADDING_RATIO = 2**0.5  # priors beyond the distinct sizes are half an octave apart


@dataclass(frozen=True)
class Priors:
    """Prior sizes by increasing area, in the unit of the sizes they were found from.

    average_iou: mean over the truths of the best prior's `size_iou`, the figure of YOLO9000's
    table 1. distance: what the clusters were found by.
    """

    sizes_wh: Float[Array, "k 2"]
    average_iou: float
    distance: Distance


def kmeans(
    sizes_wh: Float[Array, "n 2"],
    count: int,
    *,
    distance: Distance = "iou",
    weights: Float[Array, "n"] | None = None,
    seed: int = 0,
    restarts: int = 5,
) -> Priors:
    """`count` prior sizes that stand for these widths and heights.

    distance: "iou" is 1 - `size_iou`, "euclidean" the squared distance in the sizes' unit.
    weights: how often each size occurs, by default once. The start is k-means++ under the same
    distance; the best of `restarts` runs counts. A centre is the mean of its cluster, as in the
    paper, whose average IoU of 61.0 % for 5 priors of VOC 2007 it reaches; the median gains
    0.1 to 0.3 points and is not worth a second rule. The mean does not minimise the IoU distance,
    so a round could lose a little: that ends the run, one round back.
    With fewer distinct sizes than `count`, each of them is a prior and the rest are copies scaled
    by √2, 1/√2, 2, 1/2, …, so that data with a single box size still fills every level.

    Raises BoxError for a size that is not finite and positive, or none at all; SettingError for
    count, restarts or weights that cannot be.
    """
    sizes = _checked_sizes(sizes_wh)
    shares = _checked_weights(weights, len(sizes))
    if count < 1 or restarts < 1:
        raise SettingError(f"count is {count} and restarts {restarts}; expected at least 1.")
    if distance not in ("iou", "euclidean"):
        raise SettingError(f"distance is {distance!r}; expected iou or euclidean.")
    sizes, shares = sizes[shares > 0], shares[shares > 0]
    # equal but for rounding is equal: a canvas scales 24 to 24.000000000000004
    _, first = np.unique(np.log(sizes).round(9), axis=0, return_index=True)
    distinct = sizes[first]
    if len(distinct) <= count:
        priors = _padded(distinct, count)
    else:
        generator = np.random.default_rng(seed)
        starts = [_spread_start(sizes, shares, count, distance, generator) for _ in range(restarts)]
        runs = [_lloyd(sizes, shares, start, distance) for start in starts]
        priors = min(runs, key=lambda run: _cost(sizes, shares, run, distance))
    priors = priors[np.lexsort((priors[:, 0], priors[:, 0] * priors[:, 1]))]
    return Priors(priors, average_iou(sizes, priors, shares), distance)


def average_iou(
    sizes_wh: Float[Array, "n 2"],
    priors_wh: Float[Array, "k 2"],
    weights: Float[Array, "n"] | None = None,
) -> float:
    """Mean over the sizes of the IoU with the prior that fits each best, 0 to 1."""
    return float(np.average(size_iou(priors_wh, sizes_wh).max(0), weights=weights))


def split_by_level(priors: Priors, level_count: int) -> tuple[PriorSizes, ...]:
    """The priors of each pyramid level, finest level first: it gets the smallest.

    Raises SettingError unless every level gets the same number.
    """
    count = len(priors.sizes_wh)
    if level_count < 1 or count % level_count:
        raise SettingError(
            f"{count} priors do not divide among {level_count} levels; "
            "choose a number of priors that is a multiple of the number of levels."
        )
    sizes = [(float(width), float(height)) for width, height in priors.sizes_wh]
    each = count // level_count
    return tuple(tuple(sizes[start : start + each]) for start in range(0, count, each))


def _checked_sizes(sizes_wh: Float[Array, "n 2"]) -> Float[Array, "n 2"]:
    sizes = np.asarray(sizes_wh, np.float64)
    if len(sizes) == 0:
        raise BoxError("no box to find priors from; expected at least one width and height.")
    good = (np.isfinite(sizes) & (sizes > 0)).all(1)
    if not good.all():
        row = int(np.flatnonzero(~good)[0])
        raise BoxError(
            f"size {row} is {tuple(sizes[row].tolist())}; expected a finite width and height "
            "above 0. Leave such boxes out, or mend the annotation."
        )
    return sizes


def _checked_weights(weights: Float[Array, "n"] | None, count: int) -> Float[Array, "n"]:
    """The weights as shares of 1."""
    if weights is None:
        return np.full(count, 1 / count)
    given = np.asarray(weights, np.float64)
    if given.shape != (count,) or not np.isfinite(given).all() or (given < 0).any():
        raise SettingError(f"expected {count} finite weights of at least 0, one per size.")
    if given.sum() == 0:
        raise SettingError("every weight is 0; at least one size must count.")
    return given / given.sum()


def _distances(
    centres: Float[Array, "k 2"], sizes: Float[Array, "n 2"], distance: Distance
) -> Float[Array, "k n"]:
    # the long axis last: numpy is several times quicker along it
    if distance == "iou":
        return 1 - size_iou(centres, sizes)
    return (centres[:, :1] - sizes[:, 0]) ** 2 + (centres[:, 1:] - sizes[:, 1]) ** 2


def _cost(
    sizes: Float[Array, "n 2"],
    shares: Float[Array, "n"],
    centres: Float[Array, "k 2"],
    distance: Distance,
) -> float:
    """What clustering minimises: the mean distance to the nearest centre."""
    return float(shares @ _distances(centres, sizes, distance).min(0))


def _spread_start(
    sizes: Float[Array, "n 2"],
    shares: Float[Array, "n"],
    count: int,
    distance: Distance,
    generator: np.random.Generator,
) -> Float[Array, "k 2"]:
    """k-means++ (Arthur & Vassilvitskii 2007): each centre drawn by its distance to the others."""
    centres = sizes[[generator.choice(len(sizes), p=shares)]]
    nearest = _distances(centres, sizes, distance)[0]
    while len(centres) < count:
        chance = shares * np.maximum(nearest, 0)
        chance = chance if chance.any() else shares
        chosen = sizes[[generator.choice(len(sizes), p=chance / chance.sum())]]
        centres = np.concatenate([centres, chosen])
        nearest = np.minimum(nearest, _distances(chosen, sizes, distance)[0])
    return centres


def _lloyd(
    sizes: Float[Array, "n 2"],
    shares: Float[Array, "n"],
    start: Float[Array, "k 2"],
    distance: Distance,
) -> Float[Array, "k 2"]:
    """Assigning and averaging in turn, from `start`, for as long as it gains something."""
    centres, best, best_cost = start, start, np.inf
    for _ in range(MOST_ITERATIONS):
        distances = _distances(centres, sizes, distance)
        cost = float(shares @ distances.min(0))
        if cost >= best_cost * (1 - LEAST_GAIN):
            break
        best, best_cost = centres, cost
        centres = _means(sizes, shares, distances)
    return best


def _means(
    sizes: Float[Array, "n 2"],
    shares: Float[Array, "n"],
    distances: Float[Array, "k n"],
) -> Float[Array, "k 2"]:
    """Each cluster's mean size; an empty cluster moves to one of the sizes served worst."""
    nearest, count = distances.argmin(0), len(distances)
    weight = np.bincount(nearest, shares, count)
    empty = np.flatnonzero(weight == 0)
    sums = np.stack([np.bincount(nearest, shares * sizes[:, i], count) for i in (0, 1)], -1)
    means = sums / np.where(weight > 0, weight, 1)[:, None]
    if len(empty):
        worst_first = sizes[np.argsort(-distances.min(0), kind="stable")]
        _, first = np.unique(worst_first, axis=0, return_index=True)
        means[empty] = worst_first[np.sort(first)[: len(empty)]]
    return means


def _padded(distinct: Float[Array, "n 2"], count: int) -> Float[Array, "k 2"]:
    """The distinct sizes, then copies of them scaled by √2, 1/√2, 2, 1/2 and so on."""
    rounds = -(-count // len(distinct))
    powers = [(-1) ** (i + 1) * ((i + 1) // 2) for i in range(rounds)]  # 0, 1, -1, 2, -2, …
    return np.concatenate([distinct * PADDING_RATIO**power for power in powers])[:count]


def scaled(sides: tuple[tuple[int, ...], ...], ratios: tuple[float, ...]) -> tuple[PriorSizes, ...]:
    """For each level the anchors of these sides in these ratios height / width, ratio by ratio.

    All ratios of a side have its square's area, but their halves are whole pixels, as torchvision
    makes those that its weights know.
    Source: Ren et al. 2015, section 3.1.1; Lin et al. 2017 (focal loss), section 4.
    """
    heights = np.sqrt(np.array(ratios, np.float32))
    unit = np.stack([1 / heights, heights], -1)[:, None]
    levels = []
    for level in sides:
        halves = (unit * np.array(level, np.float32)[:, None] / 2).round().reshape(-1, 2)
        levels.append(tuple((float(width), float(height)) for width, height in halves * 2))
    return tuple(levels)
