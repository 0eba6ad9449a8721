"""Detectors: the whole way from a picture to boxes in its pixels, in one method to read."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from boxray import explain, images
from boxray.boxes import Array, has_inside
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.explain import Decision, Evidence, Hiding, Life, Verdict
from boxray.images import AnySource, Source
from boxray.protocols import Coder, Engine, StagedEngine
from boxray.records import Candidates, Detections, Selection, Truths
from boxray.results import Result
from boxray.selection import Thresholds, select

Stages = TypeVar("Stages")  # OneStage or TwoStage

SMALLEST_PROPOSAL = 1e-3  # pixels: what is narrower or lower shows nothing


@dataclass(frozen=True)
class OneStage:
    """A detector with one learned step: canvas, engine, coder, selection, and back.

    classes: the names that labels index. canvas_hw: height and width in pixels that the engine
    is given. name: of the model, for results and reports.
    """

    engine: Engine
    coder: Coder
    classes: tuple[str, ...]
    canvas_hw: tuple[int, int]
    thresholds: Thresholds
    name: str = ""

    # A path and a list are iterables, too: the first signature that fits is the one that counts.
    # Any detector will do for `self`: two stages are read and told in the same way.
    @overload
    def detect(self: Any, source: Source) -> Result: ...

    @overload
    def detect(self: Any, source: list[AnySource] | tuple[AnySource, ...]) -> list[Result]: ...

    @overload
    def detect(self: Any, source: Iterable[AnySource]) -> Iterator[Result]: ...

    def detect(
        self: Any, source: Source | list[AnySource] | tuple[AnySource, ...] | Iterable[AnySource]
    ) -> Result | list[Result] | Iterator[Result]:
        """What is in a picture: a path, encoded bytes, a PIL image, or an RGB uint8 array.

        A list or tuple of these gives a list; any other iterable gives an iterator that reads
        one picture at a time. Raises ImageError for what cannot be read.
        """
        if isinstance(source, list | tuple):
            return [self.detect(one) for one in source]
        if not isinstance(source, str | Path | bytes | Image.Image | np.ndarray):
            return map(self.detect, images.several(source))
        image = images.load(source)
        return Result(
            image=image,
            path=Path(source) if isinstance(source, str | Path) else None,
            detections=self.detect_array(image),
            classes=self.classes,
            model=self.name,
            detector=self,
        )

    def detect_array(
        self,
        image: UInt8[Array, "h w 3"],
        *,
        score_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> Detections:
        """The detections of one decoded picture, in its pixels, clipped to it once, at the end.

        A box that lies wholly outside the picture, in the canvas's padding, is left out.
        The candidates in the record are those that the score threshold let through.
        """
        if score_threshold is not None or max_detections is not None:
            return self.with_thresholds(
                score_threshold=score_threshold, max_detections=max_detections
            ).detect_array(image)
        canvas, placement = images.fit(image, self.canvas_hw)
        raw = tuple(map(itemgetter(0), self.engine(canvas[None])))  # a batch of one
        candidates = self.coder.decode(raw, self.thresholds.score_threshold)
        selection = select(candidates, self.thresholds)
        boxes = placement.to_image(selection.boxes, clip=True)
        (inside,) = has_inside(boxes).nonzero()
        return Detections(
            boxes=boxes[inside],
            labels=candidates.labels[selection.kept[inside]],
            scores=selection.scores[inside],
            places=inside,
            candidates=candidates,
            selection=selection,
            raw=raw,
        )

    def candidates(self, canvases: UInt8[Array, "n h w 3"], score_floor: float) -> list[Candidates]:
        """Everything that each of these canvases could mean with at least this score."""
        raw = self.engine(canvases)
        return [self.coder.decode(one, score_floor) for one in zip(*raw, strict=True)]

    def decision(self, found: Detections, size_hw: tuple[int, int]) -> Decision:
        """The record behind `found`, which this detector said of an image of this size."""
        assert found.candidates is not None  # filled in by detect_array
        assert found.selection is not None
        assert found.places is not None
        return Decision(
            raw=found.raw,
            coder=self.coder,
            thresholds=self.thresholds,
            placement=images.place(size_hw, self.canvas_hw),
            classes=self.classes,
            candidates=found.candidates,
            selection=found.selection,
            places=found.places,
        )

    def explain_at(self: Any, source: Source, x: float, y: float) -> Life | Verdict:
        """Why there is a box around a point of the image, in pixels, or why there is none."""
        return explain.at_point(self._decided(source), x, y)

    def explain_truth(
        self: Any, source: Source, truths: Truths, names: Sequence[str] | None = None
    ) -> tuple[Verdict, ...]:
        """What became of every annotated object of an image: found, or lost at which stage.

        names: the classes that the truths' labels index, if not the detector's own.
        """
        return explain.of_truths(self._decided(source), truths, names or self.classes)

    def evidence_at(
        self: Any, source: Source, x: float, y: float, hiding: Hiding | None = None
    ) -> Evidence:
        """Which pixels speak for the smallest detection around a point, or for any object there."""
        image = images.load(source)
        decision = self.decision(self.detect_array(image), image.shape[:2])
        (found,) = explain.occlude(self, image, [explain.target_at(decision, x, y)], hiding)
        return found

    def evidence_truth(
        self: Any,
        source: Source,
        truths: Truths,
        names: Sequence[str] | None = None,
        hiding: Hiding | None = None,
    ) -> tuple[Evidence, ...]:
        """Which pixels speak for every annotated object, found or not; names as `explain_truth`."""
        targets = explain.targets_of(truths, names or self.classes, self.classes)
        return explain.occlude(self, images.load(source), targets, hiding)

    def _decided(self: Any, source: Source) -> Decision:
        image = images.load(source)
        decision: Decision = self.decision(self.detect_array(image), image.shape[:2])
        return decision

    def with_thresholds(
        self: Stages,
        *,
        score_threshold: float | None = None,
        iou_threshold: float | None = None,
        max_detections: int | None = None,
        method: str | None = None,
        suppress_within: str | None = None,
    ) -> Stages:
        """The same detector with these thresholds changed; SettingError if one is out of range."""
        changes: dict[str, Any] = {
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
            "method": method,
            "suppress_within": suppress_within,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        changed = replace(self.thresholds, **given)  # type: ignore[attr-defined]
        return replace(self, thresholds=changed)  # type: ignore[type-var]


@dataclass(frozen=True)
class TwoStage:
    """A detector with two learned steps: what might be something, then what it is and where.

    proposal_coder and proposal_thresholds: of the first step, a detector of one class, anything.
    coder and thresholds: of the second, which looks at each proposal again. The rest as `OneStage`.
    """

    engine: StagedEngine
    proposal_coder: Coder
    proposal_thresholds: Thresholds
    coder: ProposalDeltas
    classes: tuple[str, ...]
    canvas_hw: tuple[int, int]
    thresholds: Thresholds
    name: str = ""

    detect = OneStage.detect
    explain_at = OneStage.explain_at
    explain_truth = OneStage.explain_truth
    evidence_at = OneStage.evidence_at
    evidence_truth = OneStage.evidence_truth
    _decided = OneStage._decided
    with_thresholds = OneStage.with_thresholds

    def candidates(self, canvases: UInt8[Array, "n h w 3"], score_floor: float) -> list[Candidates]:
        """Everything that each of these canvases could mean with at least this score."""
        faint = self.with_thresholds(score_threshold=score_floor)
        found = [faint.detect_array(canvas).candidates for canvas in canvases]
        return [one for one in found if one is not None]  # detect_array leaves its record

    def decision(self, found: Detections, size_hw: tuple[int, int]) -> Decision:
        """The record behind `found`, which this detector said of an image of this size."""
        assert found.proposals is not None  # all filled in by detect_array
        assert found.candidates is not None
        assert found.selection is not None
        assert found.places is not None
        (numbers,) = found.raw
        return Decision(
            raw=numbers,
            coder=self.coder.at(found.proposals.boxes, self.canvas_hw),
            thresholds=self.thresholds,
            placement=images.place(size_hw, self.canvas_hw),
            classes=self.classes,
            candidates=found.candidates,
            selection=found.selection,
            places=found.places,
            proposals=self._proposals(found.proposals, size_hw),
        )

    def _proposals(self, found: Detections, size_hw: tuple[int, int]) -> Decision:
        """The first stage as a detector of its own: one class, and its own thresholds."""
        assert found.candidates is not None
        assert found.selection is not None
        return Decision(
            raw=found.raw,
            coder=self.proposal_coder,
            thresholds=self.proposal_thresholds,
            placement=images.place(size_hw, self.canvas_hw),
            classes=("object",),
            candidates=found.candidates,
            selection=found.selection,
            places=np.arange(len(found)),
            reselect=propose,
        )

    def detect_array(
        self,
        image: UInt8[Array, "h w 3"],
        *,
        score_threshold: float | None = None,
        max_detections: int | None = None,
    ) -> Detections:
        """As `OneStage.detect_array`; the record is the second step's, a row being a proposal."""
        if score_threshold is not None or max_detections is not None:
            return self.with_thresholds(
                score_threshold=score_threshold, max_detections=max_detections
            ).detect_array(image)
        canvas, placement = images.fit(image, self.canvas_hw)
        features, raw = self.engine.propose(canvas[None])
        raw = tuple(map(itemgetter(0), raw))  # a batch of one
        first = self.proposal_coder.decode(raw)
        limits = self.proposal_thresholds
        chosen = without_slivers(select(first, unlimited(limits)), limits)  # as `propose`
        numbers = self.engine.refine(features, chosen.boxes)
        placed = self.coder.at(chosen.boxes, self.canvas_hw)
        candidates = placed.decode(numbers, self.thresholds.score_threshold)
        selection = select(candidates, self.thresholds)
        boxes = placement.to_image(selection.boxes, clip=True)
        (inside,) = has_inside(boxes).nonzero()
        return Detections(
            boxes=boxes[inside],
            labels=candidates.labels[selection.kept[inside]],
            scores=selection.scores[inside],
            places=inside,
            candidates=candidates,
            selection=selection,
            raw=(numbers,),
            proposals=Detections(
                boxes=chosen.boxes,
                labels=first.labels[chosen.kept],
                scores=chosen.scores,
                candidates=first,
                selection=chosen,
                raw=raw,
            ),
        )


def propose(candidates: Candidates, thresholds: Thresholds) -> Selection:
    """What a second stage looks at: `select`, but boxes without an inside are not kept.

    Source: Ren et al. 2015, section 3.3.
    """
    return without_slivers(select(candidates, unlimited(thresholds)), thresholds)


def unlimited(thresholds: Thresholds) -> Thresholds:
    """The same, but for `max_detections`, which `without_slivers` applies later."""
    return replace(thresholds, max_detections=sys.maxsize)


def without_slivers(selection: Selection, thresholds: Thresholds) -> Selection:
    """The selection with fewer kept: the first `max_detections` of those that have an inside.

    selection: by the thresholds `unlimited`, since slivers take part in suppression, but do not
    count among `max_detections`.
    """
    large = (selection.boxes[:, 2:] - selection.boxes[:, :2] >= SMALLEST_PROPOSAL).all(1)
    first = np.flatnonzero(large)[: thresholds.max_detections]
    return replace(
        selection,
        kept=selection.kept[first],
        boxes=selection.boxes[first],
        scores=selection.scores[first],
    )
