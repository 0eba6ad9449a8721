"""The schedule: rates, sizes, and pictures that depend on seed, step and progress alone."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.recipes.recipe import Optimisation
from boxray.recipes.training_numbers import AUGMENTATION  # half of the canvases are mosaics
from boxray.training.schedule import Clock, Schedule

NUMBERS = Optimisation(
    learning_rate=1e-3,
    backbone_share=0.3,
    weight_decay=0.02,
    warm_up=0.1,
    final_share=0.05,
    clip_norm=10.0,
    sizes=((0.0, 0.7), (0.4, 1.0)),
    mosaic_until=0.8,
    average_share=0.1,
)
PLAN = Schedule(
    numbers=NUMBERS,
    augmentation=AUGMENTATION,
    canvas_hw=(320, 256),
    stride=32,
    picture_count=23,
    batch=4,
    seed=1,
)


def test_the_rate_rises_to_its_peak_and_falls_to_its_final_share():
    shares = [PLAN.learning_rate(progress) for progress in np.linspace(0, 1, 201)]
    peak = int(np.argmax(shares))
    assert 20 == peak  # warm_up 0.1 of 200
    assert 1 == pytest.approx(shares[peak])
    assert 0 < shares[0] < 0.02
    assert NUMBERS.final_share == pytest.approx(shares[-1])
    assert (np.diff(shares[: peak + 1]) > 0).all()
    assert (np.diff(shares[peak:]) < 0).all()
    # half way down the cosine: 0.05 + 0.95 / 2
    assert 0.525 == pytest.approx(PLAN.learning_rate(0.55))


def test_without_a_warm_up_the_rate_starts_at_its_peak():
    plan = replace(PLAN, numbers=replace(NUMBERS, warm_up=0.0))
    assert 1 == pytest.approx(plan.learning_rate(0.0))


def test_the_canvas_starts_small_and_ends_whole_and_fits_the_coarsest_stride():
    # 0.7 of 320 is 224; 0.7 of 256 is 179.2, the nearest multiple 192
    assert (224, 192) == PLAN.size_hw(0.0) == PLAN.size_hw(0.39)
    assert (320, 256) == PLAN.size_hw(0.4) == PLAN.size_hw(1.0)


@given(
    st.integers(1, 40), st.integers(1, 40), st.floats(0.01, 1.5), st.floats(0, 1, exclude_max=True)
)
def test_every_canvas_is_a_positive_multiple_of_the_stride(rows, columns, share, progress):
    plan = replace(
        PLAN, canvas_hw=(rows * 32, columns * 32), numbers=replace(NUMBERS, sizes=((0.0, share),))
    )
    height, width = plan.size_hw(progress)
    assert 0 == height % 32 == width % 32
    assert min(height, width) >= 32


def orders(plan: Schedule, total: int, first: int = 0):
    clock = Clock(total, None, step=first)
    return list(plan.batches(clock))


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 4))
def test_every_picture_comes_once_per_epoch(pictures, batch, epochs):
    plan = replace(PLAN, picture_count=pictures, batch=batch)
    total = -(-epochs * pictures // batch)
    shown = [order.pictures[0] for step in orders(plan, total) for order in step]
    assert total * batch == len(shown)
    for epoch in range(epochs):
        part = Counter(shown[epoch * pictures : (epoch + 1) * pictures])
        assert set(range(pictures)) == set(part)
        assert {1} == set(part.values())


def test_epochs_differ_and_so_do_seeds():
    def first_epoch(plan, epoch=0):
        flat = [order.pictures[0] for step in orders(plan, 46) for order in step]
        return flat[epoch * 23 : (epoch + 1) * 23]

    assert first_epoch(PLAN) != first_epoch(PLAN, 1)
    assert first_epoch(PLAN) != first_epoch(replace(PLAN, seed=2))
    assert first_epoch(PLAN) == first_epoch(replace(PLAN))


@given(st.integers(0, 29))
def test_a_training_can_go_on_from_any_step(first):
    assert orders(PLAN, 30)[first:] == orders(PLAN, 30, first)


def test_no_two_canvases_share_a_seed():
    seeds = [order.seed for step in orders(PLAN, 40) for order in step]
    assert len(seeds) == len(set(seeds))


def test_mosaics_come_at_their_share_and_end_early():
    plan = replace(PLAN, picture_count=400, batch=8)
    steps = orders(plan, 100)
    counts = Counter(len(order.pictures) for step in steps[:80] for order in step)
    assert {1, 4} == set(counts)
    assert 0.5 == pytest.approx(counts[4] / 640, abs=0.08)  # 0.5 ± 4 standard deviations of 0.02
    assert {1} == {len(order.pictures) for step in steps[80:] for order in step}


def test_mixups_come_at_their_share_beside_mosaics_and_end_with_them():
    mixed = replace(AUGMENTATION, mixup_share=0.2)
    plan = replace(PLAN, picture_count=400, batch=8, augmentation=mixed)
    steps = orders(plan, 100)
    counts = Counter(len(order.pictures) for step in steps[:80] for order in step)
    assert {1, 2, 4} == set(counts)
    assert 0.5 == pytest.approx(counts[4] / 640, abs=0.08)  # ± 4 standard deviations of 0.02
    assert 0.2 == pytest.approx(counts[2] / 640, abs=0.064)  # ± 4 of 0.016
    assert {1} == {len(order.pictures) for step in steps[80:] for order in step}


def test_a_finished_training_has_no_batches():
    assert [] == orders(PLAN, 10, 10)


class TestClock:
    def test_by_steps(self):
        clock = Clock(10, None, step=4, elapsed_s=1e9)
        assert 0.4 == clock.progress
        clock.step = 12
        assert 1 == clock.progress

    def test_by_time(self):
        clock = Clock(10, 60.0, step=10**6)
        assert 0 == clock.progress
        clock.elapsed_s = 45.0
        assert 0.75 == clock.progress
        clock.elapsed_s = 61.0
        assert 1 == clock.progress

    def test_a_time_budget_decides_when_batches_end_however_many_steps(self):
        clock = Clock(2, 60.0)
        shown = []
        for step in PLAN.batches(clock):
            shown.append(step)
            clock.elapsed_s += 6
        assert 10 == len(shown)


def test_pictures_that_weigh_more_come_as_often_as_is_their_due():
    weights = np.array([1.0] * 20 + [4.0])
    plan = replace(PLAN, picture_count=21, batch=7, weights=weights)
    shown = [order.pictures[0] for step in orders(plan, 3 * 8) for order in step]
    counts = np.bincount(shown, minlength=21)
    # of 21 pictures an epoch, 21 · 4/24 = 3.5 are due to the heavy one, 0.875 to each other
    assert 8 * 3 <= counts[20] <= 8 * 4
    assert 8 * 20 * 0.8 <= counts[:20].sum() <= 8 * 18
    assert orders(plan, 24)[9:] == orders(plan, 24, 9)


def test_many_scales_change_every_tenth_step_once_the_canvas_is_full():
    plan = replace(PLAN, multi_scale=True)
    assert PLAN.size_hw(0.0) == plan.size_hw(0.0, 7)
    sizes = [plan.size_hw(0.5, step) for step in range(400)]
    assert all(len(set(sizes[start : start + 10])) == 1 for start in range(0, 400, 10))
    # 320 · 0.75 = 240 to 320 · 1.25 = 400, in multiples of 32
    assert {256, 288, 320, 352, 384} <= {height for height, _ in sizes} <= set(range(224, 417, 32))
    assert sizes == [plan.size_hw(0.5, step) for step in range(400)]
