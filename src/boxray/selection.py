"""Which candidates survive: the cut by score, the limits, suppression, and who beat whom.

Selection runs on numpy whatever the engine, so that the detector that is deployed keeps the same
boxes as the one that was evaluated. Every step is recorded, because explanations replay it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Int

from boxray.boxes import Array, iou
from boxray.errors import SettingError
from boxray.records import Candidates, Fate, Selection

Within: TypeAlias = Literal["class", "group", "all"]

JUDGES = 96  # rows of an IoU matrix: bounds the memory, and a thousand boxes stay in the cache


@dataclass(frozen=True, kw_only=True)
class Thresholds:
    """The knobs of `select`, as model files store them.

    score_threshold: a candidate needs at least this score, 0 to 1. iou_threshold: a candidate
    that overlaps a kept, better one by more than this is suppressed, 0 to 1; 1 suppresses
    nothing. limit_before: how many candidates enter suppression, and limit_before_per_group how
    many of each group (pyramid level or class, as the coder says); None is no limit.
    suppress_within: who competes with whom. max_detections: how many may remain.

    Raises SettingError, naming the field, for a value outside its range.
    """

    score_threshold: float
    iou_threshold: float
    limit_before: int | None = 1000
    limit_before_per_group: int | None = None
    suppress_within: Within = "class"
    max_detections: int = 100

    def __post_init__(self) -> None:
        _require_share("score_threshold", self.score_threshold)
        _require_share("iou_threshold", self.iou_threshold)
        _require_count("max_detections", self.max_detections)
        if self.limit_before is not None:
            _require_count("limit_before", self.limit_before)
        if self.limit_before_per_group is not None:
            _require_count("limit_before_per_group", self.limit_before_per_group)
        if self.suppress_within not in get_args(Within):
            raise SettingError(
                f"suppress_within is {self.suppress_within!r}; "
                f"expected one of {', '.join(get_args(Within))}."
            )


def select(candidates: Candidates, thresholds: Thresholds) -> Selection:
    """The candidates that survive, best first, and what became of every other one.

    In this order: those below the score threshold go, and with them those whose score or box is
    not finite; the rest are sorted by (score descending, label, row); the limits cut, first per
    group, then over all; greedy suppression drops what overlaps a better kept one by more than
    `iou_threshold` (exactly that much is kept); `max_detections` cuts last.
    Thresholds are compared in the precision of the scores and boxes.
    Source: Felzenszwalb et al. 2010, section 5.2, with IoU for the overlap.
    """
    scores = candidates.scores
    # a comparison with NaN is False; infinity is no score either
    finite = (scores < np.inf) & np.isfinite(candidates.boxes).all(1)
    above = np.flatnonzero(finite & (scores >= thresholds.score_threshold))
    entered = _enter(candidates, above, thresholds)
    winners = _suppress(candidates, entered, thresholds)
    survived = entered[winners < 0]
    kept = survived[: thresholds.max_detections]
    fate = np.full(len(scores), Fate.BELOW_SCORE, np.int64)
    fate[above] = Fate.OVER_LIMIT
    fate[entered] = Fate.SUPPRESSED
    fate[survived] = Fate.OVER_MAX
    fate[kept] = Fate.KEPT
    beaten_by = np.full(len(scores), -1, np.int64)
    beaten_by[entered] = winners
    return Selection(kept, fate, beaten_by)


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


def _suppress(
    candidates: Candidates, rows: Int[Array, "n"], thresholds: Thresholds
) -> Int[Array, "n"]:
    """For each of `rows`, best first, the candidate that suppresses it, or -1.

    Greedy, with rivals side by side, best first: in steps of a few judges, so that memory stays
    bounded, each against the rivals that no earlier step has suppressed.
    """
    winners = np.full(len(rows), -1, np.int64)
    if thresholds.iou_threshold >= 1:
        return winners
    within = {"class": candidates.labels, "group": candidates.group, "all": 0 * candidates.row}
    rivals = within[thresholds.suppress_within][rows]
    order = np.argsort(rivals, kind="stable")
    rivals, boxes = rivals[order], candidates.boxes[rows[order]]
    beaten = winners.copy()  # by which place in this order
    for start in range(0, len(rows), JUDGES):
        end = np.searchsorted(rivals, rivals[start : start + JUDGES][-1], side="right")
        alive = start + np.flatnonzero(beaten[start:end] < 0)
        judges = alive[alive < start + JUDGES]
        with np.errstate(all="ignore"):  # an area may overflow; NaN suppresses nothing
            over = iou(boxes[judges], boxes[alive]) > thresholds.iou_threshold
        over = np.triu(over & (rivals[judges, None] == rivals[alive]), 1)  # only later ones lose
        for i in np.flatnonzero(over.any(1)):
            if beaten[judges[i]] < 0:
                victims = alive[over[i]]
                beaten[victims[beaten[victims] < 0]] = judges[i]
    winners[order] = np.where(beaten < 0, -1, rows[order[beaten]])
    return winners


def _require_share(name: str, value: float) -> None:
    if not 0 <= value <= 1:  # NaN compares False
        raise SettingError(f"{name} is {value}; expected a number from 0 to 1.")


def _require_count(name: str, value: int) -> None:
    if value < 1:
        raise SettingError(f"{name} is {value}; expected a whole number of at least 1.")
