"""What every explanation holds, for every family: its numbers, its killer and its way out are true.

Each case is a raw output with planted objects, thresholds at random, and truths near the plants.
What an explanation says is checked against the raw numbers by a few lines of its own, and against
the detector itself, run again with the thresholds that the explanation names.
"""

import math
from dataclasses import replace
from itertools import product, repeat
from typing import get_args

import numpy as np
import pytest

from boxray import explain
from boxray.coders.anchor_deltas import AnchorDeltas
from boxray.coders.yolo_grid import YoloGrid
from boxray.detectors import OneStage
from boxray.engines.recorded import Recorded
from boxray.explain.stages import PROPOSAL_STAGES, STAGES, TWO_STAGES
from boxray.images import place
from boxray.records import Fate, Truths
from boxray.selection import Method, Thresholds
from contracts.families import (
    CANVAS_HW,
    CLASSES,
    FAMILIES,
    IMAGE_HW,
    Case,
    Grid,
    Listed,
    Two,
    Windows,
    found_by,
    in_image,
    overlap,
    two,
)
from contracts.test_coders import PRIORS, STRIDES, maps, prior_by_prior


def lives(one: Case) -> list[explain.Life]:
    decision = one.decision()
    return [explain.of_detection(decision, number) for number in range(len(decision.places))]


every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
every_method = pytest.mark.parametrize("method", get_args(Method))


class TestTheLifeOfABox:
    @every_family
    def test_every_number_can_be_recomputed_from_the_raw_output(self, family):
        told = 0
        for seed in range(50):
            one = family(seed)
            decision = one.decision()
            for number in range(len(decision.places)):
                life = explain.of_detection(decision, number)
                (origin,) = life.origins
                row, label = one.row_of(origin.where), CLASSES.index(life.label)
                where, box = one.where(row), one.canvas_box(row, label)
                assert {**where, "prior": 0} == {**origin.where, "prior": 0}
                assert where.get("prior") == pytest.approx(origin.where.get("prior"))
                assert one.said(row, label) == (
                    list(origin.raw.values()),
                    list(origin.class_logits),
                )
                objectness, chances = one.chances(row)
                assert (objectness is None) == (origin.objectness is None)
                assert (objectness or 0) == pytest.approx(origin.objectness or 0, rel=1e-5)
                best = sorted(zip(CLASSES, chances, strict=True), key=lambda pair: -pair[1])
                assert [name for name, _ in best] == [name for name, _ in origin.classes]
                told_best = [chance for _, chance in origin.classes]
                assert [chance for _, chance in best] == pytest.approx(told_best, abs=1e-6)
                assert box == pytest.approx(origin.canvas_box, abs=1e-3)
                assert one.box(row, label) == pytest.approx(life.box, abs=2e-3)
                score = float(one.scores(row)[label])
                assert score == pytest.approx(life.score, rel=1e-5)
                margin = score - one.detector.thresholds.score_threshold
                assert margin == pytest.approx(life.passed_by, abs=1e-6)
                told += 1
        assert told > 80

    @every_family
    def test_whom_it_suppressed_is_true_and_complete(self, family):
        told = 0
        for seed in range(50):
            one = family(seed, limit_before=1000, max_detections=1000)
            thresholds, decision = one.detector.thresholds, one.decision()
            lives = [explain.of_detection(decision, n) for n in range(len(decision.places))]
            for life in lives:
                for rival in life.beaten:
                    own, other = life.origins[0].where, rival.candidate.where
                    names = (life.label, rival.candidate.label)
                    boxes = [
                        one.canvas_box(one.row_of(where), CLASSES.index(name))
                        for where, name in zip((own, other), names, strict=True)
                    ]
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
    def test_the_score_lost_is_named(self, family, method):
        for seed in range(10):
            decision = family(seed, method).decision()
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
    def test_those_that_agree_say_the_same_class_nearly_there(self, family):
        told = 0
        for seed in range(60):
            one = family(seed)
            decision = one.decision()
            for number in range(len(decision.places)):
                life = explain.of_detection(decision, number)
                own = decision.selection.boxes[decision.places[number]].tolist()
                for other in life.agreeing:
                    assert life.label == other.label
                    assert other.where != life.origins[0].where or other.label != life.label
                    label = CLASSES.index(other.label)
                    box = one.canvas_box(one.row_of(other.where), label)
                    assert overlap(own, box) >= 0.7 - 1e-4
                    told += 1
        assert told > 20

    @every_family
    def test_none_of_those_that_agree_is_left_out(self, family):
        most = 0
        for seed in range(8):
            one = family(seed)
            for number, life in enumerate(lives(one)):
                label, row = CLASSES.index(life.label), one.row_of(life.origins[0].where)
                own = one.canvas_box(row, label)
                alike = [
                    other
                    for other in range(one.rows())
                    if other != row
                    and float(one.scores(other)[label]) >= 0.01
                    and overlap(own, one.canvas_box(other, label)) >= 0.7
                ]
                assert len(alike) == len(life.agreeing), number
                most = max(most, len(alike))
        assert most

    def test_those_that_agree_are_counted_however_many_they_are(self):
        coder = YoloGrid(len(CLASSES), STRIDES, PRIORS, 2.0)
        rows = len(coder.grid(CANVAS_HW).level)
        box = np.array([[60.0, 30.0, 84.0, 54.0]])
        numbers = np.full((rows, coder.numbers), -12.0)
        numbers[:, :4] = coder.encode(np.tile(box, (rows, 1)), np.arange(rows), CANVAS_HW)
        near = np.flatnonzero((np.abs(numbers[:, :2]) < 4).all(1))
        numbers[near, 4], numbers[near, 5] = np.linspace(0, 1, len(near)), 2
        raw = maps(coder, numbers.astype(np.float32), prior_by_prior, CANVAS_HW)
        said = Recorded(repeat(tuple(level[None] for level in raw)))
        detector = OneStage(
            said, coder, CLASSES, CANVAS_HW, Thresholds(score_threshold=0.3, iou_threshold=0.5)
        )
        life = explain.of_detection(
            Grid(detector, Truths.of(box / 0.8, np.zeros(1, int)), numbers, coder).decision(), 0
        )
        scores = [other.score for other in life.agreeing]
        assert len(near) - 1 == len(scores) > 10
        assert sorted(scores, reverse=True) == scores

    def test_the_way_to_the_image_comes_to_what_it_says_it_does(self):
        cut = 0
        for family, seed in product(FAMILIES.values(), range(8)):
            for life in lives(family(seed)):
                for step in life.to_image:
                    came_to = eval(step.formula, {"min": min, "max": max})
                    assert came_to == pytest.approx(step.value, abs=0.02), step
                    cut += step.formula.startswith("m")
        assert cut > 0


def killer_by_hand(one: Case, which: int, decision) -> str | None:
    """The first empty set, by loops over rows; suppression itself is taken from the record."""
    thresholds = one.detector.thresholds
    truth, label = one.truths.boxes[which], int(one.truths.labels[which])
    there = [row for row in range(one.rows()) if overlap(one.box(row, label), truth) >= 0.5]
    if not there:
        return one.lost_before(which)
    scores = {row: one.scores(row) for row in there}
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
    def test_the_killer_is_the_first_empty_set(self, family):
        seen = set()
        for seed in range(100):
            one = family(seed)
            decision = one.decision()
            verdicts = explain.of_truths(decision, one.truths, CLASSES)
            for which, verdict in enumerate(verdicts):
                expected = killer_by_hand(one, which, decision)
                if verdict.killer == "reachable":
                    assert expected in ("localised", "proposed")  # what no row can say, none says
                else:
                    assert expected == verdict.killer
                sizes = [stage.left for stage in verdict.stages]
                assert sizes == sorted(sizes, reverse=True)
                names = STAGES if decision.proposals is None else TWO_STAGES
                assert list(names) == [stage.name for stage in verdict.stages]
                seen.add(verdict.killer)
        there = "reachable" if isinstance(one, Windows) else "localised"
        assert {None, there, "named", "score", "limit", "suppression"} <= seen
        assert "max_detections" in seen
        if isinstance(one, Listed):  # a listed box cannot be another: what is not there is far
            assert {*PROPOSAL_STAGES, "reachable"} - {"proposed"} <= seen
        elif isinstance(one, Two):
            assert set(PROPOSAL_STAGES) <= seen

    @every_family
    @every_method
    def test_the_found_and_the_lost_are_all_there_are(self, family, method):
        for seed in range(60 if method == "greedy" else 12):
            one = family(seed, method)
            verdicts = explain.of_truths(one.decision(), one.truths, CLASSES)
            expected = found_by(one.detections(), one.truths)
            assert expected == [-1 if v.detection is None else v.detection for v in verdicts]
            assert [number < 0 for number in expected] == [v.killer is not None for v in verdicts]

    @every_family
    @every_method
    def test_the_counterfactual_finds_it_and_the_next_value_short_of_it_does_not(
        self, family, method
    ):
        tried = {"score_threshold": 0, "iou_threshold": 0, "pair": 0}
        for seed in range(100 if method == "greedy" else 20):
            one = family(seed, method)
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
            assert tried["iou_threshold"] > 1

    @every_family
    @pytest.mark.parametrize("method", ["greedy", "diou"])
    def test_no_smaller_change_of_a_grid_finds_it(self, family, method):
        for seed in range(12):
            one = family(seed, method)
            now = one.detector.thresholds
            for which, verdict in enumerate(explain.of_truths(one.decision(), one.truths, CLASSES)):
                answer = verdict.counterfactual
                if answer is None:
                    continue
                for step in np.linspace(0, 1, 21):
                    score, iou = answer.score_threshold, answer.iou_threshold
                    # windows overlap by round shares: what float32 cannot tell apart is no smaller
                    if score is None or abs(step - now.score_threshold) < score.size - 1e-6:
                        assert not one.is_found(which, score_threshold=float(step))
                    if iou is None or abs(step - now.iou_threshold) < iou.size - 1e-6:
                        assert not one.is_found(which, iou_threshold=float(step))

    @every_family
    def test_what_else_appears_is_what_the_detector_then_shows_more(self, family):
        for seed in range(60):
            one = family(seed)
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


@every_family
def test_the_candidates_of_canvases_are_those_that_were_decided_on(family):
    one = family(2)
    expected = one.decision().candidates
    canvases = np.zeros((2 if isinstance(one, Two) else 1, *CANVAS_HW, 3), np.uint8)
    got = one.detector.candidates(canvases, one.detector.thresholds.score_threshold)
    assert len(canvases) == len(got)  # what one stage says is recorded, as a batch of one
    for found in got:
        assert expected.boxes == pytest.approx(found.boxes)
        assert expected.scores == pytest.approx(found.scores)


class TestAPoint:
    @every_family
    def test_a_point_in_a_detection_is_its_life_and_any_other_a_death(self, family):
        seen = set()
        for seed in range(60):
            one = family(seed)
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
    def test_a_point_outside_the_image_is_refused(self, family, point):
        with pytest.raises(Exception, match="outside the image"):
            explain.at_point(family(0).decision(), *map(float, point))


@every_family
def test_detections_keep_their_numbers_when_thresholds_are_turned(family):
    counts = set()
    for seed in range(3):
        one = family(seed)
        before = one.decision()
        for score in (0.0, 0.05, 0.3, 0.6):
            shown = one.detections(score_threshold=score)
            then = before.again(replace(before.thresholds, score_threshold=score))
            assert shown.places.tolist() == then.places.tolist()
            assert shown.boxes == pytest.approx(then.shown[then.places])
            counts.add(len(then.places))
            if len(shown):
                told = explain.of_detection(then, len(shown) - 1)
                assert float(shown.scores[-1]) == pytest.approx(told.score)
    assert len(counts) > 1


@every_family
def test_a_detection_that_is_not_there_is_refused_with_those_that_are(family):
    with pytest.raises(Exception, match="no detection 99; expected one of 0 to"):
        explain.of_detection(family(1, score_threshold=0.1).decision(), 99)


@every_family
def test_a_class_that_the_detector_does_not_know_dies_unnamed(family):
    one = family(3)
    (verdict, *_) = explain.of_truths(one.decision(), one.truths, ("a", "b", "c"))
    assert verdict.killer in ("reachable", "localised", "named")
    assert verdict.detection is None


class TestTwoStages:
    def test_the_life_of_a_box_has_the_life_of_its_proposal(self):
        told = 0
        for seed in range(40):
            one = two(seed)
            decision = one.decision()
            for number in range(len(decision.places)):
                (second,) = explain.of_detection(decision, number).origins
                life = second.proposal
                (origin,) = life.origins
                row = int(decision.proposals.candidates.row[one.kept()[second.where["proposal"]]])
                assert one.first_where(row) == {
                    **origin.where,
                    "prior": pytest.approx(origin.where["prior"]),
                }
                assert one.first[row, :4].tolist() == list(origin.raw.values())
                assert one.first[row, 4:].tolist() == list(origin.class_logits)
                assert 1 / (1 + math.exp(-one.first[row, 4])) == pytest.approx(life.score, rel=1e-5)
                assert one.first_box(row) == pytest.approx(origin.canvas_box, abs=1e-3)
                assert second.start == pytest.approx(origin.canvas_box, abs=1e-3)
                assert in_image(origin.canvas_box) == pytest.approx(life.box, abs=2e-3)
                told += len(life.beaten)
        assert told > 50

    def test_what_is_said_to_let_it_be_proposed_does_and_the_next_value_short_of_it_does_not(self):
        tried = {"score_threshold": 0, "iou_threshold": 0, "pair": 0}
        for seed in range(100):
            one = two(seed)
            for which, verdict in enumerate(explain.of_truths(one.decision(), one.truths, CLASSES)):
                assert (verdict.killer in PROPOSAL_STAGES) == (verdict.proposing is not None)
                if verdict.proposing is None:
                    continue
                for kind in tried:
                    change = getattr(verdict.proposing, kind)
                    if change is None:
                        continue
                    knobs = {
                        name: getattr(change, name)
                        for name in ("score_threshold", "iou_threshold")
                        if getattr(change, name)
                    }
                    values = {name: knob.value for name, knob in knobs.items()}
                    assert one.is_proposed(which, **values)
                    for name, knob in knobs.items():
                        assert not one.is_proposed(which, **{**values, name: knob.short_of})
                    tried[kind] += 1
        assert min(tried["score_threshold"], tried["iou_threshold"]) > 3


EVERY_CODER = {
    "yolo": YoloGrid(len(CLASSES), STRIDES, PRIORS, 2.0),
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
    return Grid(detector, Truths.of(boxes, some.labels), np.zeros((0, 0)), coder)


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
