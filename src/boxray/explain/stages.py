"""How far the candidates for an object got: nested sets, one per stage of detection.

For a truth, or a point that somebody clicked, the candidates that could have answered for it form
nested sets, each within the one before:

    reachable       a row whose nearest possible box overlaps it by at least half
    localised       its box does overlap by at least half
    named           it has the object's class, as its best one or with a score that would show
    score           its score reaches the score threshold
    limit           it is among those that enter suppression
    suppression     it survives, and its box and class still answer for the object
    max_detections  it is among those shown
    matched         its detection is claimed by this truth and not by another

Of two stages, what the second says can only come of what the first proposed, and these come
between reachable and localised:

    proposed                 a row of the first stage whose box overlaps it by at least half
    proposal_score           its score reaches the first stage's threshold
    proposal_limit           it is among those that enter the first stage's suppression
    proposal_suppression     it survives that, and its box still overlaps
    proposal_max_detections  it is among the proposals that the second stage looks at

A proposal that the second stage moved onto the object counts as one that was there all along: what
led to a candidate is in every set that the candidate had to pass.
The first empty set is what killed the object; if none is empty, it was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array
from boxray.explain.decision import Decision
from boxray.explain.target import ENOUGH, Target, claims
from boxray.records import Fate, Selection

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
# of the first of two stages, with what each is called when it stands alone
PROPOSAL_STAGES = {
    "proposed": "localised",
    "proposal_score": "score",
    "proposal_limit": "limit",
    "proposal_suppression": "suppression",
    "proposal_max_detections": "max_detections",
}
TWO_STAGES = ("reachable", *PROPOSAL_STAGES, *STAGES[1:])


def stages_of(decision: Decision) -> tuple[str, ...]:
    """The stages at which this detector can lose an object, in their order."""
    return STAGES if decision.proposals is None else TWO_STAGES


@dataclass(frozen=True)
class Reached:
    """How far the candidates for one object got.

    sizes: of every set, by the name of its stage. killer: the first that is empty, or None.
    place: the kept box that the object claims, -1 for none.
    last: the last set that is not empty, or the first set: candidates of `of.everything`.
    """

    sizes: dict[str, int]
    killer: str | None
    place: int
    of: Decision
    last: Int[Array, "c"]


@dataclass(frozen=True)
class _Asked:
    """The candidates of `decision.everything` that can say a class: the same for all its objects.

    boxes: in image pixels. named: that say it as their row's best, or with a score that would
    show. fate: BELOW_SCORE for those that detection did not have. carrier: the survivor that each
    lives on in, one of `decision.candidates`, -1 for none, and shown, whether that one is shown.
    survivors: those of this class, and survivors_boxes what they became, in image pixels.
    """

    decision: Decision
    candidates: Int[Array, "c"]
    row: Int[Array, "c"]
    boxes: Float[Array, "c 4"]
    named: Bool[Array, "c"]
    fate: Int[Array, "c"]
    carrier: Int[Array, "c"]
    shown: Bool[Array, "c"]
    survivors: Int[Array, "s"]
    survivors_boxes: Float[Array, "s 4"]


def reached(decision: Decision, targets: Sequence[Target]) -> tuple[Reached, ...]:
    """How far each of these got, that claim detections from each other."""
    asked = {label: _asked(decision, label) for label in {target.label for target in targets}}
    first = None if decision.proposals is None else _asked(decision.proposals, 0)
    return tuple(
        _reached(asked[target.label], first, target, place)
        for target, place in zip(targets, claims(decision, targets), strict=True)
    )


def _reached(asked: _Asked, first: _Asked | None, target: Target, place: int) -> Reached:
    decision, sets = asked.decision, _sets(asked, target)
    claimed = np.append(decision.selection.kept, -1)[place]
    sets["matched"] = sets["max_detections"] & (asked.carrier == claimed)
    sizes = {name: int(one.sum()) for name, one in sets.items()}
    if first is not None:
        return _reached_through_proposals(asked, first, target, place, sets)
    killer, last = _first_empty(sizes)
    return Reached(sizes, killer, place, decision, asked.candidates[sets[last]])


def _first_empty(sizes: dict[str, int]) -> tuple[str | None, str]:
    """The first empty set, None if there is none, and the one before it."""
    names = tuple(sizes)
    empty = next((i for i, size in enumerate(sizes.values()) if not size), None)
    return (None, names[-1]) if empty is None else (names[empty], names[max(empty - 1, 0)])


def _reached_through_proposals(
    asked: _Asked, first: _Asked, target: Target, place: int, sets: dict[str, Bool[Array, "c"]]
) -> Reached:
    """The sets of the first stage, then those of the second, which count proposals, too."""
    proposals, rows, own = first.decision, first.candidates, _sets(first, target)
    of_proposal = here(proposals.everything, proposals.keys()[proposals.selection.kept])
    led = np.isin(rows, of_proposal[asked.row[sets["localised"]]])
    earlier = {"reachable": own["reachable"] | led}
    earlier |= {name: own[alone] | led for name, alone in PROPOSAL_STAGES.items()}
    sizes = {name: int(one.sum()) for name, one in earlier.items()}
    sizes |= {name: len(np.unique(asked.row[sets[name]])) for name in STAGES[1:]}
    killer, last = _first_empty(sizes)
    if killer == "localised":  # what the second stage made of the proposals tells more than they
        looked_at = np.isin(of_proposal[asked.row], rows[earlier[last]])
        return Reached(sizes, killer, place, asked.decision, asked.candidates[looked_at])
    if last in earlier:
        return Reached(sizes, killer, place, proposals, rows[earlier[last]])
    return Reached(sizes, killer, place, asked.decision, asked.candidates[sets[last]])


def _sets(asked: _Asked, target: Target) -> dict[str, Bool[Array, "c"]]:
    """Which of the candidates are in each set but the last."""
    answering = np.zeros(len(asked.decision.candidates) + 1, bool)  # the last is for -1
    answering[asked.survivors[_answers(target, asked.survivors_boxes)]] = True
    carried = answering[asked.carrier]
    localised = _answers(target, asked.boxes) | carried
    named = localised & asked.named
    above = named & (asked.fate != Fate.BELOW_SCORE)
    within = above & (asked.fate != Fate.OVER_LIMIT)
    survived = within & carried
    return {
        "reachable": _reachable(asked.decision, target, asked.row) | localised,
        "localised": localised,
        "named": named,
        "score": above,
        "limit": within,
        "suppression": survived,
        "max_detections": survived & asked.shown,
    }


def _answers(target: Target, boxes: Float[Array, "n 4"]) -> Bool[Array, "n"]:
    return np.asarray(target.overlap(boxes) >= ENOUGH)


def _asked(decision: Decision, label: int | None) -> _Asked:
    """For any class, or one that the detector does not know, -1: what could say some class.

    That is each row's best, and those with a score that would show.
    """
    everything = decision.everything
    found = everything.candidates
    tall = found.scores >= decision.thresholds.score_threshold
    best = found.scores == _best_of_row(found.scores, found.row)[found.row]
    known = label is not None and label >= 0
    candidates = np.flatnonzero(found.labels == label if known else best | tall)
    place = here(decision, everything.keys()[candidates])
    selection = decision.selection
    survivors = selection.outcome.survivors
    ends_as = decision.in_image(selection.outcome.boxes[survivors])
    survivors = selection.entered[survivors]
    right = np.full(len(survivors), label is None) | (
        decision.candidates.labels[survivors] == label
    )
    carrier = _carriers(selection)[place]
    return _Asked(
        decision=decision,
        candidates=candidates,
        row=found.row[candidates],
        boxes=everything.drawn(candidates),
        named=(best | tall)[candidates] & (label is None or found.labels[candidates] == label),
        fate=np.append(selection.fate, Fate.BELOW_SCORE)[place],
        carrier=carrier,
        shown=np.isin(carrier, selection.kept),
        survivors=survivors[right],
        survivors_boxes=ends_as[right],
    )


def _carriers(selection: Selection) -> Int[Array, "n"]:
    """The survivor that each candidate lives on in, -1 for none; one more, at the end, for -1."""
    carrier = np.full(len(selection.fate) + 1, -1)
    survivors = selection.entered[selection.outcome.survivors]
    carrier[survivors] = survivors
    if selection.outcome.members is not None:  # a fused candidate lives on in what took it in
        taken_in = np.flatnonzero(selection.beaten_by >= 0)
        carrier[taken_in] = selection.beaten_by[taken_in]
    return carrier


def _best_of_row(scores: Float[Array, "n"], row: Int[Array, "n"]) -> Float[Array, "rows"]:
    best = np.full(int(row.max(initial=-1)) + 1, -1, scores.dtype)
    np.maximum.at(best, row, scores)
    return best


def here(decision: Decision, keys: Int[Array, "c"]) -> Int[Array, "c"]:
    """These rows and classes among the candidates that detection had, -1 for absent ones."""
    own = decision.keys()
    order = np.argsort(own)
    at = np.searchsorted(own[order], keys)
    place = np.append(order, -1)[at.clip(0, len(own))]
    return np.where(np.append(own, -1)[place] == keys, place, -1)


def _reachable(decision: Decision, target: Target, row: Int[Array, "c"]) -> Bool[Array, "c"]:
    """Whether the rows of these candidates could answer; any row can reach a point."""
    if target.box is None:
        return np.ones(len(row), bool)
    return np.asarray(reachable_rows(decision, target)[row])


def reachable_rows(decision: Decision, target: Target) -> Bool[Array, "rows"]:
    """For every row whether the box nearest to the target's that it could say would answer."""
    assert target.box is not None  # a point has none
    (wanted,) = decision.placement.to_canvas(target.box[None])
    nearest = decision.coder.nearest(wanted, decision.raw)
    return _answers(target, decision.in_image(nearest))
