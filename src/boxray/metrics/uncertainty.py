"""How far a metric would move with other images of the same kind.

The image-level bootstrap: draw as many images as there are, with replacement, and measure again.
Matching is local to an image, so a resample only changes how often each image counts; nothing is
matched twice. The weights of many resamples go through the metric at once.

The interval is the basic one, estimate minus the errors seen in the resamples, not the percentile
one. Average precision of few images is too high (a hit is part of its own precision), and a
resample repeats that fault: percentiles lie above the estimate where the truth lies below. Even so
a "95 %" interval holds less often than that: read it as the spread to expect, not as a guarantee.
How often, measured, and why this kind: docs/decisions/0010-intervals-are-basic-bootstrap.md.
Source: Davison & Hinkley 1997, section 5.2 (basic bootstrap limits).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.errors import SettingError
from boxray.metrics.precision_recall import one_weighting

_AT_ONCE = 100  # resamples per call, which bounds the memory on large data sets


def bootstrap(
    measure: Callable[[Int[Array, "n r"]], Mapping[str, Float[Array, "r"]]],
    images: int,
    *,
    resamples: int = 200,
    seed: int = 0,
    share: float = 0.95,
) -> dict[str, tuple[float, float]]:
    """An interval around each metric, from `resamples` redrawn sets of images.

    `measure` takes one column of image weights per resample and gives shares from 0 to 1, NaN where
    undefined. The same seed gives the same interval. Resamples in which a metric is undefined are
    left out; a metric that is undefined on the images themselves has no interval. An interval stays
    within 0 and 1 and always holds the estimate. `resamples=0` gives none at all.

    Raises SettingError for a negative number of resamples.
    """
    if resamples < 0:
        raise SettingError(f"resamples must be 0 (no intervals) or more, got {resamples}.")
    if images == 0 or resamples == 0:
        return {}
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(images, np.full(images, 1 / images), size=resamples)
    weights = drawn.T.astype(np.int32)
    parts = [measure(weights[:, i : i + _AT_ONCE]) for i in range(0, resamples, _AT_ONCE)]
    intervals = {}
    for name, estimate in measure(one_weighting(images)).items():
        values = np.concatenate([part[name] for part in parts])
        values = values[~np.isnan(values)]
        if len(values) and not np.isnan(estimate[0]):
            intervals[name] = _basic_interval(float(estimate[0]), values, share)
    return intervals


def _basic_interval(
    estimate: float, values: Float[Array, "r"], share: float
) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - share) / 2, (1 + share) / 2]).tolist()
    return (
        max(0.0, min(estimate, 2 * estimate - high)),
        min(1.0, max(estimate, 2 * estimate - low)),
    )
