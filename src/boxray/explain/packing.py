"""A decision as JSON that a page can decide again: candidates, placement, thresholds, targets.

Of all candidates the page gets those that a slider can reach, each row's best, so that any point of
the picture can be asked about, and those near annotated objects. Arrays become base64.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.boxes import Array
from boxray.errors import SettingError
from boxray.explain.decision import Decision
from boxray.explain.misses import MOST_CLOSEST, Closest, Verdict, verdicts
from boxray.explain.origin import origin
from boxray.explain.rivals import FAINTEST
from boxray.explain.stages import PROPOSAL_STAGES, reachable_rows
from boxray.explain.target import ENOUGH, Target
from boxray.protocols import Layered
from boxray.selection import Method

MOST_CANDIDATES = 20_000  # at 27 bytes each, half a megabyte
MOST_ASKED = 100_000  # let through by the detector's own threshold: then no page is made
MOST_ROWS = 20_000  # with more, the best of a row is not kept where it is below the floor
MOST_ORIGINS = 600  # candidates whose raw numbers and decoding are told; 1 kB each
MOST_REFINED = 100  # the same of two stages, where each brings its proposal's life
DIGITS = 7  # single precision has no more
# exponentials differ in their last bit between a browser and numpy
FIXED: tuple[Method, ...] = ("soft-gaussian", "matrix")


def packed(decision: Decision, targets: Sequence[Target]) -> dict[str, Any]:
    """What page/verdict.js calls a page: all that JSON holds of one image's decisions.

    Raises SettingError where the score threshold lets more through than a page should hold.
    """
    table = _chosen(decision, targets)
    fixed = why_fixed(decision)
    return {
        "classes": list(decision.classes),
        "placement": asdict(decision.placement),
        "thresholds": asdict(decision.thresholds),
        "floor": table.floor,
        "complete": table.complete,
        "two_stages": decision.proposals is not None,
        "fixed": fixed,
        "recorded": _recorded(decision) if fixed else None,
        "methods": _methods(decision),
        "table": _columns(decision, table),
        "origins": _origins(decision, table),
        "targets": [
            _target(decision, target, told, reachable)
            for target, told, reachable in zip(
                targets, verdicts(decision, targets), table.reachable, strict=True
            )
        ],
        "layers": _layers(decision),
    }


def why_fixed(decision: Decision) -> str | None:
    """Why a browser cannot select again as Python does; None where it can."""
    method = decision.thresholds.method
    if method in FIXED:
        return f"{method} takes exponentials, whose last bit a browser does not share with numpy"
    if method not in _methods(decision):
        return f"with {method}, the thresholds decide which proposals count"
    found = decision.candidates
    if found.scores.dtype != np.float32 or found.boxes.dtype != np.float32:
        return "its numbers are not of single precision"
    return None


def _methods(decision: Decision) -> list[Method]:
    """Between which the page may choose.

    Of two stages not fusion: what led to a fused box depends on the thresholds.
    """
    known: list[Method] = [name for name in get_args(Method) if name not in FIXED]
    return known if decision.proposals is None else [name for name in known if name != "fusion"]


@dataclass(frozen=True)
class _Table:
    """Which candidates of `decision.everything` the page holds.

    best: of its row. near: for each target those of its class that overlap it, and reachable the
    rows that could. complete: whether every row's best is there.
    """

    candidates: Int[Array, "c"]
    best: Bool[Array, "c"]
    floor: float
    complete: bool
    reachable: tuple[Bool[Array, "rows"], ...]
    closest: Int[Array, "k"]


def _chosen(decision: Decision, targets: Sequence[Target]) -> _Table:
    found = decision.everything.candidates
    floor = _floor(decision)
    rows = int(found.row.max(initial=-1)) + 1
    best_of_row = np.full(rows, -1, found.scores.dtype)
    np.maximum.at(best_of_row, found.row, found.scores)
    best = found.scores == best_of_row[found.row]
    chosen = found.scores >= floor
    complete = rows <= MOST_ROWS
    if complete:
        chosen |= best
    boxes = decision.everything.in_image(found.boxes)
    reachable, closest = [], [np.zeros(0, np.int64)]
    for target in targets:
        asked = found.labels == target.label if target.label != -1 else best
        near = asked & (target.overlap(boxes) >= ENOUGH)
        reached = reachable_rows(decision, target)[:rows]
        chosen |= near & (found.labels == target.label)
        reachable.append(reached)
        for some in (near, near & best, asked & reached[found.row]):
            places = np.flatnonzero(some)
            closest.append(places[np.argsort(-found.scores[places], kind="stable")][:MOST_CLOSEST])
    nearest = np.unique(np.concatenate(closest))
    chosen[nearest] = True
    candidates = np.flatnonzero(chosen)
    return _Table(candidates, best[candidates], floor, complete, tuple(reachable), nearest)


def _floor(decision: Decision) -> float:
    """The lowest score that the sliders reach: 0.01, or more where too many have that."""
    own = decision.thresholds.score_threshold
    if len(decision.candidates) > MOST_ASKED:
        raise SettingError(
            f"score_threshold {own:g} lets {len(decision.candidates)} candidates through; a page "
            f"holds {MOST_ASKED}. Give a higher --score-threshold."
        )
    scores = decision.everything.candidates.scores
    floor = FAINTEST
    if (scores >= floor).sum() > MOST_CANDIDATES:
        floor = float(np.partition(scores, -MOST_CANDIDATES)[-MOST_CANDIDATES])
    return min(floor, own)


def _columns(decision: Decision, table: _Table) -> dict[str, str]:
    found = decision.everything.candidates.take(table.candidates)
    return {
        "boxes": text_of(found.boxes, np.float32),
        "scores": text_of(found.scores, np.float32),
        "labels": text_of(found.labels, np.uint16),
        "rows": text_of(found.row, np.uint32),
        "groups": text_of(found.group, np.uint16),
        "best": text_of(table.best, np.uint8),
    }


def text_of(values: Array, kind: type) -> str:
    """An array as base64 of its bytes, the lowest first, in this type."""
    little = np.ascontiguousarray(values).astype(np.dtype(kind).newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode()


def _origins(decision: Decision, table: _Table) -> dict[str, Any]:
    """By place in the table, what is told of the best candidates and of those near targets."""
    everything = decision.everything
    scores = everything.candidates.scores[table.candidates]
    ranked = np.argsort(-scores, kind="stable")
    most = MOST_ORIGINS if decision.proposals is None else MOST_REFINED
    told = ranked[scores[ranked] >= table.floor][:most]
    near = np.searchsorted(table.candidates, table.closest)
    return {
        str(place): _short(_told(everything, int(table.candidates[place])))
        for place in np.unique(np.concatenate([told, near])).tolist()
    }


def _told(decision: Decision, candidate: int) -> dict[str, Any]:
    """Where a candidate came from; of all class logits those of the best classes.

    Where the network's classes are not the detector's, none.
    """
    whole = asdict(origin(decision, candidate))
    logits = whole.pop("class_logits")
    best = [decision.classes.index(name) for name, _ in whole["classes"]]
    own = len(logits) == len(decision.classes)
    whole["logits"] = [logits[label] for label in best] if own else []
    if whole["proposal"] is not None:
        whole["proposal"] |= {"beaten": [], "agreeing": []}  # not shown
    return whole


def _short(value: Any) -> Any:
    """The same with numbers of as many digits as single precision has."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list | tuple) else value


def _target(
    decision: Decision, target: Target, told: Verdict, reachable: Bool[Array, "rows"]
) -> dict[str, Any]:
    """One object: what page/verdict.js needs to know, and what change would have found it."""
    found = decision.everything.candidates
    assert target.box is not None  # annotated, not a point
    asked = found.row[found.labels == target.label]
    return {
        "name": target.name,
        "label": target.label,
        "box": target.box.tolist(),
        "reachable": text_of(np.packbits(reachable, bitorder="little"), np.uint8),
        "reachable_count": int(reachable[asked].sum()),
        "earlier": [
            asdict(stage) for stage in told.stages if stage.name in ("reachable", *PROPOSAL_STAGES)
        ],
        "told": [_closest(one) for one in told.closest],
        "counterfactual": None if told.counterfactual is None else asdict(told.counterfactual),
        "proposing": None if told.proposing is None else asdict(told.proposing),
    }


def _closest(one: Closest) -> dict[str, Any]:
    whole = asdict(one)
    return {"said": whole.pop("candidate"), **whole}


def _recorded(decision: Decision) -> dict[str, Any]:
    """What suppression made of those that entered it."""
    outcome = decision.selection.outcome
    return {
        "survivors": outcome.survivors.tolist(),
        "beatenBy": outcome.beaten_by.tolist(),
        "scores": outcome.scores.tolist(),
        "boxes": np.asarray(outcome.boxes).tolist(),
        "members": None if outcome.members is None else [list(one) for one in outcome.members],
    }


def _layers(decision: Decision) -> list[dict[str, Any]]:
    """The levels of the coder, of two stages the first's, where it has any."""
    layered = decision.proposals or decision
    if not isinstance(layered.coder, Layered):
        return []
    return [
        {
            "name": level.name,
            "cell_hw": list(level.cell_hw),
            "grid_hw": list(level.sureness.shape),
            "priors": np.asarray(level.priors).round(2).tolist(),
            "prior_at": level.prior_at,
            "says": level.says,
            "sureness": text_of(_finite(level.sureness), np.float32),
        }
        for level in layered.coder.levels(layered.raw)
    ]


def _finite(values: Float[Array, "..."]) -> Float[Array, "..."]:
    return np.nan_to_num(np.asarray(values), nan=0.0)
