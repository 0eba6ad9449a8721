"""Dividing a data set: shares are kept, groups stay together, rare classes are in every split."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxray.data.splitting import stratified
from boxray.errors import SettingError


@given(
    st.integers(2, 60), st.integers(1, 6), st.integers(1, 30), st.integers(2, 4), st.integers(0, 99)
)
def test_every_image_has_a_split_and_groups_stay_together(images, classes, groups, parts, seed):
    rng = np.random.default_rng(seed)
    presence = rng.random((images, classes)) < 0.4
    group = rng.integers(groups, size=images)
    found = stratified(presence, group, [1.0] * parts, seed=seed)
    assert set(found.tolist()) <= set(range(parts))
    assert all(1 == len(set(found[group == number].tolist())) for number in set(group.tolist()))
    if len(set(group.tolist())) >= parts:
        assert parts == len(set(found.tolist())), "no split is empty"


def test_shares_hold_for_images_and_for_every_class():
    # 1,000 images; class 0 in all, class 1 in a tenth, class 2 in ten of them
    presence = np.zeros((1000, 3), bool)
    presence[:, 0] = True
    presence[::10, 1] = True
    presence[::100, 2] = True
    found = stratified(presence, np.arange(1000), [80.0, 10.0, 10.0], seed=3)
    assert [800, 100, 100] == np.bincount(found).tolist()
    assert [80, 10, 10] == np.bincount(found[presence[:, 1]]).tolist()
    assert [8, 1, 1] == np.bincount(found[presence[:, 2]]).tolist()


def test_the_seed_decides_and_nothing_else():
    presence = np.random.default_rng(1).random((50, 3)) < 0.5
    once = stratified(presence, np.arange(50), [4.0, 1.0], seed=1)
    assert once.tolist() == stratified(presence, np.arange(50), [4.0, 1.0], seed=1).tolist()
    assert once.tolist() != stratified(presence, np.arange(50), [4.0, 1.0], seed=2).tolist()


@pytest.mark.parametrize("shares", [[1.0], [], [1.0, 0.0], [1.0, -1.0], [1.0, np.nan]])
def test_shares_that_cannot_be_are_refused(shares):
    with pytest.raises(SettingError, match="at least two shares above 0"):
        stratified(np.ones((3, 1), bool), np.arange(3), shares)
