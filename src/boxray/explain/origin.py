"""The life of a box: where it came from, what was said there, and what it had to pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from boxray.explain.decision import Box, Decision, Said, as_box
from boxray.explain.rivals import Rival, agreeing, beaten
from boxray.records import Step

MOST_CLASSES = 5  # not only the winner: the runners-up say what it was nearly taken for


@dataclass(frozen=True)
class Origin:
    """One candidate that a box was made of.

    where, raw, class_logits, steps: see `records.Trace`. start: the box it is measured from, and
    canvas_box what it means, both in canvas pixels. classes: the best five with their scores.
    score: of the candidate, before suppression; score_formula: how it came about.
    proposal: of two stages, the life of the proposal.
    """

    where: dict[str, Any]
    raw: dict[str, float]
    class_logits: tuple[float, ...]
    start: Box
    canvas_box: Box
    steps: tuple[Step, ...]
    objectness: float | None
    classes: tuple[tuple[str, float], ...]
    score: float
    score_formula: str
    proposal: Life | None = None


@dataclass(frozen=True)
class Life:
    """Everything about one detection. Boxes in image pixels unless called canvas_box or start.

    number: of the detection, as in the result. to_image: the way from the canvas to the image.
    score_threshold: what the score had to reach, and passed_by, by how much it did. score_lost:
    what overlapping better ones took from it. beaten: those that it suppressed, lowered or took
    in. agreeing: others that said nearly the same, whatever became of them.
    """

    number: int | None
    label: str
    score: float
    box: Box
    origins: tuple[Origin, ...]
    to_image: tuple[Step, ...]
    method: str
    iou_threshold: float
    score_threshold: float
    passed_by: float
    score_lost: float
    beaten: tuple[Rival, ...]
    agreeing: tuple[Said, ...]


def life(decision: Decision, place: int, number: int | None = None) -> Life:
    """The life of the box that selection kept at `place`; `number` is what people call it."""
    selection = decision.selection
    first = int(selection.kept[place])
    score = float(selection.scores[place])
    thresholds = decision.thresholds
    return Life(
        number=number,
        label=decision.classes[int(decision.candidates.labels[first])],
        score=score,
        box=as_box(decision.shown[place]),
        origins=tuple(origin(decision, candidate) for candidate in selection.origins[place]),
        to_image=_to_image(decision, place),
        method=thresholds.method,
        iou_threshold=thresholds.iou_threshold,
        score_threshold=thresholds.score_threshold,
        passed_by=score - thresholds.score_threshold,
        score_lost=float(selection.score_lost[first]),
        beaten=beaten(decision, first),
        agreeing=agreeing(decision, place),
    )


def origin(decision: Decision, candidate: int) -> Origin:
    """Where one candidate came from."""
    found = decision.candidates
    row, label = int(found.row[candidate]), int(found.labels[candidate])
    trace = decision.coder.trace(decision.raw, row, label)
    ranked = sorted(range(len(decision.classes)), key=lambda i: -trace.class_scores[i])
    formula = f"{trace.class_scores[label]:.4f}"
    if trace.objectness is not None:
        formula = f"{trace.objectness:.4f}·{formula}"
    return Origin(
        where=dict(trace.where),
        raw=dict(trace.raw),
        class_logits=trace.class_logits,
        start=trace.start,
        canvas_box=trace.box,
        steps=trace.steps,
        objectness=trace.objectness,
        classes=tuple((decision.classes[i], trace.class_scores[i]) for i in ranked[:MOST_CLASSES]),
        score=float(found.scores[candidate]),
        score_formula=formula,
        proposal=_proposal(decision, trace.where),
    )


def _proposal(decision: Decision, where: Any) -> Life | None:
    """Of two stages, the life of the proposal that a row refined."""
    if decision.proposals is None:
        return None
    return life(decision.proposals, int(where["proposal"]))


def _to_image(decision: Decision, place: int) -> tuple[Step, ...]:
    """Each edge from canvas to image, written out, with the cut where it is outside the image."""
    placement = decision.placement
    (top, left), (down, across) = placement.offset, placement.scale_yx
    height, width = placement.image_hw
    canvas = as_box(decision.selection.boxes[place])
    image = as_box(decision.shown[place])
    ways = ((left, across, width), (top, down, height)) * 2
    return tuple(
        Step(
            name,
            _inside(f"({edge:.2f} - {shift}) / {scale:.5g}", (edge - shift) / scale, end),
            shown,
        )
        for name, edge, (shift, scale, end), shown in zip(
            ("x0", "y0", "x1", "y1"), canvas, ways, image, strict=True
        )
    )


def _inside(formula: str, value: float, end: int) -> str:
    """The formula of an edge, as it reads where the image cuts it off."""
    if value < 0:
        return f"max({formula}, 0)"
    return f"min({formula}, {end})" if value > end else formula
