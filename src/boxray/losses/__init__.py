"""What a network is told about its raw output: one named term per cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from boxray.assignment import SPARED, Assignment, Targets, assign, one_hot
from boxray.boxes import paired_giou, paired_iou
from boxray.coders.yolo_grid import YoloGrid
from boxray.losses.lesson import NO_TRUTH, Lesson, Told, summed


@runtime_checkable
class Loss(Protocol):
    """What a one-stage network is told: the named terms for a batch; their sum is stepped."""

    def __call__(
        self,
        raw: Sequence[Tensor],
        targets: Sequence[Targets],
        coder: Any,  # each loss knows the numbers of one kind of coder
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms, finite on images without truths."""


@runtime_checkable
class Teacher(Protocol):
    """A loss that tells where its terms come from; they are the sums of its lessons."""

    def lessons(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: Any
    ) -> list[Lesson]:
        """For each image what every row is told, and for the sake of which truth."""


@dataclass(frozen=True)
class GridLoss:
    """The default detector's loss: where (GIoU), whether (objectness), what (class).

    Each term is a sum over the batch divided by its number of positive rows (at least one), so
    that an image without truths is finite and teaches its empty cells only.
    Sources: GIoU, Rezatofighi et al. 2019; objectness against the IoU of what the row says now,
    Redmon & Farhadi 2017 (section 2, σ(to) = Pr(object)·IoU), with the modulation of quality
    focal loss, Li et al. 2020 (equation 5), exponent `focus`; class by binary cross-entropy,
    Redmon & Farhadi 2018 (section 2.2), against labels of which the share `smoothing` is spread
    over all classes, Szegedy et al. 2016 (Rethinking the Inception architecture, section 7).
    """

    box: float
    objectness: float
    classification: float
    focus: float
    smoothing: float = 0.0

    def __call__(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: YoloGrid
    ) -> dict[str, Float[Tensor, ""]]:
        """The weighted terms for a batch; their sum is what is stepped."""
        return summed(self.lessons(raw, targets, coder))

    def lessons(
        self, raw: Sequence[Tensor], targets: Sequence[Targets], coder: YoloGrid
    ) -> list[Lesson]:
        """For each image what every row is told, and for the sake of which truth."""
        size_hw = raw[0].shape[-2] * coder.strides[0], raw[0].shape[-1] * coder.strides[0]
        grid = coder.grid(size_hw)
        numbers = coder.flatten(tuple(raw))
        where = coder.places(grid, numbers)
        boxes = coder.boxes(numbers[..., :4], *where)
        assignments = [
            assign(t, coder, n, b, size_hw)
            for t, n, b in zip(targets, numbers.detach(), boxes.detach(), strict=True)
        ]
        positives = max(1, sum(len(a.rows) for a in assignments))
        images = zip(numbers, boxes, targets, assignments, strict=True)
        return [self._image(*image).times(1 / positives) for image in images]

    def _image(
        self,
        numbers: Float[Tensor, "rows numbers"],
        boxes: Float[Tensor, "rows 4"],
        targets: Targets,
        assignment: Assignment,
    ) -> Lesson:
        """1 - GIoU, objectness and class of one image, weighted and not yet divided."""
        said = boxes[assignment.rows]
        truth = targets.boxes[assignment.truths]
        labels = targets.labels[assignment.truths]
        wanted = torch.zeros_like(numbers[:, 4])
        wanted[assignment.rows] = paired_iou(said.detach(), truth)
        every = torch.arange(len(numbers), device=numbers.device)
        answers = torch.full_like(every, NO_TRUTH)
        answers[assignment.ignored] = SPARED
        answers[assignment.rows] = assignment.truths
        asked = answers != SPARED
        class_logits = numbers[assignment.rows, 5:]
        named = one_hot(labels, class_logits.shape[1])
        named = (1 - self.smoothing) * named + self.smoothing / class_logits.shape[1]
        classification = functional.binary_cross_entropy_with_logits(
            class_logits, named, reduction="none"
        )
        objectness = quality_focal(numbers[:, 4], wanted, self.focus) * asked
        rows, truths = assignment.rows, assignment.truths
        terms = {
            "box": Told(rows, truths, self.box * (1 - paired_giou(said, truth))),
            "objectness": Told(every, answers.clamp(min=NO_TRUTH), self.objectness * objectness),
            "class": Told(rows, truths, self.classification * classification.sum(1)),
        }
        return Lesson(terms, answers, torch.zeros_like(asked), boxes.detach())


def quality_focal(
    logits: Float[Tensor, "n"], wanted: Float[Tensor, "n"], focus: float
) -> Float[Tensor, "n"]:
    """|y - σ|^focus · BCE(σ, y) per entry, for targets y between 0 and 1.

    Source: Li et al. 2020 (Generalized Focal Loss), equation 5; focus 0 is plain cross-entropy.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return entropy * (wanted - logits.sigmoid()).abs().pow(focus)
