"""Made-up models of every family, and what they say, worked out by hand from their raw numbers.

A family joins the contracts of explanations by a subclass of `Case` and a line in `FAMILIES`: it
says random numbers with planted objects among them, and answers for them without boxray's own code.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import numpy as np

from boxray.boxes import iou, sigmoid
from boxray.coders.anchor_deltas import AnchorDeltas, ProposalDeltas, deltas_between
from boxray.coders.listed_boxes import ListedBoxes, listed
from boxray.coders.windows import Meanings, WindowCoder
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage, TwoStage
from boxray.engines.recorded import Recorded
from boxray.explain import Decision
from boxray.images import place
from boxray.records import Detections, Fate, Truths
from boxray.selection import Thresholds
from contracts.test_coders import PRIORS, STRIDES, cell_by_cell, maps, prior_by_prior

CLASSES = ("cat", "dog", "cow")
CANVAS_HW, IMAGE_HW = (96, 160), (120, 200)  # the image is shrunk by 0.8 and fills the canvas
IMAGE = np.zeros((*IMAGE_HW, 3), np.uint8)
# of the windows, (height, width) and (down, across); which of eight outputs mean each class
SIZES = ((16, 16), (16, 32), (32, 16), (32, 32), (48, 48))
STEPS = ((4, 4), (4, 8), (8, 4), (4, 4), (6, 6))
OUTPUTS = ((2, 4), (3, 6), (0, 7))


@dataclass(frozen=True)
class Case(ABC):
    """A detector that says the same of every image, and what is really there."""

    detector: Any
    truths: Truths

    def detections(self, **thresholds) -> Detections:
        """What the detector shows with other thresholds: the whole way, not a replay."""
        changed = replace(self.detector.thresholds, **thresholds)
        return replace(self.detector, thresholds=changed).detect_array(IMAGE)

    def decision(self) -> Decision:
        return self.detector.decision(self.detector.detect_array(IMAGE), IMAGE_HW)

    def is_found(self, which: int, **thresholds) -> bool:
        return found_by(self.detections(**thresholds), self.truths)[which] >= 0

    @abstractmethod
    def rows(self) -> int:
        """How many rows the raw output has."""

    @abstractmethod
    def row_of(self, where: dict) -> int:
        """The row that stands there."""

    @abstractmethod
    def where(self, row: int) -> dict:
        """Where a row stands, as an explanation says it."""

    @abstractmethod
    def said(self, row: int, label: int) -> tuple[list[float], list[float]]:
        """The raw numbers that are named, and the class logits."""

    @abstractmethod
    def canvas_box(self, row: int, label: int) -> tuple[float, ...]:
        """The box that these numbers mean, in canvas pixels."""

    @abstractmethod
    def chances(self, row: int) -> tuple[float | None, np.ndarray]:
        """Objectness, None if there is none, and the scores of all classes, as the model has it."""

    def box(self, row: int, label: int) -> list[float]:
        """The same in the image: 0.8 canvas pixels per image pixel, no padding, clipped."""
        return in_image(self.canvas_box(row, label))

    def scores(self, row: int) -> np.ndarray:
        """Of every class, objectness and all, in the model's precision."""
        objectness, classes = self.chances(row)
        return classes if objectness is None else objectness * classes

    def lost_before(self, which: int) -> str:
        """The stage at which an object was lost that no box lies on."""
        del which
        return "localised"


@dataclass(frozen=True)
class Grid(Case):
    """One stage on a grid of cells."""

    numbers: np.ndarray
    coder: YoloGrid

    def rows(self) -> int:
        return len(self.numbers)

    def _place(self, row: int) -> tuple[int, int, int, int, tuple[float, float]]:
        start = 0
        for level, (stride, priors) in enumerate(zip(STRIDES, PRIORS, strict=True)):
            cells = (CANVAS_HW[0] // stride) * (CANVAS_HW[1] // stride)
            if row < start + cells * len(priors):
                line, column = divmod((row - start) % cells, CANVAS_HW[1] // stride)
                return level, stride, column, line, priors[(row - start) // cells]
            start += cells * len(priors)
        raise AssertionError(f"no row {row}")

    def where(self, row: int) -> dict:
        level, stride, column, line, prior = self._place(row)
        return {"level": level, "stride": stride, "cell": [column, line], "prior": list(prior)}

    def row_of(self, where: dict) -> int:
        grid = self.coder.grid(CANVAS_HW)
        same = (grid.level == where["level"]) & (grid.cell == where["cell"]).all(1)
        prior = np.array(where["prior"], np.float32)
        (row,) = np.flatnonzero(same & (np.abs(grid.prior - prior) < 1e-3).all(1))
        return int(row)

    def said(self, row: int, label: int) -> tuple[list[float], list[float]]:
        del label
        return self.numbers[row, :5].tolist(), self.numbers[row, 5:].tolist()

    def canvas_box(self, row: int, label: int) -> tuple[float, ...]:
        del label
        _, stride, column, line, prior = self._place(row)
        tx, ty, tw, th = self.numbers[row, :4].tolist()
        x = (2 / (1 + math.exp(-tx)) - 0.5 + column) * stride
        y = (2 / (1 + math.exp(-ty)) - 0.5 + line) * stride
        w, h = prior[0] * math.exp(tw), prior[1] * math.exp(th)
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2

    def chances(self, row: int) -> tuple[float | None, np.ndarray]:
        chances = sigmoid(self.numbers[row])
        return chances[4], chances[5:]


@dataclass(frozen=True)
class Saying:
    """The engine of two stages: what it says first is fixed, then it knows the planted objects."""

    raw: tuple[np.ndarray, ...]
    objects: np.ndarray
    labels: np.ndarray
    coder: ProposalDeltas
    seed: int

    def propose(self, canvases):
        return (), tuple(level[None] for level in self.raw[: len(self.raw) * len(canvases)])

    def refine(self, features, boxes):
        """Deltas and logits of all classes for these proposals, the same whenever it is asked."""
        del features
        chance = np.random.default_rng(self.seed)
        deltas = chance.normal(0, 1, (len(boxes), len(CLASSES) + 1, 4)).astype(np.float32)
        logits = chance.normal((2, -1, -1, -1), 1, (len(boxes), len(CLASSES) + 1))
        overlap, spread = iou(boxes, self.objects), chance.choice([0.5, 2.0])
        for row in np.flatnonzero(overlap.max(1) > 0.3) if len(self.objects) else ():
            best = overlap[row].argmax()
            aim = deltas_between(self.objects[[best]], boxes[[row]], self.coder.weights)
            deltas[row, 1:] = aim + spread * deltas[row, 1:]
            logits[row, 1 + self.labels[best]] += chance.normal(2.5, 1.5)
        numbers = np.concatenate([deltas.reshape(len(boxes), 16), logits], 1)
        return numbers.astype(np.float32)


@dataclass(frozen=True)
class Two(Case):
    """Two stages: anchors that propose, and a second look at the proposals.

    numbers: of the second stage. proposals: their boxes, first: the rows of the first stage.
    """

    numbers: np.ndarray
    proposals: np.ndarray
    first: np.ndarray

    def rows(self) -> int:
        return len(self.numbers)

    def where(self, row: int) -> dict:
        return {"proposal": row}

    def row_of(self, where: dict) -> int:
        return where["proposal"]

    def said(self, row: int, label: int) -> tuple[list[float], list[float]]:
        deltas, (background, *logits) = self.numbers[row, :16], self.numbers[row, 16:].tolist()
        return [*deltas.reshape(4, 4)[label + 1].tolist(), background], logits

    def canvas_box(self, row: int, label: int) -> tuple[float, ...]:
        (tx, ty, tw, th, _), _ = self.said(row, label)
        return moved_by_hand((tx / 10, ty / 10, tw / 5, th / 5), self.proposals[row].tolist())

    def chances(self, row: int) -> tuple[float | None, np.ndarray]:
        logits = self.numbers[row, 16:]
        powers = np.exp(logits - logits.max())
        return None, (powers / powers.sum())[1:]

    def first_box(self, row: int) -> tuple[float, ...]:
        """What a row of the first stage means, in canvas pixels."""
        tx, ty, tw, th = self.first[row, :4].tolist()
        where = self.first_where(row)
        (x, y), (w, h) = (at * where["stride"] for at in where["cell"]), where["prior"]
        return moved_by_hand((tx, ty, tw, th), [x - w / 2, y - h / 2, x + w / 2, y + h / 2])

    def first_where(self, row: int) -> dict:
        start = 0
        for level, (stride, priors) in enumerate(zip(STRIDES, PRIORS, strict=True)):
            columns = CANVAS_HW[1] // stride
            count = (CANVAS_HW[0] // stride) * columns * len(priors)
            if row < start + count:
                cell, anchor = divmod(row - start, len(priors))
                at = [cell % columns, cell // columns]
                prior = list(priors[anchor])
                return {"level": level, "stride": stride, "cell": at, "prior": prior}
            start += count
        raise AssertionError(f"no row {row}")

    def kept(self) -> np.ndarray:
        """Which candidates of the first stage the proposals are."""
        return self.detector.detect_array(IMAGE).proposals.selection.kept

    def is_proposed(self, which: int, **thresholds) -> bool:
        """Whether with such thresholds of the first stage the second looks at something there."""
        changed = replace(self.detector.proposal_thresholds, **thresholds)
        found = replace(self.detector, proposal_thresholds=changed).detect_array(IMAGE).proposals
        truth = self.truths.boxes[which]
        return any(overlap(truth, in_image(box)) >= 0.5 for box in found.boxes.tolist())

    def lost_before(self, which: int) -> str:
        truth = self.truths.boxes[which]
        boxes = [in_image(self.first_box(row)) for row in range(len(self.first))]
        there = [row for row, box in enumerate(boxes) if overlap(truth, box) >= 0.5]
        if not there:
            return "proposed"
        proposals = self.decision().proposals
        rows, fate = proposals.candidates.row.tolist(), proposals.selection.fate.tolist()
        record = dict(zip(rows, fate, strict=True))
        fates = [record.get(row, Fate.BELOW_SCORE) for row in there]
        lost = []
        for killer, one in (
            ("proposal_score", Fate.BELOW_SCORE),
            ("proposal_limit", Fate.OVER_LIMIT),
            ("proposal_suppression", Fate.SUPPRESSED),
            ("proposal_max_detections", Fate.OVER_MAX),
        ):
            lost.append(one)
            if all(fate in lost for fate in fates):
                return killer
        return "localised"


@dataclass(frozen=True)
class Listed(Two):
    """Two stages of which the first is a list: R-CNN. first: four edges and a logit per row."""

    def first_box(self, row: int) -> tuple[float, ...]:
        return tuple(self.first[row, :4].tolist())

    def first_where(self, row: int) -> dict:
        return {"level": 0, "proposal": row, "of": len(self.first)}


def windows_along(level: int) -> tuple[int, int]:
    """How many windows fit beside each other on the canvas, and below each other."""
    (tall, wide), (down, across) = SIZES[level], STEPS[level]
    return (CANVAS_HW[1] - wide) // across + 1, (CANVAS_HW[0] - tall) // down + 1


@dataclass(frozen=True)
class Windows(Case):
    """Windows that do not move, and what a classifier says of each."""

    numbers: np.ndarray

    def rows(self) -> int:
        return len(self.numbers)

    def where(self, row: int) -> dict:
        for level, ((tall, wide), (down, across)) in enumerate(zip(SIZES, STEPS, strict=True)):
            columns, lines = windows_along(level)
            if row < columns * lines:
                place = [row % columns, row // columns]
                where = {"window": [wide, tall], "step": [across, down], "place": place}
                return {"level": level, **where}
            row -= columns * lines
        raise AssertionError("no such row")

    def row_of(self, where: dict) -> int:
        before = sum(math.prod(windows_along(level)) for level in range(where["level"]))
        column, line = where["place"]
        return before + line * windows_along(where["level"])[0] + column

    def said(self, row: int, label: int) -> tuple[list[float], list[float]]:
        del label
        return [], self.numbers[row].tolist()

    def canvas_box(self, row: int, label: int) -> tuple[float, ...]:
        del label
        where = self.where(row)
        (x0, y0), (wide, tall) = np.multiply(where["place"], where["step"]), where["window"]
        return float(x0), float(y0), float(x0 + wide), float(y0 + tall)

    def chances(self, row: int) -> tuple[float | None, np.ndarray]:
        powers = np.exp(self.numbers[row] - self.numbers[row].max())
        shares = powers / powers.sum()
        return None, np.array([shares[list(outputs)].sum() for outputs in OUTPUTS])


def moved_by_hand(scaled, start) -> tuple[float, ...]:
    """Deltas, already divided by their weights, from a box, cut off by the canvas."""
    tx, ty, tw, th = scaled
    wide, high = start[2] - start[0], start[3] - start[1]
    x, y = (start[0] + start[2]) / 2 + wide * tx, (start[1] + start[3]) / 2 + high * ty
    w, h = wide * math.exp(tw), high * math.exp(th)
    box = (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    limits = (160, 96, 160, 96)
    return tuple(min(max(edge, 0), limit) for edge, limit in zip(box, limits, strict=True))


def in_image(box) -> list[float]:
    """0.8 canvas pixels per image pixel, no padding, clipped."""
    limits = (200, 120, 200, 120)
    return [min(max(edge / 0.8, 0), limit) for edge, limit in zip(box, limits, strict=True)]


def overlap(a, b) -> float:
    """IoU of two boxes, one number at a time."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def found_by(detections: Detections, truths: Truths) -> list[int]:
    """For each truth its detection, or -1: best first, each takes the free one it fits best."""
    found = [-1] * len(truths)
    for number, (box, label) in enumerate(zip(detections.boxes, detections.labels, strict=True)):
        free = [i for i in range(len(truths)) if found[i] < 0 and truths.labels[i] == label]
        if free:
            best = max(free, key=lambda i: overlap(truths.boxes[i], box))
            if overlap(truths.boxes[best], box) >= 0.5:
                found[best] = number
    return found


def planted(chance) -> tuple[np.ndarray, np.ndarray, Truths]:
    """Objects on the canvas with their labels, and truths in the image near them."""
    count = int(chance.integers(1, 5))
    centre = chance.uniform((20, 20), (140, 76), (count, 2))
    size = chance.uniform(12, 60, (count, 2))
    canvas = np.concatenate([centre - size / 2, centre + size / 2], 1).clip(0, (160, 96, 160, 96))
    labels = chance.integers(0, len(CLASSES), count)
    shifted = canvas + chance.normal(0, 2, canvas.shape)
    shifted[:, 2:] = np.maximum(shifted[:, 2:], shifted[:, :2] + 4)
    truths = Truths.of(place(IMAGE_HW, CANVAS_HW).to_image(shifted), labels)
    return canvas.astype(np.float32), labels, truths


def knobs(chance, method: str, given: dict) -> Thresholds:
    known = {
        "score_threshold": float(chance.choice([0.1, 0.25, 0.4])),
        "iou_threshold": float(chance.choice([0.3, 0.45, 0.6])),
        "limit_before": int(chance.choice([6, 40, 1000])),
        "suppress_within": str(chance.choice(["class", "class", "all"])),
        "max_detections": int(chance.choice([2, 5, 100])),
        "method": method,
    }
    return Thresholds(**{**known, **given})


def near(coder, box, count: int, chance, most: tuple[float, float]) -> tuple[np.ndarray, ...]:
    """Some rows that could say a box, and the numbers with which they would."""
    rows = np.arange(count)
    t = coder.encode(np.tile(box, (count, 1)), rows, CANVAS_HW)
    close = (np.abs(t[:, :2]) < most[0]).all(1) & (np.abs(t[:, 2:]) < most[1]).all(1)
    chosen = chance.permutation(rows[close])[: chance.integers(0, 7)]
    return chosen, t[chosen]


def grid(seed: int, method: str = "greedy", **thresholds) -> Grid:
    """Objects with several rows near them that say so, of scores around the threshold."""
    coder, chance = YoloGrid(len(CLASSES), STRIDES, PRIORS, 2.0), np.random.default_rng(seed)
    numbers = chance.normal(-4, 1.5, (len(coder.grid(CANVAS_HW).level), coder.numbers))
    numbers[:, :4] = chance.normal(0, 0.5, (len(numbers), 4))
    objects, labels, truths = planted(chance)
    for box, label in zip(objects, labels, strict=True):
        for row, t in zip(*near(coder, box, len(numbers), chance, (4, 1.5)), strict=True):
            numbers[row, :4] = t + chance.normal(0, 0.25, 4)
            numbers[row, 4] = chance.normal(0, 1.5)
            numbers[row, 5 + label] = chance.normal(1, 2)
    numbers = numbers.astype(np.float32)
    raw = tuple(level[None] for level in maps(coder, numbers, prior_by_prior, CANVAS_HW))
    limits = knobs(chance, method, thresholds)
    detector = OneStage(Recorded(repeat(raw)), coder, CLASSES, CANVAS_HW, limits)
    return Grid(detector, truths, numbers, coder)


def two(seed: int, method: str = "greedy", **thresholds) -> Two:
    """Anchors near objects that propose them, and a second stage that mostly knows them."""
    coder, chance = AnchorDeltas(1, STRIDES, PRIORS), np.random.default_rng(seed)
    first = chance.normal(-6, 1, (len(coder.anchors(CANVAS_HW).boxes), coder.numbers))
    first[:, :4] = chance.normal(0, 0.4, (len(first), 4))
    objects, labels, truths = planted(chance)
    for box in objects:
        for row, t in zip(*near(coder, box, len(first), chance, (0.7, 0.9)), strict=True):
            first[row, :4] = t + chance.normal(0, 0.2, 4)
            first[row, 4] = chance.normal(-1, 2)
    first = first.astype(np.float32)
    limits = Thresholds(
        score_threshold=float(chance.choice([0.0, 0.2])),
        iou_threshold=float(chance.choice([0.2, 0.5, 0.7])),
        limit_before=None,
        limit_before_per_group=int(chance.choice([8, 60, 1000])),
        suppress_within="group",
        max_detections=int(chance.choice([6, 40, 300])),
    )
    raw, second = maps(coder, first, cell_by_cell, CANVAS_HW), ProposalDeltas(len(CLASSES))
    saying = Saying(raw, objects, labels, second, seed)
    final = knobs(chance, method, thresholds)
    detector = TwoStage(saying, coder, limits, second, CLASSES, CANVAS_HW, final)
    proposals = detector.detect_array(IMAGE).proposals.boxes
    return Two(detector, truths, saying.refine((), proposals), proposals, first)


def listed_first(seed: int, method: str = "greedy", **thresholds) -> Listed:
    """A list of boxes, some of them near objects, and a second stage that mostly knows them."""
    chance = np.random.default_rng(seed)
    objects, labels, truths = planted(chance)
    low = chance.uniform((0, 0), (120, 60), (60, 2))
    boxes = np.concatenate([low, low + chance.uniform(8, 36, (60, 2))], 1)
    beside = chance.choice(60, 6 * len(objects), replace=False)
    boxes[beside] = np.repeat(objects, 6, 0) + chance.normal(0, 4, (len(beside), 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 4)
    raw = listed(boxes)
    limits = Thresholds(
        score_threshold=float(chance.choice([0.0, 0.5])),
        iou_threshold=float(chance.choice([0.5, 1.0])),
        limit_before=int(chance.choice([30, 1000])),
        max_detections=int(chance.choice([6, 20, 300])),
    )
    second = ProposalDeltas(len(CLASSES))
    saying = Saying(raw, objects, labels, second, seed)
    final = knobs(chance, method, thresholds)
    detector = TwoStage(saying, ListedBoxes(), limits, second, CLASSES, CANVAS_HW, final)
    proposals = detector.detect_array(IMAGE).proposals.boxes
    return Listed(detector, truths, saying.refine((), proposals), proposals, raw[0][:, :, 0].T)


def windows(seed: int, method: str = "greedy", **thresholds) -> Windows:
    """Windows that mostly show background, and some on each object that are taken for it."""
    of = [next((c for c, some in enumerate(OUTPUTS) if o in some), -1) for o in range(8)]
    coder = WindowCoder(Meanings(len(CLASSES), tuple(of)), SIZES, STEPS)
    chance = np.random.default_rng(seed)
    counts = coder.counts(CANVAS_HW)
    boxes, levels = coder.windows(counts)
    numbers = chance.normal([0, 6, 0, 0, 0, 6, 0, 0], 1, (len(boxes), 8))
    objects, labels, truths = planted(chance)
    for box, label in zip(objects, labels, strict=True):
        close = np.flatnonzero(iou(boxes, box[None])[:, 0] > 0.45)
        for row in chance.permutation(close)[: chance.integers(0, 10)]:
            numbers[row, chance.choice(OUTPUTS[label])] += chance.normal(7, 2)
    numbers = numbers.astype(np.float32)
    raw = tuple(
        numbers[levels == level].T.reshape(1, -1, *count) for level, count in enumerate(counts)
    )
    limits = knobs(chance, method, thresholds)
    detector = OneStage(Recorded(repeat(raw)), coder, CLASSES, CANVAS_HW, limits)
    return Windows(detector, truths, numbers)


FAMILIES: dict[str, Callable[..., Case]] = {
    "one stage": grid,
    "two stages": two,
    "R-CNN": listed_first,
    "windows": windows,
}
