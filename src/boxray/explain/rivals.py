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
MOST_AGREEING = 10


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
    losers = np.flatnonzero(decision.selection.beaten_by == winner)
    best_first = losers[np.argsort(-decision.candidates.scores[losers], kind="stable")]
    return tuple(rival(decision, int(loser), winner) for loser in best_first)


def rival(decision: Decision, loser: int, winner: int) -> Rival:
    """What happened between two candidates of which one beat the other."""
    found, selection = decision.candidates, decision.selection
    what: Literal["suppressed", "lowered", "fused"] = "suppressed"
    if selection.outcome.members is not None:
        what = "fused"
    elif selection.fate[loser] != Fate.SUPPRESSED:
        what = "lowered"
    return Rival(
        candidate=decision.said(loser),
        what=what,
        iou=float(iou(found.boxes[[winner]], found.boxes[[loser]])[0, 0]),
        won_by=float(found.scores[winner]) - float(found.scores[loser]),
        score_lost=float(selection.score_lost[loser]),
    )


def agreeing(decision: Decision, place: int) -> tuple[Said, ...]:
    """Other rows that said nearly this box with this class, the best ten of them."""
    own = decision.selection.origins[place]
    row_and_class = decision.keys()[list(own)]
    label = decision.candidates.labels[own[0]]
    everything = decision.everything
    found = everything.candidates
    alike = np.flatnonzero((found.labels == label) & (found.scores >= FAINTEST))
    others = alike[~np.isin(everything.keys()[alike], row_and_class)]
    box = decision.selection.boxes[[place]]
    near = others[iou(box, found.boxes[others])[0] >= NEARLY]
    best = near[np.argsort(-found.scores[near], kind="stable")][:MOST_AGREEING]
    return tuple(everything.said(int(one)) for one in best)
