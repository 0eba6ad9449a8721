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
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array
from boxray.explain.decision import Decision
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
    last: the last set that is not empty, or the first set: candidates of `of.everything`.
    """

    sizes: dict[str, int]
    killer: str | None
    of: Decision
    last: Int[Array, "c"]


def reached(decision: Decision, targets: Sequence[Target], which: int) -> Reached:
    """How far `targets[which]` got; the others are there because they claim detections, too."""
    candidates, sets = _sets(decision, targets[which])
    place = claims(decision, targets)[which]
    claimed = decision.selection.kept[[place]] if place >= 0 else np.zeros(0, np.int64)
    carrier = _carried(decision, here(decision, _keys(decision, candidates)), targets[which])[0]
    sets["matched"] = sets["max_detections"] & np.isin(carrier, claimed)
    if decision.proposals is not None:
        return _reached_through_proposals(decision, targets[which], candidates, sets)
    sizes = {name: int(one.sum()) for name, one in sets.items()}
    killer, last = _first_empty(sizes)
    return Reached(sizes, killer, decision, candidates[sets[last]])


def _first_empty(sizes: dict[str, int]) -> tuple[str | None, str]:
    """The first empty set, None if there is none, and the one before it."""
    names = tuple(sizes)
    empty = next((i for i, size in enumerate(sizes.values()) if not size), None)
    return (None, names[-1]) if empty is None else (names[empty], names[max(empty - 1, 0)])


def _reached_through_proposals(
    decision: Decision,
    target: Target,
    candidates: Int[Array, "c"],
    sets: dict[str, Bool[Array, "c"]],
) -> Reached:
    """The sets of the first stage, then those of the second, which count proposals, too."""
    first = decision.proposals
    assert first is not None  # else there are no two stages
    rows, own = _sets(first, replace(target, label=0))
    row = decision.everything.candidates.row[candidates]
    of_proposal = here(first.everything, first.keys()[first.selection.kept])
    led = np.isin(rows, of_proposal[row[sets["localised"]]])
    earlier = {"reachable": own["reachable"] | led}
    earlier |= {name: own[alone] | led for name, alone in PROPOSAL_STAGES.items()}
    sizes = {name: int(one.sum()) for name, one in earlier.items()}
    sizes |= {name: len(np.unique(row[sets[name]])) for name in STAGES[1:]}
    killer, last = _first_empty(sizes)
    if killer == "localised":  # what the second stage made of the proposals tells more than they
        looked_at = np.isin(of_proposal[row], rows[earlier[last]])
        return Reached(sizes, killer, decision, candidates[looked_at])
    if last in earlier:
        return Reached(sizes, killer, first, rows[earlier[last]])
    return Reached(sizes, killer, decision, candidates[sets[last]])


def _sets(
    decision: Decision, target: Target
) -> tuple[Int[Array, "c"], dict[str, Bool[Array, "c"]]]:
    """Candidates of `decision.everything`, and which of them are in each set but the last."""
    everything = decision.everything
    found = everything.candidates
    candidates = _asked(decision, target)
    row = found.row[candidates]
    answers = target.overlap(everything.drawn(candidates)) >= ENOUGH
    place = here(decision, _keys(decision, candidates))
    carrier, carried = _carried(decision, place, target)
    localised = answers | carried
    best = _best_of_row(found.scores, found.row)[row]
    tall = found.scores[candidates] >= decision.thresholds.score_threshold
    right = np.full(len(row), target.label is None) | (found.labels[candidates] == target.label)
    named = localised & right & ((found.scores[candidates] == best) | tall)
    fate = np.append(decision.selection.fate, Fate.BELOW_SCORE)[place]
    above = named & (fate != Fate.BELOW_SCORE)
    within = above & (fate != Fate.OVER_LIMIT)
    survived = within & carried
    return candidates, {
        "reachable": _reachable(decision, target, row) | localised,
        "localised": localised,
        "named": named,
        "score": above,
        "limit": within,
        "suppression": survived,
        "max_detections": survived & (np.append(decision.selection.fate, -1)[carrier] == Fate.KEPT),
    }


def _keys(decision: Decision, candidates: Int[Array, "c"]) -> Int[Array, "c"]:
    """Row and class of candidates of `decision.everything`."""
    return decision.everything.keys()[candidates]


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


def here(decision: Decision, keys: Int[Array, "c"]) -> Int[Array, "c"]:
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
    """Whether the rows of these candidates could answer; any row can reach a point."""
    if target.box is None:
        return np.ones(len(row), bool)
    return np.asarray(reachable_rows(decision, target)[row])


def reachable_rows(decision: Decision, target: Target) -> Bool[Array, "rows"]:
    """For every row whether the box nearest to the target's that it could say would answer."""
    assert target.box is not None  # a point has none
    (wanted,) = decision.placement.to_canvas(target.box[None])
    nearest = decision.coder.nearest(wanted, decision.raw)
    return np.asarray(target.overlap(decision.in_image(nearest)) >= ENOUGH)
