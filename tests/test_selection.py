"""Selection: who survives, in which order, and a true record of why the others did not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from boxray.boxes import iou
from boxray.errors import SettingError
from boxray.records import Candidates, Fate
from boxray.selection import Thresholds, dropping, select

NOTHING_CUTS = Thresholds(
    score_threshold=0.0, iou_threshold=1.0, limit_before=None, max_detections=10**9
)


def candidates(boxes, scores, labels=None, row=None, group=None) -> Candidates:
    count = len(scores)
    return Candidates(
        boxes=np.asarray(boxes, np.float32).reshape(-1, 4),
        labels=np.zeros(count, np.int64) if labels is None else np.asarray(labels),
        scores=np.asarray(scores, np.float32),
        row=np.arange(count) if row is None else np.asarray(row),
        group=np.zeros(count, np.int64) if group is None else np.asarray(group),
    )


def apart(count: int) -> np.ndarray:
    """Boxes that do not touch."""
    left = 20.0 * np.arange(count)
    return np.stack([left, 0 * left, left + 10, 0 * left + 10], 1)


def crowded(seed: int, count: int, classes: int = 3) -> Candidates:
    """Random boxes with much overlap, and many equal scores."""
    generator = np.random.default_rng(seed)
    corner, size = generator.uniform(0, 60, (count, 2)), generator.uniform(5, 60, (count, 2))
    return candidates(
        np.concatenate([corner, corner + size], 1),
        generator.integers(0, 50, count) / 50,
        generator.integers(0, classes, count),
        generator.permutation(count),
        generator.integers(0, 4, count),
    )


@st.composite
def candidate_sets(draw: st.DrawFn) -> Candidates:
    """Anything a broken network might say: NaN, infinities, inverted and empty boxes, ties."""
    count = draw(st.integers(0, 25))
    number = st.floats(-40, 80, width=32) | st.sampled_from([0.0, 10.0, 20.0, np.nan, np.inf, 1e38])
    score = st.floats(0, 1, width=32) | st.sampled_from([0.0, 0.25, 0.5, np.nan, np.inf, -np.inf])
    few = st.integers(0, 2)
    return candidates(
        draw(arrays(np.float32, (count, 4), elements=number)),
        draw(arrays(np.float32, count, elements=score)),
        draw(arrays(np.int64, count, elements=few)),
        draw(arrays(np.int64, count, elements=st.integers(0, 9))),
        draw(arrays(np.int64, count, elements=few)),
    )


KNOBS = st.builds(
    Thresholds,
    score_threshold=st.sampled_from([0.0, 0.25, 0.5, 1.0]),
    iou_threshold=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    limit_before=st.none() | st.integers(1, 20),
    limit_before_per_group=st.none() | st.integers(1, 8),
    suppress_within=st.sampled_from(["class", "group", "all"]),
    max_detections=st.integers(1, 20),
)


def rivals_of(found: Candidates, within: str) -> np.ndarray:
    return {"class": found.labels, "group": found.group, "all": 0 * found.labels}[within]


class TestScoreThreshold:
    def test_a_score_equal_to_the_threshold_is_kept(self):
        found = candidates(apart(3), [0.3, 0.29999, 0.31])
        chosen = select(found, replace(NOTHING_CUTS, score_threshold=0.3))
        assert [2, 0] == chosen.kept.tolist()
        assert [Fate.KEPT, Fate.BELOW_SCORE, Fate.KEPT] == chosen.fate.tolist()

    @pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.9])  # no binary fraction among them
    def test_a_threshold_counts_in_the_precision_of_the_scores(self, threshold):
        chosen = select(
            candidates(apart(1), [threshold]), replace(NOTHING_CUTS, score_threshold=threshold)
        )
        assert [0] == chosen.kept.tolist()

    @pytest.mark.parametrize("score", [np.nan, np.inf, -np.inf])
    def test_a_score_that_is_no_number_never_survives(self, score):
        chosen = select(candidates(apart(2), [score, 0.5]), NOTHING_CUTS)
        assert [1] == chosen.kept.tolist()
        assert [Fate.BELOW_SCORE, Fate.KEPT] == chosen.fate.tolist()

    @pytest.mark.parametrize("edge", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("place", range(4))
    def test_a_box_that_is_not_finite_never_survives(self, edge, place):
        boxes = apart(2)
        boxes[0, place] = edge
        assert [1] == select(candidates(boxes, [0.9, 0.5]), NOTHING_CUTS).kept.tolist()


class TestOrder:
    def test_best_score_comes_first(self):
        chosen = select(candidates(apart(4), [0.2, 0.9, 0.5, 0.7]), NOTHING_CUTS)
        assert [1, 3, 2, 0] == chosen.kept.tolist()

    def test_equal_scores_are_ordered_by_label_and_then_by_row(self):
        found = candidates(apart(4), [0.5] * 4, labels=[1, 0, 1, 0], row=[2, 9, 1, 8])
        assert [3, 1, 2, 0] == select(found, NOTHING_CUTS).kept.tolist()

    @given(st.integers(0, 50), st.permutations(range(30)), KNOBS)
    def test_the_order_in_which_candidates_come_does_not_matter(self, seed, shuffle, knobs):
        found = crowded(seed, 30)
        shuffled = found.take(np.array(shuffle))
        expected = found.row[select(found, knobs).kept]
        np.testing.assert_array_equal(shuffled.row[select(shuffled, knobs).kept], expected)


class TestLimits:
    def test_the_limit_lets_the_best_enter(self):
        chosen = select(
            candidates(apart(4), [0.2, 0.9, 0.5, 0.7]), replace(NOTHING_CUTS, limit_before=2)
        )
        assert [1, 3] == chosen.kept.tolist()
        assert [Fate.OVER_LIMIT, Fate.KEPT, Fate.OVER_LIMIT, Fate.KEPT] == chosen.fate.tolist()

    def test_equal_scores_at_the_limit_are_cut_by_label_and_row(self):
        found = candidates(apart(4), [0.5] * 4, labels=[1, 0, 1, 0], row=[2, 9, 1, 8])
        chosen = select(found, replace(NOTHING_CUTS, limit_before=3))
        assert [3, 1, 2] == chosen.kept.tolist()

    def test_the_limit_per_group_cuts_before_the_limit_over_all(self):
        # the best of group 0 and the best of group 1 enter, then the better of the two
        found = candidates(apart(4), [0.9, 0.8, 0.3, 0.2], group=[0, 0, 1, 1])
        per_group = replace(NOTHING_CUTS, limit_before_per_group=1)
        assert [0, 2] == select(found, per_group).kept.tolist()
        assert [0] == select(found, replace(per_group, limit_before=1)).kept.tolist()

    def test_max_detections_cuts_last_and_keeps_the_best(self):
        # 1 is suppressed by 0, so that 2 is the second and 3 one too many
        boxes = apart(4)
        boxes[1] = boxes[0]
        chosen = select(
            candidates(boxes, [0.9, 0.8, 0.7, 0.6]),
            replace(NOTHING_CUTS, iou_threshold=0.5, max_detections=2),
        )
        assert [0, 2] == chosen.kept.tolist()
        expected = [Fate.KEPT, Fate.SUPPRESSED, Fate.KEPT, Fate.OVER_MAX]
        assert expected == chosen.fate.tolist()


class TestSuppression:
    def test_an_overlap_of_exactly_the_threshold_is_kept(self):
        # 10x10 against its 10x5 half: 50 / 100
        found = candidates([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8])
        assert [0, 1] == select(found, replace(NOTHING_CUTS, iou_threshold=0.5)).kept.tolist()
        chosen = select(found, replace(NOTHING_CUTS, iou_threshold=0.499))
        assert [0] == chosen.kept.tolist()
        assert [-1, 0] == chosen.beaten_by.tolist()

    def test_a_suppressed_box_suppresses_nobody(self):
        # 10x10 boxes, 4 apart: 6 * 10 / 140 = 0.43 between neighbours, 2 * 10 / 180 = 0.11 else
        found = candidates([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], [0.9, 0.8, 0.7])
        chosen = select(found, replace(NOTHING_CUTS, iou_threshold=0.4))
        assert [0, 2] == chosen.kept.tolist()
        assert [-1, 0, -1] == chosen.beaten_by.tolist()

    def test_who_competes_with_whom(self):
        found = candidates(
            [[0, 0, 10, 10]] * 4, [0.9, 0.8, 0.7, 0.6], labels=[0, 1, 0, 1], group=[0, 0, 0, 1]
        )
        kept = {
            within: select(
                found, replace(NOTHING_CUTS, iou_threshold=0.5, suppress_within=within)
            ).kept.tolist()
            for within in ("class", "group", "all")
        }
        assert {"class": [0, 1], "group": [0, 3], "all": [0]} == kept

    def test_a_threshold_of_1_suppresses_nothing_not_even_copies(self):
        chosen = select(candidates([[0, 0, 10, 10]] * 5, [0.5] * 5), NOTHING_CUTS)
        assert list(range(5)) == chosen.kept.tolist()

    def test_boxes_without_area_and_of_overflowing_area_pass_without_a_crash(self):
        boxes = [[5, 5, 5, 5], [5, 5, 5, 5], [9, 9, 1, 1], [-3e38, -3e38, 3e38, 3e38], [0, 0, 9, 9]]
        chosen = select(candidates(boxes, [0.5] * 5), replace(NOTHING_CUTS, iou_threshold=0.0))
        assert 5 == len(chosen.kept)

    def test_no_candidates_give_an_empty_selection(self):
        chosen = select(candidates(np.zeros((0, 4)), []), replace(NOTHING_CUTS, iou_threshold=0.5))
        assert [0, 0, 0] == [len(chosen.kept), len(chosen.fate), len(chosen.beaten_by)]


class TestRecord:
    @given(candidate_sets(), KNOBS)
    def test_every_candidate_has_one_fate_and_the_counts_add_up(self, found, knobs):
        chosen = select(found, knobs)
        fates = np.bincount(chosen.fate, minlength=5)
        assert len(found) == fates.sum() == len(chosen.fate) == len(chosen.beaten_by)
        assert sorted(chosen.kept) == np.flatnonzero(chosen.fate == Fate.KEPT).tolist()
        np.testing.assert_array_equal(chosen.beaten_by >= 0, chosen.fate == Fate.SUPPRESSED)
        entered = len(found) - fates[Fate.BELOW_SCORE] - fates[Fate.OVER_LIMIT]
        assert entered <= (knobs.limit_before or entered)
        assert fates[Fate.KEPT] <= knobs.max_detections
        assert fates[Fate.OVER_MAX] == 0 or fates[Fate.KEPT] == knobs.max_detections

    @given(candidate_sets(), KNOBS)
    def test_the_one_who_beat_it_scores_higher_survived_and_overlaps_enough(self, found, knobs):
        chosen = select(found, knobs)
        rivals = rivals_of(found, knobs.suppress_within)
        for loser in np.flatnonzero(chosen.fate == Fate.SUPPRESSED):
            winner = chosen.beaten_by[loser]
            assert chosen.fate[winner] in (Fate.KEPT, Fate.OVER_MAX)
            assert found.scores[winner] >= found.scores[loser]
            assert rivals[winner] == rivals[loser]
            with np.errstate(all="ignore"):
                overlap = iou(found.boxes[[winner]], found.boxes[[loser]])
            assert overlap.item() > np.float32(knobs.iou_threshold)

    @given(candidate_sets(), KNOBS)
    def test_no_two_survivors_overlap_by_more_than_the_threshold(self, found, knobs):
        kept = select(found, knobs).kept
        with np.errstate(all="ignore"):
            over = iou(found.boxes[kept], found.boxes[kept]) > knobs.iou_threshold
        rivals = rivals_of(found, knobs.suppress_within)[kept]
        assert not np.triu(over & (rivals[:, None] == rivals), 1).any()

    @given(candidate_sets(), KNOBS)
    def test_selecting_again_from_what_was_kept_keeps_it_all(self, found, knobs):
        kept = found.take(select(found, knobs).kept)
        assert list(range(len(kept))) == select(kept, knobs).kept.tolist()

    @settings(max_examples=20)
    @given(st.integers(0, 1000))
    def test_the_winner_is_the_best_of_all_survivors_that_overlap_enough(self, seed):
        found = crowded(seed, 60, classes=1)
        chosen = select(found, replace(NOTHING_CUTS, iou_threshold=0.3))
        for loser in np.flatnonzero(chosen.fate == Fate.SUPPRESSED):
            over = iou(found.boxes[chosen.kept], found.boxes[[loser]])[:, 0] > 0.3
            assert chosen.kept[over][0] == chosen.beaten_by[loser]


class TestSteps:
    """Large sets are worked through in steps; the steps must not show."""

    @pytest.mark.parametrize("within", ["class", "group", "all"])
    @pytest.mark.parametrize("judges", [1, 2, 7, 40, 1000])
    def test_the_size_of_the_steps_changes_nothing(self, monkeypatch, within, judges):
        knobs = replace(NOTHING_CUTS, iou_threshold=0.4, suppress_within=within)
        for seed in range(5):
            found = crowded(seed, 200, classes=9)
            expected = select(found, knobs)
            with monkeypatch.context() as patch:
                patch.setattr(dropping, "JUDGES", judges)
                chosen = select(found, knobs)
            np.testing.assert_array_equal(chosen.kept, expected.kept)
            np.testing.assert_array_equal(chosen.beaten_by, expected.beaten_by)


class TestTorchvision:
    """torchvision.ops.nms as an independent oracle, over hundreds of random sets."""

    @pytest.fixture(autouse=True)
    def _oracle(self):
        self.torch = pytest.importorskip("torch")
        self.ops = pytest.importorskip("torchvision.ops")

    def _distinct(self, seed: int) -> Candidates:
        """Scores without ties: torchvision leaves the order of ties open."""
        found = crowded(seed, 20 + seed % 200)
        scores = np.random.default_rng(seed).permutation(len(found)).astype(np.float32)
        return replace(found, scores=(scores + 1) / len(found))

    @pytest.mark.parametrize("iou_threshold", [0.0, 0.3, 0.45, 0.7])
    def test_suppression_among_all_agrees(self, iou_threshold):
        for seed in range(100):
            found = self._distinct(seed)
            expected = self.ops.nms(
                self.torch.from_numpy(found.boxes),
                self.torch.from_numpy(found.scores),
                iou_threshold,
            )
            knobs = replace(NOTHING_CUTS, iou_threshold=iou_threshold, suppress_within="all")
            np.testing.assert_array_equal(select(found, knobs).kept, expected.numpy())

    def test_suppression_per_class_agrees(self):
        for seed in range(200):
            found = self._distinct(seed)
            expected = self.ops.batched_nms(
                self.torch.from_numpy(found.boxes),
                self.torch.from_numpy(found.scores),
                self.torch.from_numpy(found.labels),
                0.5,
            )
            kept = select(found, replace(NOTHING_CUTS, iou_threshold=0.5)).kept
            np.testing.assert_array_equal(kept, expected.numpy())


class TestThresholds:
    @pytest.mark.parametrize("name", ["score_threshold", "iou_threshold"])
    @pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
    def test_a_share_outside_0_to_1_is_refused_by_name(self, name, value):
        with pytest.raises(SettingError, match=f"{name} is .*from 0 to 1"):
            replace(NOTHING_CUTS, **{name: value})

    @pytest.mark.parametrize("name", ["max_detections", "limit_before", "limit_before_per_group"])
    @pytest.mark.parametrize("value", [0, -1])
    def test_a_count_below_1_is_refused_by_name(self, name, value):
        with pytest.raises(SettingError, match=f"{name} is .*at least 1"):
            replace(NOTHING_CUTS, **{name: value})

    def test_an_unknown_method_is_refused_with_the_known_ones(self):
        with pytest.raises(Exception, match="method"):
            replace(NOTHING_CUTS, method="median")

    def test_an_unknown_rule_of_competition_is_refused_with_the_known_ones(self):
        with pytest.raises(Exception, match="suppress_within"):
            replace(NOTHING_CUTS, suppress_within="image")

    def test_both_ends_of_the_range_are_allowed(self):
        both_ends = Thresholds(score_threshold=0.0, iou_threshold=1.0)
        assert (0, 1) == (both_ends.score_threshold, both_ends.iou_threshold)
