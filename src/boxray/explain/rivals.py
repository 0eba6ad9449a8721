"""Who met whom: what a box suppressed, lowered or took in, and who said nearly the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from boxray.boxes import iou
from boxray.explain.decision import Decision, Said
from boxray.records import Fate

NEARLY = 0.7  # IoU with a box of the same class from which two candidates say nearly the same
FAINTEST = 0.01  # a score below this says nothing, wherever its box lies


@dataclass(frozen=True)
class Rival:
    """A candidate that lost against a better one.

    iou: of the two. won_by: how much higher the better one scored. what: it was suppressed,
    lowered by score_lost (and perhaps kept), or fused into the better one's box.
    """

    candidate: Said
    what: Literal["suppressed", "lowered", "fused"]
    iou: float
    won_by: float
    score_lost: float


def beaten(decision: Decision, winner: int) -> tuple[Rival, ...]:
    """Every candidate that this one beat, the best of them first."""
    found = decision.candidates
    losers = np.flatnonzero(decision.selection.beaten_by == winner)
    losers = losers[np.argsort(-found.scores[losers], kind="stable")]
    overlap = iou(found.boxes[[winner]], found.boxes[losers])[0].tolist()
    return tuple(
        Rival(said, _what(decision, loser), shared, *_difference(decision, winner, loser))
        for said, loser, shared in zip(decision.said(losers), losers.tolist(), overlap, strict=True)
    )


def beaten_by(decision: Decision, loser: int) -> Rival | None:
    """The one that beat this candidate, if one did, with what happened between the two."""
    winner, found = int(decision.selection.beaten_by[loser]), decision.candidates
    if winner < 0:
        return None
    (said,) = decision.said(np.array([winner]))
    shared = float(iou(found.boxes[[winner]], found.boxes[[loser]])[0, 0])
    return Rival(said, _what(decision, loser), shared, *_difference(decision, winner, loser))


def _difference(decision: Decision, winner: int, loser: int) -> tuple[float, float]:
    """By how much the winner's score was higher, and how much of its own the loser lost."""
    scores = decision.candidates.scores
    won_by = float(scores[winner]) - float(scores[loser])
    return won_by, float(decision.selection.score_lost[loser])


def _what(decision: Decision, loser: int) -> Literal["suppressed", "lowered", "fused"]:
    if decision.selection.outcome.members is not None:
        return "fused"
    suppressed = decision.selection.fate[loser] == Fate.SUPPRESSED
    return "suppressed" if suppressed else "lowered"


def agreeing(decision: Decision, place: int) -> tuple[Said, ...]:
    """Every other row that said nearly this box with this class, the best of them first."""
    own = decision.candidates.take(np.array(decision.selection.origins[place]))
    label = own.labels[0]
    rows = own.row[own.labels == label]  # boxes of other classes may be fused into this one
    everything = decision.everything
    found = everything.candidates
    alike = np.flatnonzero((found.labels == label) & (found.scores >= FAINTEST))
    others = alike[~np.isin(found.row[alike], rows)]
    box = decision.selection.boxes[[place]]
    near = others[iou(box, found.boxes[others])[0] >= NEARLY]
    return everything.said(near[np.argsort(-found.scores[near], kind="stable")])
