"""Which candidates survive: the cut by score, the limits, suppression, and who beat whom.

Selection runs on numpy whatever the engine, so that the detector that is deployed keeps the same
boxes as the one that was evaluated. Every step is recorded, because explanations replay it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from jaxtyping import Int

from boxray.boxes import Array, distance_iou
from boxray.records import Candidates, Selection
from boxray.selection.dropping import greedy
from boxray.selection.fusing import fusion
from boxray.selection.lowering import gaussian, linear, matrix, soft
from boxray.selection.thresholds import Method, Suppress, Thresholds, Within

__all__ = ["Method", "Thresholds", "Within", "select"]

_METHODS: Mapping[Method, Suppress] = {
    "greedy": greedy,
    "diou": partial(greedy, overlap=distance_iou),
    "soft-linear": partial(soft, share=linear),
    "soft-gaussian": partial(soft, share=gaussian),
    "matrix": matrix,
    "fusion": fusion,
}


def select(candidates: Candidates, thresholds: Thresholds) -> Selection:
    """The candidates that survive, best first, and what became of every other one.

    In this order: those below the score threshold go, and with them those whose score or box is
    not finite; the rest are sorted by (score descending, label, row); the limits cut, first per
    group, then over all; the method of suppression drops, lowers or fuses what overlaps a better
    one among its rivals; `max_detections` cuts last, by what is left of the scores.
    Thresholds are compared in the precision of the scores and boxes.
    """
    scores = candidates.scores
    # a comparison with NaN is False; infinity is no score either
    finite = np.logical_and.reduce([scores < np.inf, *np.isfinite(candidates.boxes).T])
    above = np.flatnonzero(finite & (scores >= thresholds.score_threshold))
    entered = _enter(candidates, above, thresholds)
    within = {"class": candidates.labels, "group": candidates.group, "all": 0 * candidates.row}
    rivals = within[thresholds.suppress_within][entered]
    suppress = _METHODS[thresholds.method]
    outcome = suppress(candidates.boxes[entered], scores[entered], rivals, thresholds)
    shown = outcome.survivors[: thresholds.max_detections]
    return Selection(
        kept=entered[shown],
        boxes=outcome.boxes[shown],
        scores=outcome.scores[shown],
        scored=scores,
        above=above,
        entered=entered,
        outcome=outcome,
    )


def _enter(
    candidates: Candidates, rows: Int[Array, "n"], thresholds: Thresholds
) -> Int[Array, "k"]:
    """Those of `rows` that the limits let enter suppression, best first."""
    limit, per_group = thresholds.limit_before, thresholds.limit_before_per_group
    if limit is not None and per_group is None and limit < len(rows):
        # nothing below the limit-th best score can enter: do not sort a million rows for 1000
        scores = candidates.scores[rows]
        rows = rows[scores >= np.partition(scores, -limit)[-limit]]
    order = np.lexsort((candidates.row[rows], candidates.labels[rows], -candidates.scores[rows]))
    rows = rows[order]
    if per_group is not None:
        rows = rows[_rank_within(candidates.group[rows]) < per_group]
    return rows[:limit]


def _rank_within(group: Int[Array, "n"]) -> Int[Array, "n"]:
    """How many earlier rows belong to the same group."""
    together = np.argsort(group, kind="stable")
    arranged = group[together]
    first = np.searchsorted(arranged, arranged, side="left")
    rank = np.empty(len(group), np.int64)
    rank[together] = np.arange(len(group)) - first
    return rank
