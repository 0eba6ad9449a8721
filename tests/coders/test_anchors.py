"""Prior sizes by k-means: what it must find, what it must survive, and the paper's own figures."""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.coders import anchors
from boxray.coders.anchors import Priors, average_iou, kmeans, split_by_level
from boxray.errors import BoxError, SettingError

PLANTED = np.array([[10.0, 20.0], [40.0, 30.0], [100.0, 200.0], [300.0, 150.0]])


def around(centres: np.ndarray, each: int = 50, spread: float = 0.02) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, spread, (each, len(centres), 2))
    return (centres * np.exp(noise)).reshape(-1, 2)


def random_sizes(seed: int, count: int) -> np.ndarray:
    return np.exp(np.random.default_rng(seed).normal(4, 0.8, (count, 2)))


def relative_sizes_of_voc(folder: Path) -> np.ndarray:
    """Width and height of every object as a share of its picture, as the paper clusters them."""
    found = []
    for path in sorted(folder.rglob("*.xml")):
        picture = ElementTree.parse(path).getroot()
        width, height = (float(picture.findtext(f"size/{side}")) for side in ("width", "height"))
        for place in picture.iterfind("object/bndbox"):
            x0, y0, x1, y1 = (float(place.findtext(f)) for f in ("xmin", "ymin", "xmax", "ymax"))
            found.append(((x1 - x0 + 1) / width, (y1 - y0 + 1) / height))
    return np.array(found)


class TestWhatItFinds:
    @pytest.mark.parametrize("distance", ["iou", "euclidean"])
    def test_planted_clusters_are_recovered(self, distance):
        priors = kmeans(around(PLANTED), 4, distance=distance)
        np.testing.assert_allclose(priors.sizes_wh, PLANTED, rtol=0.02)
        assert priors.average_iou > 0.95
        assert distance == priors.distance

    def test_average_iou_is_the_mean_of_the_best_fits(self):
        # 10x10 in 10x20: 100 / 200; 40x40 in 40x40: 1; mean 0.75
        sizes = np.array([[10.0, 10.0], [40.0, 40.0]])
        priors = np.array([[10.0, 20.0], [40.0, 40.0]])
        assert 0.75 == pytest.approx(average_iou(sizes, priors))
        # weighted 3 to 1: (3 * 0.5 + 1) / 4
        assert 0.625 == pytest.approx(average_iou(sizes, priors, np.array([3.0, 1.0])))

    def test_one_prior_is_the_mean_size(self):
        # (20 + 22 + 24) / 3
        priors = kmeans(np.array([[20.0, 30.0], [22.0, 30.0], [24.0, 30.0]]), 1)
        np.testing.assert_allclose(priors.sizes_wh, [[22, 30]])

    @given(st.integers(0, 1000), st.integers(1, 9))
    def test_priors_come_by_increasing_area(self, seed, count):
        areas = kmeans(random_sizes(seed, 60), count, restarts=1).sizes_wh.prod(1)
        assert (np.diff(areas) >= 0).all()

    def test_the_same_seed_gives_the_same_priors_and_restarts_never_worsen_them(self):
        sizes = random_sizes(1, 300)
        once = kmeans(sizes, 6, seed=3, restarts=1)
        np.testing.assert_array_equal(kmeans(sizes, 6, seed=3, restarts=1).sizes_wh, once.sizes_wh)
        assert kmeans(sizes, 6, seed=3, restarts=8).average_iou >= once.average_iou

    @pytest.mark.parametrize("distance", ["iou", "euclidean"])
    @given(seed=st.integers(0, 1000), count=st.integers(2, 8))
    def test_rounds_never_worsen_the_objective(self, distance, seed, count):
        sizes = random_sizes(seed, 80)
        shares = np.full(len(sizes), 1 / len(sizes))
        start = sizes[:count]
        end = anchors._lloyd(sizes, shares, start, distance)
        before = anchors._cost(sizes, shares, start, distance)
        assert anchors._cost(sizes, shares, end, distance) <= before

    @given(st.integers(0, 1000))
    def test_a_weight_is_worth_as_many_copies(self, seed):
        sizes = random_sizes(seed, 30)
        weights = np.random.default_rng(seed).integers(1, 4, 30)
        start = sizes[:4]
        shares = weights / weights.sum()
        copies = np.repeat(sizes, weights, axis=0)
        even = np.full(len(copies), 1 / len(copies))
        np.testing.assert_allclose(
            anchors._lloyd(sizes, shares, start, "iou"),
            anchors._lloyd(copies, even, start, "iou"),
        )

    def test_euclidean_clusters_agree_with_scikit_learn_from_the_same_start(self):
        cluster = pytest.importorskip("sklearn.cluster")
        for seed in range(10):
            sizes = random_sizes(seed, 200)
            start, shares = sizes[:5], np.full(200, 1 / 200)
            oracle = cluster.KMeans(5, init=start, n_init=1, max_iter=300, tol=0).fit(sizes)
            ours = anchors._lloyd(sizes, shares, start, "euclidean")
            np.testing.assert_allclose(ours, oracle.cluster_centers_, rtol=1e-3)

    @pytest.mark.parametrize("count, published", [(5, 0.610), (9, 0.672)])
    def test_voc_2007_reaches_the_figures_of_yolo9000_table_1(self, shared, count, published):
        sizes = relative_sizes_of_voc(shared / "data" / "voc07")
        assert len(sizes) > 10_000
        clustered = kmeans(sizes, count, restarts=2)
        assert published == pytest.approx(clustered.average_iou, abs=0.02)
        euclidean = kmeans(sizes, count, distance="euclidean", restarts=2)
        assert euclidean.average_iou < clustered.average_iou  # why the paper changed the distance


class TestWhatItSurvives:
    def test_an_empty_cluster_moves_to_the_size_served_worst(self):
        # everything is nearest to the first centre; 90x90 fits it worst, then 10x12
        sizes = np.array([[10.0, 10.0], [10.0, 12.0], [90.0, 90.0]])
        centres = np.array([[10.0, 10.0], [5000.0, 1.0], [1.0, 5000.0]])
        distances = anchors._distances(centres, sizes, "iou")
        assert [0, 0, 0] == distances.argmin(0).tolist()
        means = anchors._means(sizes, np.full(3, 1 / 3), distances)
        np.testing.assert_allclose(means[1:], [[90, 90], [10, 12]])

    def test_two_empty_clusters_do_not_move_to_the_same_place(self):
        sizes = np.array([[10.0, 10.0], [90.0, 90.0], [90.0, 90.0], [60.0, 60.0]])
        centres = np.array([[10.0, 10.0], [5000.0, 1.0], [1.0, 5000.0]])
        distances = anchors._distances(centres, sizes, "iou")
        means = anchors._means(sizes, np.full(4, 1 / 4), distances)
        np.testing.assert_allclose(means[1:], [[90, 90], [60, 60]])

    def test_data_with_one_box_size_still_gives_nine_different_priors_around_it(self):
        priors = kmeans(np.full((20, 2), 32.0), 9)
        assert 9 == len(np.unique(priors.sizes_wh, axis=0))
        # half an octave apart: 32 / 4 = 8 up to 32 * 4 = 128, the size itself in the middle
        np.testing.assert_allclose(priors.sizes_wh[[0, 4, 8], 0], [8, 32, 128])
        assert 1 == priors.average_iou

    def test_sizes_equal_but_for_rounding_count_as_one(self):
        jitter = np.random.default_rng(0).uniform(-1, 1, (100, 2)) * 1e-13
        priors = kmeans(24 + jitter, 3)
        np.testing.assert_allclose(priors.sizes_wh[:, 0], [24 / 2**0.5, 24, 24 * 2**0.5])

    def test_with_fewer_sizes_than_priors_every_size_is_a_prior(self):
        sizes = np.array([[10.0, 20.0], [40.0, 30.0]] * 5)
        priors = kmeans(sizes, 3)
        # and the third is the first, √2 larger: 10√2 x 20√2 has an area between the two
        expected = [[10, 20], [10 * 2**0.5, 20 * 2**0.5], [40, 30]]
        np.testing.assert_allclose(priors.sizes_wh, expected)
        assert 1 == priors.average_iou

    def test_duplicates_do_not_start_two_clusters_in_one_place(self):
        sizes = np.concatenate([np.full((500, 2), 10.0), PLANTED])
        priors = kmeans(sizes, 5)
        assert 5 == len(np.unique(priors.sizes_wh, axis=0))
        assert 1 == pytest.approx(priors.average_iou)

    @given(st.integers(1, 12), st.integers(1, 12))
    def test_there_are_always_as_many_finite_positive_priors_as_asked(self, distinct, count):
        sizes = np.repeat(random_sizes(distinct, distinct), 3, axis=0)
        priors = kmeans(sizes, count, restarts=1).sizes_wh
        assert (count, 2) == priors.shape
        assert (np.isfinite(priors) & (priors > 0)).all()

    @pytest.mark.parametrize("unit", [1e-6, 1 / 416, 1 / 32, 1.0, 1e6])
    def test_the_unit_of_the_sizes_does_not_matter(self, unit):
        sizes = random_sizes(2, 200)
        expected = kmeans(sizes, 5, restarts=2)
        scaled = kmeans(sizes * unit, 5, restarts=2)
        np.testing.assert_allclose(scaled.sizes_wh / unit, expected.sizes_wh, rtol=1e-6)


class TestWhatItRefuses:
    @pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
    def test_a_size_that_is_none_is_named(self, bad):
        with pytest.raises(BoxError, match="size 1 is"):
            kmeans(np.array([[10.0, 10.0], [10.0, bad]]), 1)

    def test_no_sizes_at_all(self):
        with pytest.raises(BoxError, match="at least one"):
            kmeans(np.zeros((0, 2)), 3)

    def test_counts_below_1(self):
        with pytest.raises(SettingError, match="count is 0"):
            kmeans(PLANTED, 0)
        with pytest.raises(SettingError, match="restarts 0"):
            kmeans(PLANTED, 1, restarts=0)

    @pytest.mark.parametrize("weights", [[1.0, -1, 1, 1], [1.0, np.nan, 1, 1]])
    def test_weights_that_cannot_be(self, weights):
        with pytest.raises(SettingError, match="4 finite weights"):
            kmeans(PLANTED, 2, weights=np.array(weights))

    def test_weights_that_leave_nothing(self):
        with pytest.raises(SettingError, match="every weight is 0"):
            kmeans(PLANTED, 2, weights=np.zeros(4))

    def test_a_size_of_weight_0_does_not_count(self):
        priors = kmeans(PLANTED, 1, weights=np.array([0.0, 1, 0, 0]))
        assert [[40, 30]] == priors.sizes_wh.tolist()


class TestSplitByLevel:
    def test_the_smallest_go_to_the_finest_level(self):
        levels = split_by_level(Priors(PLANTED, 1.0, "iou"), 2)
        assert (((10, 20), (40, 30)), ((100, 200), (300, 150))) == levels

    @pytest.mark.parametrize("level_count", [0, 3, 8])
    def test_levels_that_do_not_divide_the_priors_are_refused(self, level_count):
        with pytest.raises(SettingError, match=f"4 priors .* {level_count} levels"):
            split_by_level(Priors(PLANTED, 1.0, "iou"), level_count)
