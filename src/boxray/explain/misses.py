"""The death of a miss: which stage lost an object, who came furthest, and what would help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from boxray.boxes import Array
from boxray.explain.counterfactual import Counterfactual, counterfactual
from boxray.explain.decision import Box, Decision, Said, as_box
from boxray.explain.rivals import Rival, beaten_by
from boxray.explain.stages import PROPOSAL_STAGES, STAGES, Reached, here, reached
from boxray.explain.target import Target

# what each stage means when it is the one that killed
KILLERS = {
    "reachable": "no row could say a box that overlaps it by half",
    "proposed": "no proposal of the first stage overlaps it by half",
    "proposal_score": "what the first stage would propose there scores below its threshold",
    "proposal_limit": "the proposals there do not enter the first stage's suppression",
    "proposal_suppression": "the proposals there were suppressed by better ones",
    "proposal_max_detections": "the proposals there are beyond the number looked at again",
    "localised": "no box overlaps it by half",
    "named": "boxes lie there, but say another class",
    "score": "no score reaches the threshold",
    "limit": "not among the candidates that enter suppression",
    "suppression": "suppressed by a better box",
    "max_detections": "beyond the number of detections shown",
    "matched": "its detections were claimed by other objects",
}
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
    was not empty. counterfactual: what change of thresholds would have found it; None where none
    can. proposing: of an object that no proposal led to, what change of the first stage's
    thresholds would let the second look at something there; what it then says is not known.
    """

    label: str | None
    box: Box | None
    point: tuple[float, float] | None
    killer: str | None
    detection: int | None
    stages: tuple[Stage, ...]
    closest: tuple[Closest, ...]
    counterfactual: Counterfactual | None
    proposing: Counterfactual | None = None


def verdicts(decision: Decision, targets: Sequence[Target]) -> tuple[Verdict, ...]:
    """What became of each of these, that claim detections from each other."""
    return tuple(
        _verdict(decision, targets, which, far)
        for which, far in enumerate(reached(decision, targets))
    )


def _verdict(decision: Decision, targets: Sequence[Target], which: int, far: Reached) -> Verdict:
    target, killer = targets[which], far.killer
    shown = np.flatnonzero(decision.places == far.place)
    by_thresholds = counterfactual(decision, targets, which) if killer in STAGES[2:] else None
    return Verdict(
        label=target.name,
        box=None if target.box is None else as_box(target.box),
        point=target.point,
        killer=killer,
        detection=int(shown[0]) if killer is None and len(shown) else None,
        stages=tuple(Stage(name, left) for name, left in far.sizes.items()),
        closest=() if killer is None else _closest(far.of, target, far.last),
        counterfactual=by_thresholds,
        proposing=_proposing(decision, target) if killer in PROPOSAL_STAGES else None,
    )


def _proposing(decision: Decision, target: Target) -> Counterfactual | None:
    """What change of the first stage's thresholds would make it propose something there."""
    assert decision.proposals is not None  # else there are no such stages
    return counterfactual(decision.proposals, [replace(target, label=0)], 0)


def _closest(decision: Decision, target: Target, last: Int[Array, "c"]) -> tuple[Closest, ...]:
    """The best candidates of the last set that was not empty, and who beat them."""
    everything = decision.everything
    best = last[np.argsort(-everything.candidates.scores[last], kind="stable")][:MOST_CLOSEST]
    found = here(decision, everything.keys()[best])
    overlap = target.overlap(everything.drawn(best)).tolist()
    return tuple(
        Closest(
            candidate=said,
            iou=None if target.box is None else share,
            beaten_by=None if place < 0 else beaten_by(decision, place),
        )
        for said, share, place in zip(everything.said(best), overlap, found.tolist(), strict=True)
    )
