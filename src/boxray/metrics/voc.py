"""PASCAL VOC's average precision at an IoU of 0.5.

The rule of the devkit's VOCevaldet.m: each detection looks at the one truth it overlaps most. If
that is too little, or the truth is already claimed, it is a false alarm; if the truth is difficult
it is neither hit nor miss. The overlap must be at least 0.5, as in the devkit (`>=`); the copy in
py-faster-rcnn asks for more than 0.5 (`>`). Boxes are edges, without the devkit's +1: a box of the
devkit from xmin to xmax is one here from xmin - 1 to xmax, and both have the same size.

VOC knows no crowds; in data that has them they are set aside like difficult truths.
"""

from __future__ import annotations

import math

from jaxtyping import Float, Int

from boxray.boxes import Array
from boxray.metrics.matching import Matches, MatchPolicy
from boxray.metrics.precision_recall import (
    RECALLS_11,
    area_under,
    curve,
    interpolated_average,
)

POLICY = MatchPolicy(
    iou_thresholds=(0.5,),
    area_ranges=((0.0, math.inf),),
    max_detections=None,
    set_aside=("difficult", "crowd"),
    crowds_by_detection_area=False,
    counting_first=False,
    if_claimed="false alarm",
    equal_overlaps="first",
)


def measure(
    matches: Matches, weights: Int[Array, "n r"], *, eleven_points: bool = False
) -> dict[str, Float[Array, "r"]]:
    """AP50 of one class: the area under the curve (VOC 2010 on), or the eleven points of VOC 2007.

    One value per weighting of the images; NaN where every truth is difficult or there is none.
    `matches` must have been made by `POLICY`.
    """
    points = curve(matches, weights)
    average = interpolated_average(points, RECALLS_11) if eleven_points else area_under(points)
    return {"AP50": average}
