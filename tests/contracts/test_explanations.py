"""What every explanation holds, for every family: its numbers, its killer and its way out are true.

Each case is a raw output with planted objects, thresholds at random, and truths near the plants.
What an explanation says is checked against the raw numbers by a few lines of its own, and against
the detector itself, run again with the thresholds that the explanation names.
"""

import math
from dataclasses import dataclass, replace
from itertools import repeat
from typing import get_args

import numpy as np
import pytest

from boxray import explain
from boxray.boxes import sigmoid
from boxray.coders.anchor_deltas import AnchorDeltas
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage
from boxray.engines.recorded import Recorded
from boxray.explain.misses import STAGES
from boxray.images import place
from boxray.records import Fate, Truths
from boxray.selection import Method, Thresholds
from contracts.test_coders import PRIORS, STRIDES, maps, prior_by_prior

CLASSES = ("cat", "dog", "cow")
CANVAS_HW, IMAGE_HW = (96, 160), (120, 200)  # the image is shrunk by 0.8 and fills the canvas
IMAGE = np.zeros((*IMAGE_HW, 3), np.uint8)
FAMILIES = {"yolo": YoloGrid(len(CLASSES), STRIDES, PRIORS, 2.0)}
every_family = pytest.mark.parametrize("coder", FAMILIES.values(), ids=FAMILIES)
every_method = pytest.mark.parametrize("method", get_args(Method))


@dataclass(frozen=True)
class Case:
    """A detector that says these numbers of every image, and what is really there."""

    numbers: np.ndarray
    detector: OneStage
    truths: Truths

    def detections(self, **thresholds):
        """What the detector shows with other thresholds: the whole way, not a replay."""
        changed = replace(self.detector.thresholds, **thresholds)
        return replace(self.detector, thresholds=changed).detect_array(IMAGE)

    def decision(self):
        return self.detector.decision(self.detector.detect_array(IMAGE), IMAGE_HW)

    def is_found(self, which: int, **thresholds) -> bool:
        return found_by(self.detections(**thresholds), self.truths)[which] >= 0


def case(coder, seed: int, method: str = "greedy", **thresholds) -> Case:
    """Objects with several rows near them that say so, of scores around the threshold."""
    chance = np.random.default_rng(seed)
    numbers = chance.normal(-4, 1.5, (len(coder.grid(CANVAS_HW).level), coder.numbers))
    numbers[:, :4] = chance.normal(0, 0.5, (len(numbers), 4))
    count = int(chance.integers(1, 5))
    centre = chance.uniform((20, 20), (140, 76), (count, 2))
    size = chance.uniform(12, 60, (count, 2))
    canvas = np.concatenate([centre - size / 2, centre + size / 2], 1).clip(0, (160, 96, 160, 96))
    labels = chance.integers(0, len(CLASSES), count)
    everywhere = np.arange(len(numbers))
    for box, label in zip(canvas, labels, strict=True):
        wanted = np.tile(box.astype(np.float32), (len(numbers), 1))
        t = coder.encode(wanted, everywhere, CANVAS_HW)
        close = np.flatnonzero((np.abs(t[:, :2]) < 4).all(1) & (np.abs(t[:, 2:]) < 1.5).all(1))
        for row in chance.permutation(close)[: chance.integers(0, 7)]:
            numbers[row, :4] = t[row] + chance.normal(0, 0.25, 4)
            numbers[row, 4] = chance.normal(0, 1.5)
            numbers[row, 5 + label] = chance.normal(1, 2)
    shifted = canvas + chance.normal(0, 2, canvas.shape)
    shifted[:, 2:] = np.maximum(shifted[:, 2:], shifted[:, :2] + 4)
    truths = Truths.of(place(IMAGE_HW, CANVAS_HW).to_image(shifted), labels)
    numbers = numbers.astype(np.float32)
    knobs = {
        "score_threshold": float(chance.choice([0.1, 0.25, 0.4])),
        "iou_threshold": float(chance.choice([0.3, 0.45, 0.6])),
        "limit_before": int(chance.choice([6, 40, 1000])),
        "suppress_within": str(chance.choice(["class", "class", "all"])),
        "max_detections": int(chance.choice([2, 5, 100])),
        "method": method,
        **thresholds,
    }
    raw = tuple(level[None] for level in maps(coder, numbers, prior_by_prior, CANVAS_HW))
    engine = Recorded(repeat(raw))
    return Case(numbers, OneStage(engine, coder, CLASSES, CANVAS_HW, Thresholds(**knobs)), truths)


def overlap(a, b) -> float:
    """IoU of two boxes, one number at a time."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    whole = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    return shared / whole if whole > 0 else 0.0


def found_by(detections, truths: Truths) -> list[int]:
    """For each truth its detection, or -1: best first, each takes the free one it fits best."""
    found = [-1] * len(truths)
    for number, (box, label) in enumerate(zip(detections.boxes, detections.labels, strict=True)):
        free = [i for i in range(len(truths)) if found[i] < 0 and truths.labels[i] == label]
        if free:
            best = max(free, key=lambda i: overlap(truths.boxes[i], box))
            if overlap(truths.boxes[best], box) >= 0.5:
                found[best] = number
    return found


def meaning(coder: YoloGrid, numbers: np.ndarray, row: int):
    """Level, cell, prior and box in canvas pixels of a row, from the raw numbers by hand."""
    start = 0
    for level, (stride, priors) in enumerate(zip(coder.strides, coder.priors, strict=True)):
        cells = (CANVAS_HW[0] // stride) * (CANVAS_HW[1] // stride)
        if row < start + cells * len(priors):
            prior = priors[(row - start) // cells]
            line, column = divmod((row - start) % cells, CANVAS_HW[1] // stride)
            tx, ty, tw, th = numbers[row, :4].tolist()
            x = (2 / (1 + math.exp(-tx)) - 0.5 + column) * stride
            y = (2 / (1 + math.exp(-ty)) - 0.5 + line) * stride
            w, h = prior[0] * math.exp(tw), prior[1] * math.exp(th)
            where = {"level": level, "stride": stride, "cell": [column, line], "prior": list(prior)}
            return where, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        start += cells * len(priors)
    raise AssertionError(f"no row {row}")


def in_image(box) -> list[float]:
    """0.8 canvas pixels per image pixel, no padding, clipped."""
    limits = (200, 120, 200, 120)
    return [min(max(edge / 0.8, 0), limit) for edge, limit in zip(box, limits, strict=True)]


def row_of(coder, where) -> int:
    grid = coder.grid(CANVAS_HW)
    same = (grid.level == where["level"]) & (grid.cell == where["cell"]).all(1)
    prior = np.array(where["prior"], np.float32)
    (row,) = np.flatnonzero(same & (np.abs(grid.prior - prior) < 1e-3).all(1))
    return int(row)


class TestTheLifeOfABox:
    @every_family
    def test_every_number_can_be_recomputed_from_the_raw_output(self, coder):
        told = 0
        for seed in range(50):
            one = case(coder, seed)
            decision = one.decision()
            for number in range(len(decision.places)):
                life = explain.of_detection(decision, number)
                (origin,) = life.origins
                row, label = row_of(coder, origin.where), CLASSES.index(life.label)
                where, box = meaning(coder, one.numbers, row)
                assert where["prior"] == pytest.approx(origin.where["prior"])
                assert {**where, "prior": 0} == {**origin.where, "prior": 0}
                assert one.numbers[row, :5].tolist() == list(origin.raw.values())
                assert one.numbers[row, 5:].tolist() == list(origin.class_logits)
                chances = 1 / (1 + np.exp(-one.numbers[row].astype(float)))
                assert chances[4] == pytest.approx(origin.objectness, rel=1e-5)
                best = sorted(zip(CLASSES, chances[5:], strict=True), key=lambda pair: -pair[1])
                assert [name for name, _ in best] == [name for name, _ in origin.classes]
                told_best = [chance for _, chance in origin.classes]
                assert [chance for _, chance in best] == pytest.approx(told_best, abs=1e-6)
                assert box == pytest.approx(origin.canvas_box, abs=1e-3)
                assert in_image(box) == pytest.approx(life.box, abs=2e-3)
                score = chances[4] * chances[5 + label]
                assert score == pytest.approx(life.score, rel=1e-5)
                margin = score - one.detector.thresholds.score_threshold
                assert margin == pytest.approx(life.passed_by, abs=1e-6)
                told += 1
        assert told > 100

    @every_family
    def test_whom_it_suppressed_is_true_and_complete(self, coder):
        told = 0
        for seed in range(50):
            one = case(coder, seed, limit_before=1000, max_detections=100)
            thresholds, decision = one.detector.thresholds, one.decision()
            lives = [explain.of_detection(decision, n) for n in range(len(decision.places))]
            for life in lives:
                for rival in life.beaten:
                    own, other = life.origins[0].where, rival.candidate.where
                    boxes = [meaning(coder, one.numbers, row_of(coder, w))[1] for w in (own, other)]
                    assert overlap(*boxes) == pytest.approx(rival.iou, abs=1e-4)
                    assert rival.iou > thresholds.iou_threshold
                    assert life.score - rival.candidate.score == pytest.approx(rival.won_by)
                    assert rival.won_by >= 0
                    told += 1
            above = len(decision.candidates)
            assert above == sum(1 + len(life.beaten) for life in lives)
        assert told > 50

    @every_family
    @every_method
    def test_the_score_lost_is_named(self, coder, method):
        for seed in range(10):
            decision = case(coder, seed, method).decision()
            for number in range(len(decision.places)):
                life = explain.of_detection(decision, number)
                before = life.origins[0].score
                assert before - life.score == pytest.approx(life.score_lost, abs=1e-6)
                for rival in life.beaten:
                    if method in ("soft-linear", "soft-gaussian", "matrix"):
                        assert 0 < rival.score_lost <= rival.candidate.score
                if method == "fusion":
                    scores = [origin.score for origin in life.origins]
                    assert sum(scores) / len(scores) == pytest.approx(life.score, rel=1e-5)
                    assert len(life.origins) == 1 + len(life.beaten)

    @every_family
    def test_those_that_agree_say_the_same_class_nearly_there(self, coder):
        told = 0
        for seed in range(40):
            decision = case(coder, seed).decision()
            for number in range(len(decision.places)):
                life = explain.of_detection(decision, number)
                own = decision.selection.boxes[decision.places[number]].tolist()
                for other in life.agreeing:
                    assert life.label == other.label
                    assert other.where != life.origins[0].where or other.label != life.label
                    row = row_of(coder, other.where)
                    _, box = meaning(coder, decision_numbers(coder, decision), row)
                    assert overlap(own, box) >= 0.7 - 1e-4
                    told += 1
        assert told > 20


def decision_numbers(coder, decision) -> np.ndarray:
    return np.asarray(coder.flatten(decision.raw))


def killer_by_hand(one: Case, which: int, decision, boxes) -> str | None:
    """The first empty set, by loops over rows; suppression itself is taken from the record."""
    thresholds = one.detector.thresholds
    truth, label = one.truths.boxes[which], int(one.truths.labels[which])
    chances = sigmoid(one.numbers.astype(np.float32))
    rows = range(len(one.numbers))
    there = [row for row in rows if overlap(boxes[row], truth) >= 0.5]
    if not there:
        return "localised"
    scores = {row: chances[row, 4] * chances[row, 5:] for row in there}
    limit = np.float32(thresholds.score_threshold)
    named = [r for r in there if scores[r].argmax() == label or scores[r][label] >= limit]
    if not named:
        return "named"
    above = [row for row in named if scores[row][label] >= limit]
    if not above:
        return "score"
    record = {
        (int(row), int(found)): int(fate)
        for row, found, fate in zip(
            decision.candidates.row,
            decision.candidates.labels,
            decision.selection.fate,
            strict=True,
        )
    }
    fates = [record[row, label] for row in above]
    for killer, lost in (
        ("limit", [Fate.OVER_LIMIT]),
        ("suppression", [Fate.OVER_LIMIT, Fate.SUPPRESSED]),
        ("max_detections", [Fate.OVER_LIMIT, Fate.SUPPRESSED, Fate.OVER_MAX]),
    ):
        if all(fate in lost for fate in fates):
            return killer
    return None if one.is_found(which) else "matched"


class TestTheDeathOfAMiss:
    @every_family
    def test_the_killer_is_the_first_empty_set(self, coder):
        seen = set()
        for seed in range(60):
            one = case(coder, seed)
            decision = one.decision()
            verdicts = explain.of_truths(decision, one.truths, CLASSES)
            rows = range(len(one.numbers))
            boxes = [in_image(meaning(coder, one.numbers, row)[1]) for row in rows]
            for which, verdict in enumerate(verdicts):
                expected = killer_by_hand(one, which, decision, boxes)
                if verdict.killer == "reachable":
                    assert expected == "localised"  # what no row can say, no row says
                else:
                    assert expected == verdict.killer
                sizes = [stage.left for stage in verdict.stages]
                assert sizes == sorted(sizes, reverse=True)
                assert list(STAGES) == [stage.name for stage in verdict.stages]
                seen.add(verdict.killer)
        assert {None, "localised", "named", "score", "suppression", "max_detections"} <= seen
        assert "limit" in seen

    @every_family
    @every_method
    def test_the_found_and_the_lost_are_all_there_are(self, coder, method):
        for seed in range(60 if method == "greedy" else 12):
            one = case(coder, seed, method)
            verdicts = explain.of_truths(one.decision(), one.truths, CLASSES)
            expected = found_by(one.detections(), one.truths)
            assert expected == [-1 if v.detection is None else v.detection for v in verdicts]
            assert [number < 0 for number in expected] == [v.killer is not None for v in verdicts]

    @every_family
    @every_method
    def test_the_counterfactual_finds_it_and_the_next_value_short_of_it_does_not(
        self, coder, method
    ):
        tried = {"score_threshold": 0, "iou_threshold": 0, "pair": 0}
        for seed in range(60 if method == "greedy" else 12):
            one = case(coder, seed, method)
            for which, verdict in enumerate(explain.of_truths(one.decision(), one.truths, CLASSES)):
                answer = verdict.counterfactual
                if answer is None:
                    continue
                for name in ("score_threshold", "iou_threshold"):
                    change = getattr(answer, name)
                    if change is not None:
                        knob = getattr(change, name)
                        assert one.is_found(which, **{name: knob.value})
                        assert not one.is_found(which, **{name: knob.short_of})
                        tried[name] += 1
                if answer.pair is not None:
                    score, iou = answer.pair.score_threshold, answer.pair.iou_threshold
                    both = {"score_threshold": score.value, "iou_threshold": iou.value}
                    assert one.is_found(which, **both)
                    for short in (score, iou):
                        name = "score_threshold" if short is score else "iou_threshold"
                        assert not one.is_found(which, **{**both, name: short.short_of})
                    tried["pair"] += 1
        assert sum(tried.values()) > 0
        if method in ("soft-gaussian", "matrix"):
            assert 0 == tried["iou_threshold"] == tried["pair"]
        elif method == "greedy":
            assert tried["iou_threshold"] > 3

    @every_family
    @pytest.mark.parametrize("method", ["greedy", "diou"])
    def test_no_smaller_change_of_a_grid_finds_it(self, coder, method):
        for seed in range(12):
            one = case(coder, seed, method)
            now = one.detector.thresholds
            for which, verdict in enumerate(explain.of_truths(one.decision(), one.truths, CLASSES)):
                answer = verdict.counterfactual
                if answer is None:
                    continue
                for step in np.linspace(0, 1, 21):
                    score, iou = answer.score_threshold, answer.iou_threshold
                    if score is None or abs(step - now.score_threshold) < score.size:
                        assert not one.is_found(which, score_threshold=float(step))
                    if iou is None or abs(step - now.iou_threshold) < iou.size:
                        assert not one.is_found(which, iou_threshold=float(step))

    @every_family
    def test_what_else_appears_is_what_the_detector_then_shows_more(self, coder):
        for seed in range(60):
            one = case(coder, seed)
            before = {tuple(box) for box in one.detections().boxes.tolist()}
            for verdict in explain.of_truths(one.decision(), one.truths, CLASSES):
                answer = verdict.counterfactual and verdict.counterfactual.score_threshold
                if not answer:
                    continue
                then = one.detections(score_threshold=answer.score_threshold.value).boxes.tolist()
                new = [tuple(box) for box in then if tuple(box) not in before]
                assert len(new) == answer.appears
                told = [said.box for said in answer.best_to_appear]
                assert set(told) <= set(new)


class TestAPoint:
    @every_family
    def test_a_point_in_a_detection_is_its_life_and_any_other_a_death(self, coder):
        seen = set()
        for seed in range(60):
            one = case(coder, seed)
            decision, detections = one.decision(), one.detections()
            x, y = np.random.default_rng(seed).uniform((0, 0), (200, 120))
            around = [
                (box[2] - box[0]) * (box[3] - box[1])
                for box in detections.boxes
                if box[0] <= x < box[2] and box[1] <= y < box[3]
            ]
            answer = explain.at_point(decision, float(x), float(y))
            seen.add(type(answer).__name__)
            if around:
                box = answer.box
                assert min(around) == pytest.approx((box[2] - box[0]) * (box[3] - box[1]))
                assert detections.boxes[answer.number].tolist() == list(box)
            else:
                assert answer.killer is not None
                change = answer.counterfactual and answer.counterfactual.score_threshold
                if change:
                    for value, expected in (
                        (change.score_threshold.value, True),
                        (change.score_threshold.short_of, False),
                    ):
                        boxes = one.detections(score_threshold=value).boxes
                        inside = (boxes[:, :2] <= (x, y)).all(1) & (boxes[:, 2:] > (x, y)).all(1)
                        assert expected == inside.any()
        assert {"Life", "Verdict"} == seen

    @every_family
    @pytest.mark.parametrize("point", [(-1, 5), (200, 5), (5, 120), (math.nan, 5)])
    def test_a_point_outside_the_image_is_refused(self, coder, point):
        with pytest.raises(Exception, match="outside the image"):
            explain.at_point(case(coder, 0).decision(), *map(float, point))


@every_family
def test_a_detection_that_is_not_there_is_refused_with_those_that_are(coder):
    with pytest.raises(Exception, match="no detection 99; expected one of 0 to"):
        explain.of_detection(case(coder, 1, score_threshold=0.1).decision(), 99)


@every_family
def test_a_class_that_the_detector_does_not_know_dies_unnamed(coder):
    one = case(coder, 3)
    (verdict, *_) = explain.of_truths(one.decision(), one.truths, ("a", "b", "c"))
    assert verdict.killer in ("reachable", "localised", "named")
    assert verdict.detection is None


EVERY_CODER = {
    **FAMILIES,
    "yolo of exclusive classes": YoloGrid(len(CLASSES), STRIDES, PRIORS, softmax=True),
    "retinanet": AnchorDeltas(len(CLASSES), STRIDES, PRIORS),
}


def anything(coder, seed: int) -> Case:
    """A detector that says random numbers, and truths near some of what it means."""
    chance = np.random.default_rng(seed)
    raw = tuple(
        chance.normal(0, 0.7, (1, channels, CANVAS_HW[0] // stride, CANVAS_HW[1] // stride)).astype(
            np.float32
        )
        for stride, channels in zip(coder.strides, coder.channels, strict=True)
    )
    threshold = float(chance.choice([0.4, 0.6, 0.7]))
    detector = OneStage(
        Recorded(repeat(raw)),
        coder,
        CLASSES,
        CANVAS_HW,
        Thresholds(score_threshold=threshold, iou_threshold=0.5),
    )
    meant = coder.decode(tuple(level[0] for level in raw))
    some = meant.take(chance.permutation(len(meant))[:3])
    boxes = place(IMAGE_HW, CANVAS_HW).to_image(some.boxes) + chance.normal(0, 2, (3, 4))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 2)
    return Case(np.zeros((0, 0)), detector, Truths.of(boxes, some.labels))


@pytest.mark.parametrize("coder", EVERY_CODER.values(), ids=EVERY_CODER)
class TestEveryCoder:
    def test_a_life_repeats_what_was_decoded(self, coder):
        for seed in range(6):
            one = anything(coder, seed)
            detections, decision = one.detections(), one.decision()
            for number in range(0, len(detections), 5):
                life = explain.of_detection(decision, number)
                (origin,) = life.origins
                assert detections.boxes[number].tolist() == list(life.box)
                assert detections.scores[number] == pytest.approx(origin.score)
                product = dict(origin.classes)[life.label] * (origin.objectness or 1)
                assert product == pytest.approx(life.score, rel=1e-5)
                assert in_image(origin.canvas_box) == pytest.approx(life.box, abs=1e-3)

    def test_every_truth_is_found_or_lost_and_the_way_out_is_one(self, coder):
        outcomes = set()
        for seed in range(8):
            one = anything(coder, seed)
            expected = found_by(one.detections(), one.truths)
            for which, verdict in enumerate(explain.of_truths(one.decision(), one.truths, CLASSES)):
                assert (expected[which] < 0) == (verdict.killer is not None)
                outcomes.add(verdict.killer)
                change = verdict.counterfactual and verdict.counterfactual.smallest
                if change:
                    knobs = {
                        name: getattr(change, name)
                        for name in ("score_threshold", "iou_threshold")
                        if getattr(change, name)
                    }
                    assert one.is_found(which, **{n: knob.value for n, knob in knobs.items()})
        assert len(outcomes) > 1
