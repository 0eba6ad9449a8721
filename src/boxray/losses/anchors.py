"""Losses of detectors that start from anchors and proposals: RetinaNet and Faster R-CNN."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from boxray.assignment import (
    BACKGROUND,
    Targets,
    balanced_sample,
    match_by_overlap,
)
from boxray.boxes import like, paired_giou
from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas, deltas_between, moved
from boxray.losses.lesson import Lesson, Told, summed

SMOOTH_BELOW = 1 / 9  # of a delta's error: Girshick's σ = 3 for proposals, 1/σ²


@dataclass(frozen=True)
class AnchorLoss:
    """RetinaNet's loss: the focal loss of every class at every anchor, and the positive boxes.

    Each term is the mean over the batch's images of a sum divided by the image's positive anchors
    (at least one). positive, negative: IoUs from which and below which an anchor is sure; the best
    anchors of each truth are positive anyway. alpha, gamma: of the focal loss. beta: where the
    smooth L1 of the deltas turns into L1, 0 for L1 throughout; None compares boxes by GIoU.
    Source: Lin et al. 2017 (focal loss), sections 3 and 4.
    """

    positive: float = 0.5
    negative: float = 0.4
    alpha: float = 0.25
    gamma: float = 2.0
    beta: float | None = 0.0
    box_weight: float = 1.0

    def __call__(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: AnchorDeltas
    ) -> dict[str, Float[Tensor, ""]]:
        """The terms "class" and "box" for a batch; their sum is what is stepped."""
        return summed(self.lessons(raw, targets, coder))

    def lessons(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: AnchorDeltas
    ) -> list[Lesson]:
        """For each image what every anchor is told, and for the sake of which truth."""
        numbers = coder.flatten(tuple(raw))
        anchors = like(coder.anchors(coder.canvas_hw(tuple(raw))).boxes, numbers)
        images = zip(numbers, targets, strict=True)
        return [
            self._image(said, anchors, wanted, coder).times(1 / len(targets))
            for said, wanted in images
        ]

    def _image(
        self,
        numbers: Float[Tensor, "rows numbers"],
        anchors: Float[Tensor, "rows 4"],
        targets: Targets,
        coder: AnchorDeltas,
    ) -> Lesson:
        match = match_by_overlap(
            targets, anchors, positive=self.positive, negative=self.negative, every_truth=True
        )
        (rows,) = torch.where(match >= 0)
        (asked,) = torch.where(match >= BACKGROUND)
        wanted = torch.zeros_like(numbers[:, 4:])
        wanted[rows, targets.labels[match[rows]]] = 1.0
        classification = focal(numbers[asked, 4:], wanted[asked], self.alpha, self.gamma).sum(1)
        truth, said = targets.boxes[match[rows]], numbers[rows, :4]
        box = self.box_weight * self._box(said, truth, anchors[rows], coder)
        terms = {
            "class": Told(asked, match[asked], classification),
            "box": Told(rows, match[rows], box),
        }
        lesson = Lesson(terms, match, torch.zeros_like(match, dtype=torch.bool), anchors)
        return lesson.times(1 / max(1, len(rows)))

    def _box(
        self,
        said: Float[Tensor, "p 4"],
        truth: Float[Tensor, "p 4"],
        anchors: Float[Tensor, "p 4"],
        coder: AnchorDeltas,
    ) -> Float[Tensor, "p"]:
        if self.beta is None:
            giou: Tensor = paired_giou(moved(said, anchors, coder.weights), truth)
            return 1 - giou
        wanted = deltas_between(truth, anchors, coder.weights)
        return smooth_l1(said, wanted, self.beta)


@dataclass(frozen=True)
class ProposalLoss:
    """The loss of a region proposal network: object or not, and where, on a sample of anchors.

    Anchors are matched as in `AnchorLoss`; `sampled` of each image are asked, at most
    `positive_share` of them positive. Both terms are divided by the batch's sampled anchors.
    Source: Ren et al. 2015, equation 1 and section 3.1.3.
    """

    positive: float = 0.7
    negative: float = 0.3
    sampled: int = 256
    positive_share: float = 0.5

    def __call__(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: AnchorDeltas
    ) -> dict[str, Float[Tensor, ""]]:
        """The terms "proposal objectness" and "proposal box" for a batch."""
        return summed(self.lessons(raw, targets, coder))

    def lessons(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: AnchorDeltas
    ) -> list[Lesson]:
        """For each image what the sampled anchors are told, and for the sake of which truth."""
        numbers = coder.flatten(tuple(raw))
        anchors = like(coder.anchors(coder.canvas_hw(tuple(raw))).boxes, numbers)
        lessons, count = [], 0
        for said, wanted in zip(numbers, targets, strict=True):
            match = match_by_overlap(
                wanted, anchors, positive=self.positive, negative=self.negative, every_truth=True
            )
            asked = balanced_sample(match, self.sampled, self.positive_share)
            rows = asked[match[asked] >= 0]
            objectness = functional.binary_cross_entropy_with_logits(
                said[asked, 4], (match[asked] >= 0).float(), reduction="none"
            )
            truth = deltas_between(wanted.boxes[match[rows]], anchors[rows], coder.weights)
            box = smooth_l1(said[rows, :4], truth, SMOOTH_BELOW)
            terms = {
                "proposal objectness": Told(asked, match[asked], objectness),
                "proposal box": Told(rows, match[rows], box),
            }
            lessons.append(Lesson(terms, match, _undrawn(match, asked), anchors))
            count += len(asked)
        return [lesson.times(1 / max(1, count)) for lesson in lessons]


@dataclass(frozen=True)
class Chosen:
    """Proposals of one image, and which of them a box head is taught on.

    proposals: all, and behind them the truths. match: of each the truth that it answers for,
    BACKGROUND or SPARED. rows: those that were drawn.
    """

    proposals: Float[Tensor, "k 4"]
    match: Int[Tensor, "k"]
    rows: Int[Tensor, "s"]
    targets: Targets

    @property
    def boxes(self) -> Float[Tensor, "s 4"]:
        """Of the proposals that were drawn."""
        return self.proposals[self.rows]

    @property
    def labels(self) -> Int[Tensor, "s"]:
        """Of those that were drawn 0 for the background, 1 + its label for a truth."""
        answers = self.match[self.rows]
        labels = torch.zeros_like(answers)
        labels[answers >= 0] = self.targets.labels[answers[answers >= 0]] + 1
        return labels


@dataclass(frozen=True)
class BoxHeadLoss:
    """The loss of a box head: which class or none, and where, on a sample of proposals.

    A proposal is positive from IoU `positive` on; `sampled` of each image are asked, at most
    `positive_share` of them positive; truths are proposals, too. Both terms are divided by the
    batch's sampled proposals.
    Source: Girshick 2015, sections 2.3 and 3; Ren et al. 2015, section 3.2.
    """

    positive: float = 0.5
    sampled: int = 512
    positive_share: float = 0.25

    def choose(self, proposals: Float[Tensor, "k 4"], targets: Targets) -> Chosen:
        """The proposals and truths of one image that are asked, at random."""
        boxes = torch.cat([proposals, targets.boxes])
        match = match_by_overlap(
            targets, boxes, positive=self.positive, negative=self.positive, every_truth=False
        )
        asked = balanced_sample(match, self.sampled, self.positive_share)
        return Chosen(boxes, match, asked, targets)

    def __call__(
        self, numbers: Float[Tensor, "s numbers"], chosen: Sequence[Chosen], coder: ProposalDeltas
    ) -> dict[str, Float[Tensor, ""]]:
        """The terms "class" and "box"; numbers: of all images' chosen proposals, in their order."""
        return summed(self.lessons(numbers, chosen, coder))

    def lessons(
        self, numbers: Float[Tensor, "s numbers"], chosen: Sequence[Chosen], coder: ProposalDeltas
    ) -> list[Lesson]:
        """For each image what the drawn proposals are told, and for the sake of which truth."""
        counts = [len(one.rows) for one in chosen]
        images = zip(torch.split(numbers, counts), chosen, strict=True)
        share = 1 / max(1, sum(counts))
        return [self._image(said, one, coder).times(share) for said, one in images]

    def _image(
        self, numbers: Float[Tensor, "s numbers"], chosen: Chosen, coder: ProposalDeltas
    ) -> Lesson:
        deltas, logits = coder.parts(numbers)
        labels, truths = chosen.labels, chosen.match[chosen.rows]
        (near,) = torch.where(truths >= 0)
        boxes, answers = chosen.boxes[near], truths[near]
        wanted = deltas_between(chosen.targets.boxes[answers], boxes, coder.weights)
        classification = functional.cross_entropy(logits, labels, reduction="none")
        box = smooth_l1(deltas[near, labels[near]], wanted, SMOOTH_BELOW)
        terms = {
            "class": Told(chosen.rows, truths, classification),
            "box": Told(chosen.rows[near], answers, box),
        }
        undrawn = _undrawn(chosen.match, chosen.rows)
        return Lesson(terms, chosen.match, undrawn, chosen.proposals)


def _undrawn(match: Int[Tensor, "rows"], drawn: Int[Tensor, "s"]) -> Bool[Tensor, "rows"]:
    """The rows that could have been asked, and were not."""
    left: Tensor = match >= BACKGROUND
    left[drawn] = False
    return left


def focal(
    logits: Float[Tensor, "n c"], wanted: Float[Tensor, "n c"], alpha: float, gamma: float
) -> Float[Tensor, "n c"]:
    """-α_t (1 - p_t)^γ ln p_t per entry, for targets 0 and 1; a negative alpha leaves α_t out.

    Source: Lin et al. 2017 (focal loss), equation 5, from logits.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    right = wanted * logits.sigmoid() + (1 - wanted) * (-logits).sigmoid()
    found = entropy * (1 - right).pow(gamma)
    return found if alpha < 0 else found * (alpha * wanted + (1 - alpha) * (1 - wanted))


def smooth_l1(
    said: Float[Tensor, "n 4"], wanted: Float[Tensor, "n 4"], beta: float
) -> Float[Tensor, "n"]:
    """Of each row the sum of ½ e² / β for errors |e| below β, |e| - β/2 for others; β = 0 is L1.

    Source: Girshick 2015, equation 3, where β is 1.
    """
    return functional.smooth_l1_loss(said, wanted, beta=beta, reduction="none").sum(1)
