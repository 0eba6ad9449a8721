"""The methods of suppression: each against cases by hand and against a few lines of its paper."""

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from boxray.boxes import distance_iou, iou
from boxray.records import Candidates, Fate
from boxray.selection import Method, lowering, select
from test_selection import KNOBS, NOTHING_CUTS, candidate_sets, candidates, crowded, rivals_of

METHODS = get_args(Method)
WHOLE, HALF, MOST = [0, 0, 10, 10], [0, 0, 10, 5], [0, 0, 10, 8]  # IoU with WHOLE: 0.5 and 0.8
ELSEWHERE = [50, 50, 60, 60]

every_method = pytest.mark.parametrize("method", METHODS)


def chosen_by(method: str, boxes, scores, iou_threshold=0.3, score_threshold=0.0):
    knobs = replace(
        NOTHING_CUTS,
        method=method,
        iou_threshold=iou_threshold,
        score_threshold=score_threshold,
    )
    return select(candidates(boxes, scores), knobs)


class TestByHand:
    def test_soft_linear_leaves_one_minus_iou_above_the_threshold(self):
        # 0.8 · (1 - 0.5) = 0.4, so that the box elsewhere comes second
        chosen = chosen_by("soft-linear", [WHOLE, HALF, ELSEWHERE], [0.9, 0.8, 0.5])
        assert [0, 2, 1] == chosen.kept.tolist()
        assert [0.9, 0.5, 0.4] == pytest.approx(chosen.scores.tolist())
        assert [0, 0.4, 0] == pytest.approx(chosen.score_lost.tolist())
        assert [-1, 0, -1] == chosen.beaten_by.tolist()

    def test_soft_linear_leaves_all_at_the_threshold_and_below(self):
        chosen = chosen_by("soft-linear", [WHOLE, HALF], [0.9, 0.8], iou_threshold=0.5)
        assert [0.9, 0.8] == pytest.approx(chosen.scores.tolist())
        assert [-1, -1] == chosen.beaten_by.tolist()

    def test_soft_gaussian_leaves_a_bell_of_the_overlap(self):
        # 0.8 · exp(-0.5² / 0.5) = 0.8 · exp(-0.5)
        chosen = chosen_by("soft-gaussian", [WHOLE, HALF], [0.9, 0.8])
        assert [0.9, 0.8 * np.exp(-0.5)] == pytest.approx(chosen.scores.tolist())

    def test_a_score_that_falls_below_the_threshold_is_suppressed_by_who_took_most(self):
        # 0.7 · (1 - 0.8) = 0.14 after the first; the second, at IoU 0.625, never meets it
        chosen = chosen_by(
            "soft-linear", [WHOLE, HALF, MOST], [0.9, 0.8, 0.7], score_threshold=0.15
        )
        assert [0, 1] == chosen.kept.tolist()
        assert Fate.SUPPRESSED == chosen.fate[2]
        assert 0 == chosen.beaten_by[2]
        assert 0.7 - 0.14 == pytest.approx(chosen.score_lost[2])

    def test_matrix_divides_by_what_overlaps_the_better_one(self):
        # the second loses by the first: exp(-0.25 / 0.5). Its copy loses more by the second, which
        # is itself overlapped by 0.5: exp(-(1² - 0.5²) / 0.5) = exp(-1.5) < exp(-0.5)
        chosen = chosen_by("matrix", [WHOLE, HALF, HALF], [0.9, 0.8, 0.7])
        expected = [0.9, 0.8 * np.exp(-0.5), 0.7 * np.exp(-1.5)]
        assert expected == pytest.approx(chosen.scores.tolist())
        assert [-1, 0, 1] == chosen.beaten_by.tolist()
        assert [0, 0.8 - expected[1], 0.7 - expected[2]] == pytest.approx(
            chosen.score_lost.tolist()
        )

    def test_fusion_averages_edges_by_score_and_scores_evenly(self):
        # y1 = (0.9 · 10 + 0.6 · 8) / 1.5 = 9.2; score (0.9 + 0.6) / 2 = 0.75
        chosen = chosen_by("fusion", [WHOLE, MOST, ELSEWHERE], [0.9, 0.6, 0.8])
        assert [2, 0] == chosen.kept.tolist()
        assert [ELSEWHERE, [0, 0, 10, pytest.approx(9.2)]] == chosen.boxes.tolist()
        assert [0.8, 0.75] == pytest.approx(chosen.scores.tolist())
        assert ((2,), (0, 1)) == chosen.origins
        assert [0.15, -0.15, 0] == pytest.approx(chosen.score_lost.tolist())
        assert [-1, 0, -1] == chosen.beaten_by.tolist()
        assert [Fate.KEPT, Fate.SUPPRESSED, Fate.KEPT] == chosen.fate.tolist()

    def test_fusion_meets_the_fused_box_and_not_its_first_member(self):
        # HALF overlaps WHOLE by 0.5, but the box fused to y1 = 9 (equal scores) by 5 / 9 = 0.556
        chosen = chosen_by("fusion", [WHOLE, MOST, HALF], [0.9, 0.9, 0.5], iou_threshold=0.52)
        assert ((0, 1, 2),) == chosen.origins

    def test_diou_spares_a_neighbour_whose_centre_is_apart(self):
        # 10x10, 4 apart: IoU 60 / 140 = 0.4286; minus 4² / (14² + 10²) = 0.0541
        boxes = [WHOLE, [4, 0, 14, 10]]
        assert 60 / 140 - 16 / 296 == pytest.approx(
            distance_iou(*np.array(boxes, float)[:, None]).item()
        )
        assert [0] == chosen_by("greedy", boxes, [0.9, 0.8], iou_threshold=0.4).kept.tolist()
        assert [0, 1] == chosen_by("diou", boxes, [0.9, 0.8], iou_threshold=0.4).kept.tolist()
        assert [0] == chosen_by("diou", boxes, [0.9, 0.8], iou_threshold=0.37).kept.tolist()


def greedy_of_the_paper(boxes, scores, iou_threshold, score_threshold):
    """Indices and scores that survive, by a loop over pairs."""
    kept = []
    for i in np.argsort(-scores, kind="stable"):
        if all(iou(boxes[[k]], boxes[[i]]) <= iou_threshold for k in kept):
            kept.append(i)
    return kept, scores[kept]


def soft_of_the_paper(share):
    def run(boxes, scores, iou_threshold, score_threshold):
        left, waiting, kept = scores.astype(float), list(range(len(scores))), []
        while waiting:
            best = max(waiting, key=lambda i: left[i])
            if left[best] < score_threshold:
                break
            kept.append(best)
            waiting.remove(best)
            for i in waiting:
                left[i] *= share(iou(boxes[[best]], boxes[[i]]).item(), iou_threshold)
        return kept, left[kept]

    return run


def matrix_of_the_paper(boxes, scores, iou_threshold, score_threshold):
    order = np.argsort(-scores, kind="stable")
    overlap = np.triu(iou(boxes[order], boxes[order]).astype(float), 1)
    compensate = overlap.max(0)[:, None]
    decay = (np.exp(-2 * overlap**2) / np.exp(-2 * compensate**2)).min(0)
    left = scores[order] * np.minimum(decay, 1)
    best = [i for i in np.argsort(-left, kind="stable") if left[i] >= score_threshold]
    return order[best], left[best]


def fusion_of_the_paper(boxes, scores, iou_threshold, score_threshold):
    def fused(members):
        return np.average(boxes[members], axis=0, weights=scores[members].astype(float))

    clusters = []
    for i in np.argsort(-scores, kind="stable"):
        overlaps = [iou(fused(c)[None], boxes[[i]].astype(float)).item() for c in clusters]
        if overlaps and max(overlaps) > iou_threshold:
            clusters[int(np.argmax(overlaps))].append(i)
        else:
            clusters.append([i])
    means = np.array([scores[c].mean() for c in clusters])
    best = np.argsort(-means, kind="stable")
    return [clusters[b][0] for b in best], means[best]


REFERENCES = {
    "greedy": greedy_of_the_paper,
    "soft-linear": soft_of_the_paper(lambda o, threshold: 1 - o if o > threshold else 1),
    "soft-gaussian": soft_of_the_paper(lambda o, threshold: np.exp(-(o**2) / 0.5)),
    "matrix": matrix_of_the_paper,
    "fusion": fusion_of_the_paper,
}


@pytest.mark.parametrize("method", REFERENCES)
def test_it_agrees_with_a_few_lines_of_its_paper(method):
    for seed in range(25):
        found = crowded(seed, 5 + seed, classes=1)
        chance = np.random.default_rng(seed)
        found = replace(found, scores=chance.uniform(0.05, 1, len(found)).astype(np.float32))
        score_threshold, iou_threshold = 0.05, chance.uniform(0.2, 0.7)
        knobs = replace(
            NOTHING_CUTS,
            method=method,
            iou_threshold=iou_threshold,
            score_threshold=score_threshold,
        )
        kept, left = REFERENCES[method](found.boxes, found.scores, iou_threshold, score_threshold)
        chosen = select(found, knobs)
        assert list(kept) == chosen.kept.tolist()
        np.testing.assert_allclose(chosen.scores, left, rtol=1e-4)


class TestEveryMethod:
    @every_method
    @settings(max_examples=30)
    @given(found=candidate_sets(), knobs=KNOBS)
    def test_scores_fall_and_every_candidate_has_one_fate(self, method, found, knobs):
        chosen = select(found, replace(knobs, method=method))
        assert (np.diff(chosen.scores) <= 0).all()
        assert (chosen.scores >= np.float32(knobs.score_threshold)).all()
        assert sorted(chosen.kept) == np.flatnonzero(chosen.fate == Fate.KEPT).tolist()
        assert len(chosen.kept) == len(chosen.origins) <= knobs.max_detections
        assert [first for first, *_ in chosen.origins] == chosen.kept.tolist()
        assert np.isfinite(chosen.boxes).all()

    @every_method
    @settings(max_examples=30)
    @given(found=candidate_sets(), knobs=KNOBS)
    def test_who_beat_it_was_better_and_a_rival(self, method, found, knobs):
        chosen = select(found, replace(knobs, method=method))
        rivals = rivals_of(found, knobs.suppress_within)
        suppressed = chosen.fate == Fate.SUPPRESSED
        assert (chosen.beaten_by[suppressed] >= 0).all()
        for loser in np.flatnonzero(chosen.beaten_by >= 0):
            winner = chosen.beaten_by[loser]
            assert rivals[winner] == rivals[loser]
            if method not in ("soft-linear", "soft-gaussian"):  # there, what is left decides
                assert found.scores[winner] >= found.scores[loser]

    @every_method
    @settings(max_examples=30)
    @given(found=candidate_sets(), knobs=KNOBS)
    def test_what_is_left_and_what_was_lost_is_the_score(self, method, found, knobs):
        chosen = select(found, replace(knobs, method=method))
        whole = chosen.scores + chosen.score_lost[chosen.kept]
        np.testing.assert_allclose(whole, found.scores[chosen.kept], rtol=1e-6)
        if method in ("greedy", "diou"):
            assert not chosen.score_lost.any()
        if method != "fusion":
            assert (chosen.score_lost >= 0).all()
            lost = chosen.score_lost > 0
            assert (chosen.beaten_by[lost] >= 0).all()

    @every_method
    @settings(max_examples=30)
    @given(st.integers(0, 50), st.permutations(range(30)), KNOBS)
    def test_the_order_in_which_candidates_come_does_not_matter(self, method, seed, shuffle, knobs):
        found, knobs = crowded(seed, 30), replace(knobs, method=method)
        shuffled = found.take(np.array(shuffle))
        ours, theirs = select(found, knobs), select(shuffled, knobs)
        np.testing.assert_array_equal(found.row[ours.kept], shuffled.row[theirs.kept])
        np.testing.assert_array_equal(ours.boxes, theirs.boxes)
        np.testing.assert_array_equal(ours.scores, theirs.scores)

    @every_method
    def test_classes_do_not_compete_unless_asked_to(self, method):
        found = candidates([WHOLE, WHOLE], [0.9, 0.8], labels=[0, 1])
        knobs = replace(NOTHING_CUTS, iou_threshold=0.5, score_threshold=0.3, method=method)
        apart, together = select(found, knobs), select(found, replace(knobs, suppress_within="all"))
        assert [0.9, 0.8] == pytest.approx(apart.scores.tolist())
        assert [0] == together.kept.tolist()
        assert 0 == together.beaten_by[1]

    @every_method
    def test_no_candidates_give_an_empty_selection(self, method):
        chosen = chosen_by(method, np.zeros((0, 4)), [])
        assert (0, (0, 4), ()) == (len(chosen.kept), chosen.boxes.shape, chosen.origins)


def test_the_size_of_the_steps_changes_nothing_for_matrix(monkeypatch):
    found = crowded(3, 200, classes=2)
    knobs = replace(NOTHING_CUTS, method="matrix")
    expected = select(found, knobs)
    for columns in (1, 7, 1000):
        monkeypatch.setattr(lowering, "COLUMNS", columns)
        np.testing.assert_array_equal(expected.scores, select(found, knobs).scores)


def test_fused_candidates_of_score_zero_keep_the_first_box():
    found = Candidates(
        boxes=np.array([WHOLE, MOST], np.float32),
        labels=np.zeros(2, np.int64),
        scores=np.zeros(2, np.float32),
        row=np.arange(2),
        group=np.zeros(2, np.int64),
    )
    chosen = select(found, replace(NOTHING_CUTS, method="fusion", iou_threshold=0.5))
    assert [WHOLE] == chosen.boxes.tolist()
