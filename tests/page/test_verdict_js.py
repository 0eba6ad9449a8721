"""What the page says of boxes and misses is what Python says, whatever the sliders stand at."""

import json
from dataclasses import asdict, replace
from typing import get_args

import numpy as np
import pytest

from boxray import explain
from boxray import page as pages
from boxray.explain import misses
from boxray.explain.decision import Decision
from boxray.explain.misses import verdicts
from boxray.explain.packing import packed, why_fixed
from boxray.explain.stages import PROPOSAL_STAGES, STAGES
from boxray.explain.target import targets_of
from boxray.selection import Method
from contracts.families import CLASSES, FAMILIES
from page.browser import chromium

RUN = """(cases) => cases.map(({ data, turns, points }) => {
  const page = unpack(data);
  return turns.map((thresholds) => {
    const decision = decide(page, thresholds);
    const asPoint = ([x, y]) => ({ box: null, point: [x, y], label: null });
    return {
      kept: decision.selection.kept.map((one) => [page.table.rows[one], page.table.labels[one]]),
      lives: decision.detections.map((place) => life(decision, place)),
      truths: page.targets.map((_, which) => verdict(decision, page.targets, which)),
      points: points.map((point) =>
        placeAt(decision, point) < 0
          ? verdict(decision, [asPoint(point)], 0)
          : decision.detections.indexOf(placeAt(decision, point))),
      scores: Array.from(page.table.scores),
    };
  });
})"""


def turned(decision: Decision, chance: np.random.Generator, turns: int) -> list[Decision]:
    """The decision, and again at random thresholds that the page's sliders reach."""
    methods = packed(decision, ())["methods"]
    if why_fixed(decision):
        return [decision]
    return [decision] + [
        decision.again(
            replace(
                decision.thresholds,
                score_threshold=round(float(chance.uniform(0.01, 0.6)), 3),
                iou_threshold=round(float(chance.uniform(0, 1)), 3),
                suppress_within=str(chance.choice(["class", "group", "all"])),
                method=str(chance.choice(methods)),
            ),
        )
        for _ in range(turns)
    ]


def ask(asked) -> list:
    with chromium() as browser:
        page = browser.new_page()
        page.add_script_tag(content=pages.asset("selection.js", "verdict.js", "unpacking.js"))
        return page.evaluate(RUN, asked)


def assert_same_life(wanted, told, scores):
    candidates = lambda said: [scores[one] for one in said]  # noqa: E731
    assert (wanted.number, wanted.score) == (told["number"], told["score"])
    assert wanted.box == pytest.approx(tuple(told["box"]), abs=1e-9)
    assert wanted.passed_by == pytest.approx(told["passedBy"], abs=1e-12)
    assert wanted.score_lost == pytest.approx(told["scoreLost"], abs=1e-12)
    assert [one.score for one in wanted.origins] == candidates(told["origins"])
    assert [one.score for one in wanted.agreeing] == candidates(told["agreeing"])
    assert [
        (one.candidate.score, one.what, one.iou, one.won_by, one.score_lost)
        for one in wanted.beaten
    ] == [
        (scores[one["loser"]], one["what"], one["iou"], one["wonBy"], one["scoreLost"])
        for one in told["beaten"]
    ]


def assert_same_verdict(wanted, told, scores):
    stages = [(one.name, one.left) for one in wanted.stages]
    if wanted.point is not None and len(stages) > len(STAGES):  # two: the second's alone are told
        stages = [(name, left) for name, left in stages if name in STAGES[1:]]
        assert told["killer"] == next((name for name, left in stages if not left), None)
        if wanted.killer in ("reachable", *PROPOSAL_STAGES, "localised"):
            assert [] == told["closest"]
            return
    assert stages == [(one["name"], one["left"]) for one in told["stages"]]
    assert wanted.killer == told["killer"]
    assert wanted.detection == told["detection"]
    for one, other in zip(wanted.closest, told["closest"], strict=True):
        assert one.iou == pytest.approx(other["iou"])
        if "said" in other:
            assert json.loads(json.dumps(asdict(one.candidate))) == other["said"]
            continue
        assert one.candidate.score == scores[other["candidate"]]
        assert (one.beaten_by is None) == (other["beatenBy"] is None)
        if one.beaten_by is not None:
            by = other["beatenBy"]
            assert one.beaten_by.candidate.score == scores[by["winner"]]
            assert (one.beaten_by.what, one.beaten_by.iou) == (by["what"], by["iou"])


@pytest.mark.parametrize("family", FAMILIES)
def test_lives_and_verdicts_are_pythons_at_every_setting(family, monkeypatch):
    monkeypatch.setattr(misses, "counterfactual", lambda *_: None)  # slow, and not asked for here
    chance = np.random.default_rng(5)
    asked, wanted = [], []
    for seed in range(12):
        method = get_args(Method)[seed % 6]
        one = FAMILIES[family](seed, method)
        decision = one.decision()
        targets = [*targets_of(one.truths, CLASSES, CLASSES)]
        if seed % 5 == 0:  # a class that the detector does not know
            targets[0] = replace(targets[0], label=-1, name="unicorn")
        points = chance.uniform((0, 0), (200, 120), (4, 2)).tolist()
        turns = turned(decision, chance, 4)
        thresholds = [asdict(turn.thresholds) for turn in turns]
        asked.append({"data": packed(decision, targets), "turns": thresholds, "points": points})
        wanted.append((turns, targets, points))
    killers = set()
    for (turns, targets, points), told in zip(wanted, ask(asked), strict=True):
        for turn, answer in zip(turns, told, strict=True):
            scores = answer["scores"]
            found, kept = turn.candidates, turn.selection.kept
            assert [[int(found.row[i]), int(found.labels[i])] for i in kept] == answer["kept"]
            for number, told_life in enumerate(answer["lives"]):
                assert_same_life(explain.of_detection(turn, number), told_life, scores)
            assert len(turn.places) == len(answer["lives"])
            for one, told_verdict in zip(verdicts(turn, targets), answer["truths"], strict=True):
                assert_same_verdict(one, told_verdict, scores)
                killers.add(one.killer)
            for (x, y), told_point in zip(points, answer["points"], strict=True):
                at = explain.at_point(turn, x, y)
                if isinstance(told_point, int):
                    assert at.number == (None if told_point < 0 else told_point)
                else:
                    assert_same_verdict(at, told_point, scores)
    assert {None, "named", "score"} <= killers
