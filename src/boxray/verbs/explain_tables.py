"""What `explain` found, as trees for a terminal."""

from __future__ import annotations

import math
from collections.abc import Mapping

from rich.console import RenderableType
from rich.tree import Tree

from boxray.explain import Evidence, Life, Verdict
from boxray.explain.counterfactual import Change, Counterfactual
from boxray.explain.decision import Box, Said
from boxray.explain.misses import KILLERS
from boxray.explain.occlusion import GRADIENTS
from boxray.explain.origin import Origin
from boxray.verbs.explain import ExplainReport
from boxray.verbs.terminal import shown

MOST_BEATEN = 5
_SAID = {  # pairs of numbers, which of them is which; answers.js says the same
    "cell": "cell in column {}, row {}",
    "step": "step {} across, {} down",
    "prior": "prior {} x {}",
    "window": "window {} x {}",
}


def explanation(report: ExplainReport) -> list[RenderableType]:
    """One tree per answer, and where the drawing is."""
    parts: list[RenderableType] = [
        _life(one) if isinstance(one, Life) else _verdict(one) for one in report.answers
    ]
    if not parts:
        nothing = "has no annotated object" if report.asked_for_truths else "shows no detection"
        parts.append(f"{shown(str(report.path))} {nothing}.")
    if report.asked_for_truths:
        found = sum(isinstance(one, Verdict) and one.killer is None for one in report.answers)
        parts.append(f"{found} of {len(report.answers)} objects found.")
    for one, path in zip(report.evidence, report.heat_maps, strict=True):
        parts.append(_evidence(one, shown(str(path))))
    if report.picture is not None:
        parts.append(f"Drawn in {shown(str(report.picture))}")
    if report.page is not None:
        parts.append(f"Page in {shown(str(report.page))}")
    return parts


def _evidence(evidence: Evidence, path: str) -> Tree:
    by = "by gradients, " if evidence.method == GRADIENTS else ""
    tree = Tree(f"{by}which pixels speak for {shown(evidence.label or 'anything there')}: {path}")
    x, y = evidence.peak
    tree.add(f"most at {x:.0f}, {y:.0f}")
    if evidence.inside is not None:
        tree.add(f"{evidence.inside:.0%} of what speaks for it lies in its box")
    if evidence.method == GRADIENTS:
        tree.add(
            f"{evidence.masks} steps from grey to the picture, on which IoU · score comes to "
            f"{evidence.unhidden:.4f}; the map accounts for {evidence.reliability:.0%} of its rise"
        )
        return tree
    enough = "" if evidence.converged else ", less than asked for"
    tree.add(f"{evidence.masks} masks, reliability {evidence.reliability:.2f}{enough}")
    return tree


def _life(life: Life) -> Tree:
    number = "" if life.number is None else f"{life.number}: "
    tree = Tree(f"{number}{shown(life.label)} {life.score:.4f} at {_edges(life.box)}")
    for origin in life.origins:
        tree.add(_origin(origin))
    way = tree.add("from the canvas to the image")
    for step in life.to_image:
        way.add(f"{step.name} = {step.formula} = {step.value:.2f}")
    tree.add(
        f"passed score_threshold {life.score_threshold:g} by {life.passed_by:.4f}"
        + (f", after losing {life.score_lost:.4f} to better ones" if life.score_lost else "")
    )
    met = tree.add(f"beat {len(life.beaten)} ({life.method}, iou_threshold {life.iou_threshold:g})")
    for rival in life.beaten[:MOST_BEATEN]:
        lost = f", which lost {rival.score_lost:.4f}" if rival.score_lost else ""
        met.add(
            f"{rival.what} {_said(rival.candidate)}: IoU {rival.iou:.3f}, "
            f"won by {rival.won_by:.4f}{lost}"
        )
    if len(life.beaten) > MOST_BEATEN:
        met.add(f"and {len(life.beaten) - MOST_BEATEN} more")
    alike = tree.add(f"{len(life.agreeing)} other rows said nearly the same")
    for said in life.agreeing[:MOST_BEATEN]:
        alike.add(_said(said))
    if len(life.agreeing) > MOST_BEATEN:
        alike.add(f"and {len(life.agreeing) - MOST_BEATEN} more")
    return tree


def _origin(origin: Origin) -> Tree:
    tree = Tree(f"came from {where(origin.where)}")
    if origin.raw:
        raw = ", ".join(f"{name} {value:.4f}" for name, value in origin.raw.items())
        tree.add(f"raw: {raw}")
    for step in origin.steps:
        tree.add(f"{step.name} = {step.formula} = {step.value:.2f}")
    tree.add(f"canvas box {_edges(origin.canvas_box)}")
    tree.add(f"score = {origin.score_formula} = {origin.score:.4f}")
    classes = ", ".join(f"{shown(name)} {score:.4f}" for name, score in origin.classes)
    tree.add(f"classes: {classes}")
    if origin.proposal is not None:
        tree.add("its proposal").add(_life(origin.proposal))
    return tree


def _verdict(verdict: Verdict) -> Tree:
    if verdict.box is not None:
        what = f"{shown(str(verdict.label))} at {_edges(verdict.box)}"
    else:
        assert verdict.point is not None
        what = "the point {:g}, {:g}".format(*verdict.point)
    if verdict.killer is None:
        return Tree(f"{what}: found by detection {verdict.detection}")
    tree = Tree(f"{what}: lost at {verdict.killer}: {KILLERS[verdict.killer]}")
    tree.add("left: " + ", ".join(f"{stage.name} {stage.left}" for stage in verdict.stages))
    came = tree.add("came closest")
    for one in verdict.closest:
        overlap = "" if one.iou is None else f", IoU with it {one.iou:.3f}"
        node = came.add(_said(one.candidate) + overlap)
        if one.beaten_by is not None:
            node.add(f"beaten by {_said(one.beaten_by.candidate)}, IoU {one.beaten_by.iou:.3f}")
    if verdict.counterfactual is not None:
        tree.add(_counterfactual(verdict.counterfactual, "would be found with"))
    if verdict.proposing is not None:
        proposed = (
            "no threshold of the second stage helps; there would be a proposal with the first's"
        )
        tree.add(_counterfactual(verdict.proposing, proposed))
    return tree


def _counterfactual(answer: Counterfactual, outcome: str) -> Tree:
    changes = [c for c in (answer.score_threshold, answer.iou_threshold, answer.pair) if c]
    if not changes:
        return Tree("no score_threshold and no iou_threshold helps")
    tree = Tree(outcome)
    for change in sorted(changes, key=lambda one: one.size):
        others = f"{change.appears} more shown, {change.vanishes} fewer"
        tree.add(f"{_knobs(change)} ({others})")
    return tree


def _knobs(change: Change) -> str:
    """Values rounded to the side on which they work."""
    parts = []
    if change.score_threshold is not None:
        parts.append(f"score_threshold <= {_down(change.score_threshold.value)}")
    if change.iou_threshold is not None:
        knob = change.iou_threshold
        raised = knob.value > knob.short_of
        value = _up(knob.value) if raised else _down(knob.value)
        parts.append(f"iou_threshold {'>=' if raised else '<='} {value}")
    return " and ".join(parts)


def _down(value: float) -> str:
    return f"{math.floor(value * 1e4) / 1e4:.4f}"


def _up(value: float) -> str:
    return f"{math.ceil(value * 1e4) / 1e4:.4f}"


def _said(said: Said) -> str:
    return f"{shown(said.label)} {said.score:.4f} of {where(said.where)}"


def where(place: Mapping[str, object]) -> str:
    """Where a row of the raw output stands, in one line."""
    parts = []
    for name, value in place.items():
        numbers = value if isinstance(value, list | tuple) else [value]
        texts = [f"{one:.4g}" for one in numbers]
        parts.append(_SAID[name].format(*texts) if name in _SAID else f"{name} {', '.join(texts)}")
    return "; ".join(parts)


def _edges(box: Box) -> str:
    return ", ".join(f"{edge:.1f}" for edge in box)
