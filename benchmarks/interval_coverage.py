"""How often a "95 %" interval around AP50 holds the AP50 that many more images would show.

    python benchmarks/interval_coverage.py [--images 100 436] [--objects 2.5] [--seed 0] [--json]

Takes about half a minute of one core, on numpy alone. A made-up detector meets very many made-up
images, whose AP50 is the one to hold. From these images many small sets are drawn, as somebody
annotates a few of all the photos there are. On each small set the resamples of
`metrics.uncertainty.bootstrap` are turned into three intervals:

    basic           estimate minus the errors of the resamples: what boxray reports
    percentile      the middle of the resamples themselves
    bias-corrected  percentiles shifted by how many resamples lie below the estimate

Images resemble VOC's: 20 classes of very different frequency, mostly one class to an image, some
images and classes harder than others, false alarms and duplicates. Other data has other numbers.
`above` and `below` are the intervals that miss, by the side on which they lie; `gained` and `lost`
are the sets held where basic misses, and missed where basic holds; `off by` is the mean estimate
minus the AP50 to hold; `resamples off by` is the mean of the resamples minus their estimate; behind
± stands the standard error of a coverage. VOC's protocol. The small sets should stay below a tenth
of the images they are drawn from, or they know too much of them.
Source: Davison & Hinkley 1997, section 5.2 (basic), 5.3 (percentile, bias-corrected with a = 0).
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float, Int
from reporting import deliver, machine

from boxray.boxes import Array
from boxray.metrics import voc
from boxray.metrics.matching import Matches, match
from boxray.metrics.precision_recall import mean_over_classes, one_weighting
from boxray.metrics.uncertainty import bootstrap
from boxray.records import Detections, Truths

CLASSES = 20
SHARE = 0.95
HEAD = ("images", "interval", "coverage", "above", "below", "gained", "lost", "width")
HEAD_OFF = ("off by", "resamples off by")
METHODS = ("basic", "percentile", "bias-corrected")
NORMAL = NormalDist()

Measure = Callable[[Int[Array, "n r"]], dict[str, Float[Array, "r"]]]
Interval = tuple[float, float]


@dataclass(frozen=True)
class SmallSet:
    """What one small set of images says: its AP50, the mean over its resamples, the intervals."""

    estimate: float
    resampled: float
    intervals: dict[str, Interval]


def logistic(values: Float[Array, "n"]) -> Float[Array, "n"]:
    return 1 / (1 + np.exp(-values))


def strewn(random: np.random.Generator, count: int) -> Float[Array, "n 4"]:
    """Boxes anywhere on a picture of about 500 x 400 pixels, 30 to 250 pixels wide and high."""
    side = np.exp(random.uniform(np.log(30), np.log(250), (count, 2)))
    corner = random.uniform(0, 1, (count, 2)) * (np.array([500, 400]) - side).clip(0)
    return np.concatenate([corner, corner + side], axis=1)


def labels_of_one_image(random: np.random.Generator, count: int) -> Int[Array, "n"]:
    """Mostly the image's main class; the first class is 20 times as frequent as the last."""
    frequency = 1 / np.arange(1, CLASSES + 1)
    main, *others = random.choice(CLASSES, count + 1, p=frequency / frequency.sum())
    return np.where(random.random(count) < 0.7, main, others).astype(np.int64)


def simulated_image(random: np.random.Generator, objects: float) -> tuple[Truths, Detections]:
    """One image, and what the made-up detector says about it: hits, duplicates, false alarms."""
    count = 1 + int(random.poisson(objects - 1))
    boxes, labels = strewn(random, count), labels_of_one_image(random, count)
    # some images are clear to the detector, some are not, and so are classes, frequent or rare
    ease = 0.8 * random.normal() + np.linspace(-1, 1, CLASSES)[labels * 7 % CLASSES]
    looks = (random.random(count) < logistic(1.2 + ease)).astype(int)
    looks *= 1 + (random.random(count) < 0.15)
    seen = np.repeat(np.arange(count), looks)
    side = np.tile(boxes[seen, 2:] - boxes[seen, :2], 2)
    near = boxes[seen] + 0.07 * side * random.normal(size=(len(seen), 4))
    stray = int(random.poisson(8))
    scores = np.concatenate(
        [
            logistic(0.6 + ease[seen] + random.normal(size=len(seen))),
            logistic(-1.8 + random.normal(size=stray)),
        ]
    )
    found = Detections(
        np.concatenate([near, strewn(random, stray)]),
        np.concatenate([labels[seen], labels_of_one_image(random, stray)]),
        scores,
    )
    return Truths.of(boxes, labels), found


def matched(random: np.random.Generator, images: int, objects: float) -> tuple[Matches, ...]:
    truths, detections = zip(
        *(simulated_image(random, objects) for _ in range(images)), strict=True
    )
    return match(truths, detections, class_count=CLASSES, policy=voc.POLICY)


def within(matches: Matches, images: Int[Array, "k"]) -> Matches:
    """Only these images, renumbered from 0: matching is local to an image, so nothing changes."""
    place = np.full(matches.truth_counts.shape[1], -1)
    place[images] = np.arange(len(images))
    kept = place[matches.image] >= 0
    return Matches(
        scores=matches.scores[kept],
        image=place[matches.image[kept]],
        rank=matches.rank[kept],
        claimed=matches.claimed[..., kept],
        ignored=matches.ignored[..., kept],
        truth_counts=matches.truth_counts[:, images],
    )


def measure_of(matches: Sequence[Matches]) -> Measure:
    """AP50 under any weighting of the images, as `evaluation.score` asks for it."""
    return lambda weights: mean_over_classes([voc.measure(one, weights) for one in matches])


def judged(measure: Measure, images: int, resamples: int) -> SmallSet:
    """All three intervals from the same resamples, overheard while `bootstrap` asks for them."""
    overheard = []

    def listening(weights: Int[Array, "n r"]) -> dict[str, Float[Array, "r"]]:
        answer = measure(weights)
        if (weights != 1).any():  # the images themselves are no resample
            overheard.append(answer["AP50"])
        return answer

    basic = bootstrap(listening, images, resamples=resamples, share=SHARE)["AP50"]
    values = np.concatenate(overheard)
    estimate = float(measure(one_weighting(images))["AP50"][0])
    intervals = {
        "basic": basic,
        "percentile": between(values, (1 - SHARE) / 2, (1 + SHARE) / 2),
        "bias-corrected": bias_corrected(values, estimate),
    }
    return SmallSet(estimate, float(values.mean()), intervals)


def between(values: Float[Array, "r"], low: float, high: float) -> Interval:
    lowest, highest = np.quantile(values, [low, high]).tolist()
    return lowest, highest


def bias_corrected(values: Float[Array, "r"], estimate: float) -> Interval:
    half = 0.5 / len(values)  # so that no share is exactly 0 or 1
    below = NORMAL.inv_cdf(float(np.clip((values < estimate).mean(), half, 1 - half)))
    reach = NORMAL.inv_cdf((1 + SHARE) / 2)
    return between(values, NORMAL.cdf(2 * below - reach), NORMAL.cdf(2 * below + reach))


def holds(small_sets: Sequence[SmallSet], method: str, to_hold: float) -> Bool[Array, "k"]:
    low, high = np.array([one.intervals[method] for one in small_sets]).T
    return (low <= to_hold) & (to_hold <= high)


def summary(small_sets: Sequence[SmallSet], to_hold: float) -> dict[str, object]:
    """Coverage and width of each kind of interval, and how far the estimates are off."""
    estimates = np.array([one.estimate for one in small_sets])
    off = np.array([one.resampled for one in small_sets]) - estimates
    held = {method: holds(small_sets, method, to_hold) for method in METHODS}
    methods = {}
    for method in METHODS:
        low, high = np.array([one.intervals[method] for one in small_sets]).T
        coverage = float(held[method].mean())
        methods[method] = {
            "coverage": coverage,
            "standard_error": float(np.sqrt(coverage * (1 - coverage) / len(small_sets))),
            "above": float((low > to_hold).mean()),
            "below": float((high < to_hold).mean()),
            "gained": int((held[method] & ~held["basic"]).sum()),
            "lost": int((held["basic"] & ~held[method]).sum()),
            "width": float((high - low).mean()),
        }
    return {
        "estimate": float(estimates.mean()),
        "spread": float(estimates.std(ddof=1)),
        "off_by": float(estimates.mean() - to_hold),
        "resamples_off_by": float(off.mean()),
        "methods": methods,
    }


def table(measured: dict[int, dict[str, object]]) -> list[list[object]]:
    rows: list[list[object]] = [[*HEAD, *HEAD_OFF]]
    for images, found in measured.items():
        methods = found["methods"]
        assert isinstance(methods, dict)
        off = [f"{found['off_by']:+.3f}", f"{found['resamples_off_by']:+.3f}"]
        for method, values in methods.items():
            coverage = f"{100 * values['coverage']:.0f} ± {100 * values['standard_error']:.0f} %"
            sides = [f"{100 * values[side]:.0f} %" for side in ("above", "below")]
            changed = [values["gained"], values["lost"]]
            rows.append(
                [images, method, coverage, *sides, *changed, f"{values['width']:.3f}", *off]
            )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, nargs="+", default=[100, 436], help="in a small set")
    parser.add_argument("--sets", type=int, default=400, help="of each size, at least 2")
    parser.add_argument("--many", type=int, default=12000, help="images to draw from")
    parser.add_argument("--objects", type=float, default=2.5, help="mean per image, at least 1")
    parser.add_argument("--resamples", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", dest="as_json")
    asked = parser.parse_args()
    start = time.process_time()
    random = np.random.default_rng(asked.seed)
    many = matched(random, asked.many, asked.objects)
    to_hold = float(measure_of(many)(one_weighting(asked.many))["AP50"][0])
    measured = {}
    for images in asked.images:
        small_sets = []
        for _ in range(asked.sets):
            chosen = random.choice(asked.many, images, replace=False)
            measure = measure_of([within(one, chosen) for one in many])
            small_sets.append(judged(measure, images, asked.resamples))
        measured[images] = summary(small_sets, to_hold)
    asked_for = {name: value for name, value in vars(asked).items() if name != "as_json"}
    document: dict[str, object] = {
        "schema": "boxray.benchmark.interval_coverage/1",
        "machine": machine("boxray", "numpy"),
        **asked_for,
        "share": SHARE,
        "ap50_of_many": to_hold,
        "small_sets": measured,
        "processor_seconds": time.process_time() - start,
    }
    deliver(document, table(measured), as_json=asked.as_json)
    if not asked.as_json:
        print(f"AP50 to hold {to_hold:.3f}, of {asked.many} images; seed {asked.seed}", end=", ")
        print(f"{asked.sets} sets of each size, {document['processor_seconds']:.0f} s of processor")


if __name__ == "__main__":
    main()
