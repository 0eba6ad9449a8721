"""Turned thresholds: what is asked of few candidates is what would be decided of all."""

from dataclasses import replace

import numpy as np
import pytest

from boxray.explain.question import Question, Trial
from boxray.explain.target import Target, targets_of
from contracts.families import CLASSES, FAMILIES

every_family = pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)


def questions(one, chance):
    """About every truth and a point, at a score_threshold at or below the detector's."""
    decision = one.decision()
    truths = targets_of(one.truths, CLASSES, CLASSES)
    point = Target(point=tuple(chance.uniform((0, 0), (200, 120)).tolist()))
    found = decision.everything
    for target in (*truths, point):
        rivals = [other for other in truths if other.label == target.label] or [target]
        yield Question(
            decision=decision,
            entering=found.candidates.take(found.selection.entered),
            targets=rivals,
            which=[other is target for other in rivals].index(True),
            thresholds=decision.thresholds,
        ).with_score(float(chance.uniform(0, decision.thresholds.score_threshold)))


@every_family
@pytest.mark.parametrize("method", ["greedy", "diou", "soft-linear", "fusion"])
def test_what_would_be_decided_is_what_is_decided_again(family, method):
    for seed in range(3):
        chance = np.random.default_rng(seed)
        for question in questions(family(seed, method), chance):
            value = float(chance.uniform(0, 1))
            decision = question.decision
            changed = replace(question.thresholds, iou_threshold=value)
            wanted, got = decision.again(changed), question.with_iou(value).then
            for of in (wanted, got):
                assert of.thresholds == changed
            kept = [of.keys()[of.selection.kept].tolist() for of in (wanted, got)]
            assert kept[0] == kept[1]
            np.testing.assert_array_equal(wanted.selection.scores, got.selection.scores)
            np.testing.assert_array_equal(wanted.selection.boxes, got.selection.boxes)


@every_family
@pytest.mark.parametrize("method", ["greedy", "diou"])
def test_what_need_not_be_tried_finds_nothing(family, method):
    found = 0
    for seed in range(6):
        chance = np.random.default_rng(seed)
        for question in questions(family(seed, method), chance):
            if not len(question.own(question.entered)):
                continue
            now, trial = question.thresholds.iou_threshold, Trial(question)
            for value in chance.permutation(np.linspace(0.1, 1, 10)).tolist():
                wanted = question.with_iou(value).is_found()
                assert wanted == trial.finds(value)
                assert not wanted or value <= now or value >= trial.least
                found += wanted
    assert found > 5
