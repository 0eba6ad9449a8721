"""R-CNN: any classifier as a detector in two stages, whether it learned from boxes or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from boxray.classification import alignment
from boxray.classification.classifier import Classifier
from boxray.coders.anchor_deltas import ProposalDeltas
from boxray.coders.listed_boxes import ListedBoxes
from boxray.coders.windows import Meanings
from boxray.detectors import TwoStage
from boxray.engines.crops import Crops
from boxray.engines.proposals import EdgeBoxes, Proposer
from boxray.engines.proposed_crops import (
    CONTEXT,
    AlignedHead,
    Head,
    ProposedCrops,
    learned_head,
)
from boxray.selection import Thresholds

PROPOSALS = 300
CANVAS_SIDE = 384  # pixels; where proposals reach more objects than at 500
# Edge Boxes drops a box that overlaps a better one by more than `overlap`. With 0.5 in place of its
# paper's 0.75, made for thousands of boxes, the first 300 reach 92 % of VOC's objects, not 78 %.
PROPOSER = EdgeBoxes(side=CANVAS_SIDE, limit=PROPOSALS, overlap=0.5)
# parts of a thing are often taken for the whole of it: boxes that share a third are suppressed
THRESHOLDS = Thresholds(score_threshold=0.3, iou_threshold=0.3)
WEIGHTS = (1.0, 1.0, 1.0, 1.0)  # of deltas, as in the paper's appendix C


@dataclass(frozen=True)
class Regions:
    """Who proposes what is looked at, and how: the numbers of an R-CNN but for its classifier.

    limit: so many of the proposals are looked at, the first ones. context: how much of a box's size
    is added on each side before it is cut out.
    """

    proposer: Proposer = PROPOSER
    limit: int = PROPOSALS
    context: float = CONTEXT
    canvas_hw: tuple[int, int] = (CANVAS_SIDE, CANVAS_SIDE)
    thresholds: Thresholds = THRESHOLDS


def rcnn(
    classifier: Classifier, classes: str | Sequence[str] = "voc", regions: Regions | None = None
) -> TwoStage:
    """R-CNN without box labels: what a classifier takes each proposal for, in other words.

    classes: "voc", "coco" or "open-images", those of them that ImageNet's classes mean, or names of
    your own. A proposal's score for a class is the probability of all of the classifier's classes
    that mean it; the rest is background. A box is a proposal as it is.
    Raises SettingError for classes that the classifier does not know.
    """
    names = alignment.names(classes) if isinstance(classes, str) else tuple(classes)
    found = alignment.meanings(names, classifier.classes, classifier.wnids)
    head = AlignedHead(Meanings(len(names), found))
    named = replace(classifier, name="rcnn")
    return _detector(named, head, names, ProposalDeltas(len(names), WEIGHTS), regions or Regions())


def learned(classifier: Classifier, coder: ProposalDeltas, regions: Regions) -> TwoStage:
    """R-CNN of a classifier that learned its classes, background, and boxes from crops.

    classifier: says logits, those of background first, then deltas, in the same order.
    """
    return _detector(classifier, learned_head, classifier.classes, coder, regions)


def _detector(
    classifier: Classifier,
    head: Head,
    classes: tuple[str, ...],
    coder: ProposalDeltas,
    regions: Regions,
) -> TwoStage:
    crops = Crops(classifier.of_whole())
    every = Thresholds(score_threshold=0.0, iou_threshold=1.0, max_detections=regions.limit)
    return TwoStage(
        engine=ProposedCrops(regions.proposer, crops, head, coder, regions.context),
        proposal_coder=ListedBoxes(),
        proposal_thresholds=every,
        coder=coder,
        classes=classes,
        canvas_hw=regions.canvas_hw,
        thresholds=regions.thresholds,
        name=classifier.name,
    )
