"""The losses with which YOLOv2 and YOLOv3 were trained, to the last digit of Darknet's gradient.

Sources: Redmon & Farhadi 2017 (YOLO9000), section 2; Redmon et al. 2016, equation 3; Redmon &
Farhadi 2018, section 2.1. Where the papers are silent, what Darknet does.

With σ on tx, ty and to, minus the gradient is Darknet's `delta`, weight · (wanted - said):

    box         of rows that answer for a truth; weight 2 - w·h, so that small boxes count more
    objectness  1 (or the IoU) for these rows, 0 for others, but none where one overlaps a truth
    class       of rows that answer for a truth

Each is the gradient of a cross-entropy (σ, softmax) or of half a squared difference (tw, th). All
terms are sums over rows and images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from boxray.assignment import BETWEEN, SPARED, Targets, one_hot
from boxray.boxes import area, centre_size, iou, paired_iou, sigmoid, size_iou
from boxray.coders.anchors import PriorSizes
from boxray.coders.yolo_grid import YoloGrid
from boxray.errors import ModelError
from boxray.losses.lesson import NO_TRUTH, Lesson, Told, summed
from boxray.networks.darknet_layers import Layer, Yolo, levels_of

PRIOR_PULL = 0.01  # the weight that draws every box towards its prior at first
PULLED_IMAGES = 12_800  # until so many were seen, in YOLOv2
SMALL_BOXES = 2.0  # the weight of a box is this minus its share of the canvas


@dataclass(frozen=True)
class Answers:
    """For one image: row `rows[i]` answers for truth `truths[i]`, in the order of the truths.

    A row may stand here several times. overlap: of every row's box, the best IoU with a truth or an
    ignored object; on_truth: whether it is a truth.
    """

    rows: Int[Tensor, "p"]
    truths: Int[Tensor, "p"]
    overlap: Float[Tensor, "rows"]
    on_truth: Bool[Tensor, "rows"]

    def last(self) -> Answers:
        """Each row once, with the last of its truths."""
        found = dict(zip(self.rows.tolist(), self.truths.tolist(), strict=True))
        return Answers(
            self.rows.new_tensor(list(found)),
            self.truths.new_tensor(list(found.values())),
            self.overlap,
            self.on_truth,
        )


@dataclass(frozen=True)
class DarknetLoss:
    """Box, objectness and class of YOLOv2 or YOLOv3.

    priors: of all levels together, in canvas pixels; masks: per level, finest first, the numbers
    of those that it uses. A truth belongs to the prior of all that fits its shape best: the level
    that has it answers, in the cell of the truth's centre, and no other. Of two truths with one
    row the later one counts; its class is added to the earlier one's, or replaces it where classes
    exclude each other.
    ignore_iou: a row that overlaps a truth by more is not told to be silent. truth_iou: one that
    does by more answers for it, too. rescore: objectness is taught the IoU, not 1.
    pull_until: up to so many images seen, every box is drawn to its prior.
    most_truths: those after them are not learned, as in Darknet; None for no limit.
    """

    priors: PriorSizes
    masks: tuple[tuple[int, ...], ...]
    ignore_iou: float
    truth_iou: float = 1.0
    rescore: bool = False
    pull_until: int = 0
    object_scale: float = 1.0
    no_object_scale: float = 1.0
    class_scale: float = 1.0
    box_scale: float = 1.0
    most_truths: int | None = None

    def __call__(
        self,
        raw: Sequence[Tensor],
        targets: Sequence[Targets],
        coder: YoloGrid,
        *,
        seen: int | None = None,
    ) -> dict[str, Float[Tensor, ""]]:
        """The three terms, summed over a batch.

        seen: images learned from so far; None for a network that is past its beginning.
        """
        return summed(self.lessons(raw, targets, coder, seen=seen))

    def lessons(
        self,
        raw: Sequence[Tensor],
        targets: Sequence[Targets],
        coder: YoloGrid,
        *,
        seen: int | None = None,
    ) -> list[Lesson]:
        """For each image what every row is told, and for the sake of which truth."""
        size_hw = raw[0].shape[-2] * coder.strides[0], raw[0].shape[-1] * coder.strides[0]
        numbers = coder.flatten(tuple(raw))
        places = coder.places(coder.grid(size_hw), numbers)
        boxes = coder.boxes(numbers[..., :4].detach(), *places)
        lessons = []
        for image, target in enumerate(targets):
            answers = self.assign(target, boxes[image], coder, size_hw)
            last = answers.last()
            wanted = coder.encode(target.boxes[last.truths], last.rows, size_hw)
            share = area(target.boxes[last.truths]) / (size_hw[0] * size_hw[1])
            box = self._box(numbers[image], last.rows, wanted, share)
            told = Told(last.rows, last.truths, box)
            if seen is not None and seen < self.pull_until:
                told = _pulled(told, numbers[image])
            objectness = self._objectness(numbers[image], boxes[image], target, last)
            classes = self._class(numbers[image], target, answers, coder.softmax)
            terms = {
                "box": told,
                "objectness": objectness,
                "class": Told(last.rows, last.truths, classes),
            }
            who = self._who(last)
            lessons.append(Lesson(terms, who, torch.zeros_like(last.on_truth), boxes[image]))
        return lessons

    def _box(
        self,
        numbers: Float[Tensor, "rows numbers"],
        rows: Int[Tensor, "p"],
        wanted: Float[Tensor, "p 4"],
        share: Float[Tensor, "p"],
    ) -> Float[Tensor, "p"]:
        """wanted: the t-values that mean the truths; share: of the canvas that each covers."""
        said, wanted = numbers[rows, :4], wanted.to(numbers.dtype)
        weight = self.box_scale * (SMALL_BOXES - share.to(numbers.dtype))
        centre = excess_entropy(said[:, :2], sigmoid(wanted[:, :2])).sum(1)
        size = (said[:, 2:] - wanted[:, 2:]).square().sum(1) / 2
        return weight * (centre + size)

    def _objectness(
        self,
        numbers: Float[Tensor, "rows numbers"],
        boxes: Float[Tensor, "rows 4"],
        targets: Targets,
        last: Answers,
    ) -> Told:
        weight = self.no_object_scale * (last.overlap <= self.ignore_iou).to(numbers.dtype)
        weight[last.rows] = self.object_scale
        wanted = torch.zeros_like(weight)
        wanted[last.rows] = 1.0
        if self.rescore:
            overlap = paired_iou(boxes[last.rows], targets.boxes[last.truths])
            wanted[last.rows] = overlap.to(numbers.dtype)
        every = torch.arange(len(numbers), device=numbers.device)
        owners = self._who(last).clamp(min=NO_TRUTH)
        return Told(every, owners, weight * excess_entropy(numbers[:, 4], wanted))

    def _who(self, last: Answers) -> Int[Tensor, "rows"]:
        """For each row the truth that it answers for, or why it is told nothing."""
        near = torch.where(last.on_truth, BETWEEN, SPARED)
        answers = torch.where(last.overlap > self.ignore_iou, near, NO_TRUTH)
        answers[last.rows] = last.truths
        return answers

    def _class(
        self,
        numbers: Float[Tensor, "rows numbers"],
        targets: Targets,
        answers: Answers,
        softmax: bool,
    ) -> Float[Tensor, "p"]:
        last = answers.last()
        logits = numbers[last.rows, 5:]
        if softmax:
            labels = targets.labels[last.truths]
            return self.class_scale * functional.cross_entropy(logits, labels, reduction="none")
        # a row may be several truths', and then it is told all of their classes
        mine = (last.rows[:, None] == answers.rows).to(numbers.dtype)
        wanted = (mine @ one_hot(targets.labels[answers.truths], logits.shape[1])).clamp(max=1)
        return self.class_scale * excess_entropy(logits, wanted).sum(1)

    def assign(
        self,
        targets: Targets,
        boxes: Float[Tensor, "rows 4"],
        coder: YoloGrid,
        size_hw: tuple[int, int],
    ) -> Answers:
        """Which rows answer for which truths of one image. boxes: what the rows say, decoded."""
        truths = targets.boxes[: self.most_truths]
        known = torch.cat([truths, targets.ignored.to(truths.dtype)])
        overlap = nearest = boxes.new_zeros(len(boxes))
        if len(known):
            overlap, nearest = iou(boxes, known).max(1)
        rows, owners = self._rows(truths, coder, size_hw)
        if self.truth_iou < 1 and len(truths):
            best = iou(boxes, truths)
            (sure,) = torch.where(best.amax(1) > self.truth_iou)
            rows, owners = torch.cat([sure, rows]), torch.cat([best.argmax(1)[sure], owners])
        return Answers(rows, owners, overlap, nearest < len(truths))

    def _rows(
        self, truths: Float[Tensor, "n 4"], coder: YoloGrid, size_hw: tuple[int, int]
    ) -> tuple[Int[Tensor, "p"], Int[Tensor, "p"]]:
        """The row of each truth that some level answers for, and which truth it is."""
        # in single precision, as Darknet decides which cell a centre on an edge is in
        x, y, width, height = centre_size(truths).float().unbind(1)
        sizes = torch.stack([width, height], 1)
        best = size_iou(sizes, sizes.new_tensor(self.priors)).argmax(1)  # of equal ones the first
        rows, owners, start = [], [], 0
        for stride, mask in zip(coder.strides, self.masks, strict=True):
            lines, columns = size_hw[0] // stride, size_hw[1] // stride
            # a centre on the far edge belongs to the last cell
            column = (x / stride).long().clamp(0, columns - 1)
            line = (y / stride).long().clamp(0, lines - 1)
            for slot, number in enumerate(mask):
                (mine,) = torch.where(best == number)
                owners.append(mine)
                rows.append((start + (slot * lines + line) * columns + column)[mine])
            start += len(mask) * lines * columns
        order = torch.cat(owners).argsort(stable=True)  # as the truths come
        return torch.cat(rows)[order], torch.cat(owners)[order]


def loss_of(layers: Sequence[Layer]) -> DarknetLoss:
    """The loss that the heads of a configuration describe.

    Raises ModelError for heads that are not of one network, or differ in what they are taught.
    """
    levels = levels_of(layers)
    head = levels[0].head
    taught = {(level.head.ignore_iou, level.head.most_truths) for level in levels}
    taught_iou = {level.head.truth_iou for level in levels if isinstance(level.head, Yolo)}
    if len(taught) > 1 or len(taught_iou) > 1:
        raise ModelError("the heads differ in ignore_thresh, truth_thresh or max; expected one.")
    alike = DarknetLoss(
        priors=head.priors_px(levels[0].stride),
        masks=tuple(level.head.mask for level in levels),
        ignore_iou=head.ignore_iou,
        most_truths=head.most_truths,
    )
    if isinstance(head, Yolo):
        return replace(alike, truth_iou=head.truth_iou)
    return replace(
        alike,
        rescore=head.rescore,
        pull_until=PULLED_IMAGES,
        object_scale=head.object_scale,
        no_object_scale=head.no_object_scale,
        class_scale=head.class_scale,
        box_scale=head.box_scale,
    )


def excess_entropy(
    logits: Float[Tensor, "..."], wanted: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """Cross-entropy of σ(logits) against shares, less that of the shares themselves.

    0 where σ says what is wanted; the gradient is σ - wanted, whatever is taken off.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    excess: Tensor = entropy - torch.special.entr(wanted) - torch.special.entr(1 - wanted)
    return excess


def _pulled(told: Told, numbers: Float[Tensor, "rows numbers"]) -> Told:
    """Draws the boxes of all other rows to their cell's middle and their prior, too."""
    alone = torch.ones(len(numbers), dtype=torch.bool, device=numbers.device)
    alone[told.rows] = False
    (free,) = torch.where(alone)
    said = numbers[free, :4]
    centre = excess_entropy(said[:, :2], torch.full_like(said[:, :2], 0.5)).sum(1)
    values = PRIOR_PULL * (centre + said[:, 2:].square().sum(1) / 2)
    return Told(
        torch.cat([told.rows, free]),
        torch.cat([told.truths, torch.full_like(free, NO_TRUTH)]),
        torch.cat([told.values, values]),
    )
