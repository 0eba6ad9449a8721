"""Which class is taken for which: what the detections shown to people say of each truth."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Int

from boxray.boxes import Array, iou
from boxray.metrics.matching import claim
from boxray.metrics.voc import POLICY
from boxray.records import Detections, Truths

# a detection whose best truth is taken asks for the next best: it may stand for its neighbour
_ANY_CLASS = replace(POLICY, if_claimed="next best")


def confusion(
    truths: Sequence[Truths], detections: Sequence[Detections], class_count: int
) -> Int[Array, "c d"]:
    """Entry (t, s) counts truths of class t that a detection of class s claims, whatever its class.

    The last row counts detections that claim no truth, the last column truths that nobody claims.
    Detections choose by VOC's rules, best score first, at an IoU of 0.5; difficult truths, crowds,
    and what claims them do not count.
    """
    counts = np.zeros((class_count + 1, class_count + 1), np.int64)
    for of_image, found in zip(truths, detections, strict=True):
        order = np.argsort(-found.scores, kind="stable")
        set_aside = of_image.difficult | of_image.crowd
        claimed = np.full(len(order), -1)
        if len(of_image) and len(order):
            overlap = iou(found.boxes[order], of_image.boxes)
            (claimed,) = claim(overlap, set_aside[None], set_aside, _ANY_CLASS)[0]
        said = found.labels[order]
        hits = (claimed >= 0) & ~set_aside[claimed] if len(of_image) else claimed >= 0
        np.add.at(counts, (of_image.labels[claimed[hits]], said[hits]), 1)
        np.add.at(counts, (class_count, said[claimed < 0]), 1)
        missed = ~set_aside
        missed[claimed[hits]] = False
        np.add.at(counts, (of_image.labels[missed], class_count), 1)
    return counts
