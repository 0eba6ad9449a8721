"""The death of a miss: which stage lost an object, and who came furthest.

For a truth, or a point that somebody clicked, the candidates that could have answered for it form
nested sets, one per stage of detection, each within the one before:

    reachable       a row whose nearest possible box overlaps it by at least half
    localised       its box does overlap by at least half
    named           it has the object's class, as its best one or with a score that would show
    score           its score reaches the score threshold
    limit           it is among those that enter suppression
    suppression     it survives, and its box and class still answer for the object
    max_detections  it is among those shown
    matched         its detection is claimed by this truth and not by another

The first empty set is what killed the object; if none is empty, it was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array
from boxray.explain.counterfactual import Counterfactual, counterfactual
from boxray.explain.decision import Box, Decision, Said, as_box
from boxray.explain.rivals import Rival, rival
from boxray.explain.target import ENOUGH, Target, claims
from boxray.records import Fate

STAGES = (
    "reachable",
    "localised",
    "named",
    "score",
    "limit",
    "suppression",
    "max_detections",
    "matched",
)
MOST_CLOSEST = 3


@dataclass(frozen=True)
class Stage:
    """How many candidates were left after one stage."""

    name: str
    left: int


@dataclass(frozen=True)
class Closest:
    """A candidate that came as far as any: what it said, its overlap with the object, who beat it.

    iou: None for a point.
    """

    candidate: Said
    iou: float | None
    beaten_by: Rival | None


@dataclass(frozen=True)
class Verdict:
    """What became of one object.

    label: its class, None for a point. killer: the stage that lost it, None if it was found.
    detection: the number of the detection that found it. closest: the best of the last set that
    was not empty. counterfactual: what change of thresholds would have found it.
    """

    label: str | None
    box: Box | None
    point: tuple[float, float] | None
    killer: str | None
    detection: int | None
    stages: tuple[Stage, ...]
    closest: tuple[Closest, ...]
    counterfactual: Counterfactual | None


def verdict(decision: Decision, targets: Sequence[Target], which: int) -> Verdict:
    """What became of `targets[which]`; the others are there because they claim detections, too."""
    target = targets[which]
    killer, stages, last = stages_of(decision, targets, which)
    place = target_place(decision, targets, which)
    shown = np.flatnonzero(decision.places == place)
    lost_by_thresholds = killer in STAGES[2:]
    return Verdict(
        label=target.name,
        box=None if target.box is None else as_box(target.box),
        point=target.point,
        killer=killer,
        detection=int(shown[0]) if killer is None and len(shown) else None,
        stages=tuple(Stage(name, left) for name, left in zip(STAGES, stages, strict=True)),
        closest=() if killer is None else _closest(decision, target, last),
        counterfactual=counterfactual(decision, targets, which) if lost_by_thresholds else None,
    )


def target_place(decision: Decision, targets: Sequence[Target], which: int) -> int:
    """Which kept box answers for a target, -1 for none."""
    return claims(decision, targets)[which]


def stages_of(
    decision: Decision, targets: Sequence[Target], which: int
) -> tuple[str | None, tuple[int, ...], Int[Array, "c"]]:
    """The killer, the size of every set, and the last set that is not empty.

    The set is of candidates of `decision.everything`.
    """
    target = targets[which]
    everything = decision.everything
    found = everything.candidates
    rows = _asked(decision, target)
    answers = target.overlap(everything.drawn[rows]) >= ENOUGH
    here = _here(decision, everything.keys()[rows])
    carrier, carried = _carried(decision, here, target)
    localised = answers | carried
    reachable = _reachable(decision, target, found.row[rows]) | localised
    best = _best_of_row(found.scores, found.row)[found.row[rows]]
    tall = found.scores[rows] >= decision.thresholds.score_threshold
    right = np.full(len(rows), target.label is None) | (found.labels[rows] == target.label)
    named = localised & right & ((found.scores[rows] == best) | tall)
    fate = np.append(decision.selection.fate, Fate.BELOW_SCORE)[here]
    above = named & (fate != Fate.BELOW_SCORE)
    within = above & (fate != Fate.OVER_LIMIT)
    survived = within & carried
    shown = survived & (np.append(decision.selection.fate, -1)[carrier] == Fate.KEPT)
    place = target_place(decision, targets, which)
    kept = decision.selection.kept[[place]] if place >= 0 else np.zeros(0, np.int64)
    matched = shown & np.isin(carrier, kept)
    sets = (reachable, localised, named, above, within, survived, shown, matched)
    sizes = tuple(int(one.sum()) for one in sets)
    empty = next((i for i, size in enumerate(sizes) if size == 0), None)
    last = len(sets) - 1 if empty is None else max(empty - 1, 0)
    return (None if empty is None else STAGES[empty]), sizes, rows[sets[last]]


def _asked(decision: Decision, target: Target) -> Int[Array, "c"]:
    """The candidates that can say the target's class.

    For any class, or one that the detector does not know: each row's best, and those with a score
    that would show.
    """
    found = decision.everything.candidates
    if target.label is not None and target.label >= 0:
        return np.flatnonzero(found.labels == target.label)
    best = _best_of_row(found.scores, found.row)[found.row]
    return np.flatnonzero(
        (found.scores == best) | (found.scores >= decision.thresholds.score_threshold)
    )


def _best_of_row(scores: Float[Array, "n"], row: Int[Array, "n"]) -> Float[Array, "rows"]:
    best = np.full(int(row.max(initial=-1)) + 1, -1, scores.dtype)
    np.maximum.at(best, row, scores)
    return best


def _here(decision: Decision, keys: Int[Array, "c"]) -> Int[Array, "c"]:
    """These rows and classes among the candidates that detection had, -1 for absent ones."""
    own = decision.keys()
    order = np.argsort(own)
    at = np.searchsorted(own[order], keys)
    place = np.append(order, -1)[at.clip(0, len(own))]
    return np.where(np.append(own, -1)[place] == keys, place, -1)


def _carried(
    decision: Decision, here: Int[Array, "c"], target: Target
) -> tuple[Int[Array, "c"], Bool[Array, "c"]]:
    """The survivor that each candidate lives on in, -1 for none, and whether that one answers."""
    selection, outcome = decision.selection, decision.selection.outcome
    lives_on = np.full(len(selection.fate) + 1, -1)
    lives_on[np.flatnonzero(np.isin(selection.fate, (Fate.KEPT, Fate.OVER_MAX)))] = 0
    alone = np.arange(len(selection.fate) + 1)
    lives_in = np.where(lives_on >= 0, alone, -1)
    if outcome.members is not None:  # a fused candidate lives on in the one that took it in
        taken_in = np.flatnonzero(selection.beaten_by >= 0)
        lives_in[taken_in] = selection.beaten_by[taken_in]
    answers = np.zeros(len(selection.fate) + 1, bool)
    entered = selection.entered
    ends_as = decision.in_image(outcome.boxes) if len(entered) else np.zeros((0, 4))
    answers[entered] = target.overlap(ends_as) >= ENOUGH
    if target.label is not None:
        answers[:-1] &= decision.candidates.labels == target.label
    carrier = lives_in[here]
    return carrier, (carrier >= 0) & answers[carrier]


def _reachable(decision: Decision, target: Target, row: Int[Array, "c"]) -> Bool[Array, "c"]:
    """Whether the nearest box that each row could say would answer; any row can reach a point."""
    if target.box is None:
        return np.ones(len(row), bool)
    (wanted,) = decision.placement.to_canvas(target.box[None])
    nearest = decision.coder.nearest(wanted, decision.raw)
    return np.asarray(target.overlap(decision.in_image(nearest)) >= ENOUGH)[row]


def _closest(decision: Decision, target: Target, last: Int[Array, "c"]) -> tuple[Closest, ...]:
    """The best candidates of the last set that was not empty, and who beat them."""
    everything = decision.everything
    best = last[np.argsort(-everything.candidates.scores[last], kind="stable")][:MOST_CLOSEST]
    here = _here(decision, everything.keys()[best])
    closest = []
    for one, candidate in zip(best.tolist(), here.tolist(), strict=True):
        winner = int(decision.selection.beaten_by[candidate]) if candidate >= 0 else -1
        said = everything.said(one)
        overlap = None if target.box is None else float(target.overlap(np.array([said.box]))[0])
        beaten_by = None
        if winner >= 0:
            lost = rival(decision, candidate, winner)
            beaten_by = replace(lost, candidate=decision.said(winner))
        closest.append(Closest(said, overlap, beaten_by))
    return tuple(closest)
