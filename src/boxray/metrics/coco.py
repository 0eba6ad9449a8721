"""COCO's twelve numbers, as pycocotools computes them.

AP is the mean of 101 interpolated precisions, over ten IoU thresholds and all classes that have
truths; AR the mean of the highest recalls. Source: Lin et al. 2014 and pycocotools' cocoeval.py.
A `difficult` truth (VOC) is an ordinary one here, as it is to pycocotools.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.metrics.matching import Matches, MatchPolicy
from boxray.metrics.precision_recall import (
    RECALLS_101,
    curve,
    interpolated_average,
    recall_within,
)

_SMALL, _LARGE, _HUGE = 32.0**2, 96.0**2, 1e5**2  # square pixels
POLICY = MatchPolicy(
    # linspace as in pycocotools: some of its values differ from 0.5 + 0.05 i in the last bit
    iou_thresholds=tuple(np.linspace(0.5, 0.95, 10).tolist()),
    area_ranges=((0.0, _HUGE), (0.0, _SMALL), (_SMALL, _LARGE), (_LARGE, _HUGE)),
    max_detections=100,
    set_aside=("crowd",),
    crowds_by_detection_area=True,
    counting_first=True,
    if_claimed="next best",
    equal_overlaps="last",
)
_AREA_NAMES = ("", "s", "m", "l")  # all, small, medium, large: the order of area_ranges
_AP50, _AP75 = 0, 5  # places in iou_thresholds


def measure(matches: Matches, weights: Int[Array, "n r"]) -> dict[str, Float[Array, "r"]]:
    """AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm and ARl of one class.

    One value per weighting of the images; NaN where no truth counts.
    `matches` must have been made by `POLICY`.
    """
    precisions = [_average_precisions(matches, weights, i) for i in range(len(_AREA_NAMES))]
    metrics = {
        "AP": precisions[0].mean(axis=0),
        "AP50": precisions[0][_AP50],
        "AP75": precisions[0][_AP75],
    }
    for i, name in enumerate(_AREA_NAMES[1:], start=1):
        metrics[f"AP{name}"] = precisions[i].mean(axis=0)
    for limit in (1, 10, 100):
        metrics[f"AR{limit}"] = _average_recall(matches, weights, limit, area_range=0)
    for i, name in enumerate(_AREA_NAMES[1:], start=1):
        metrics[f"AR{name}"] = _average_recall(matches, weights, 100, area_range=i)
    return metrics


def _average_precisions(
    matches: Matches, weights: Int[Array, "n r"], area_range: int
) -> Float[Array, "t r"]:
    return np.stack(
        [
            interpolated_average(
                curve(matches, weights, area_range=area_range, threshold=i), RECALLS_101
            )
            for i in range(len(POLICY.iou_thresholds))
        ]
    )


def _average_recall(
    matches: Matches, weights: Int[Array, "n r"], limit: int, *, area_range: int
) -> Float[Array, "r"]:
    recalls = [
        recall_within(matches, weights, limit, area_range=area_range, threshold=i)
        for i in range(len(POLICY.iou_thresholds))
    ]
    return np.mean(recalls, axis=0)
