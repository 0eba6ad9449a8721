"""Dividing images into splits so that every class is in each, and no group is in two."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.errors import SettingError


def stratified(
    presence: Bool[np.ndarray, "n c"],
    groups: Int[np.ndarray, "n"],
    shares: Sequence[float],
    *,
    seed: int = 0,
) -> Int[np.ndarray, "n"]:
    """For each image the split it goes to, so that splits get their shares of images and classes.

    presence: which classes an image has. groups: images of one number stay together. shares: of
    each split, in any unit. Classes are dealt out rarest first, each group to the split that
    lacks most of the class, then of images, then by lot. With enough groups no split stays empty.
    Source: Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-Label Data",
    algorithm 1, with groups in place of single examples.
    Raises SettingError for shares that are not positive.
    """
    parts = np.asarray(shares, np.float64)
    if len(parts) < 2 or not np.isfinite(parts).all() or (parts <= 0).any():
        raise SettingError(f"expected at least two shares above 0, got {list(shares)}.")
    numbers, group_of = np.unique(groups, return_inverse=True)
    counts = np.zeros((len(numbers), presence.shape[1] + 1))  # the last column counts images
    np.add.at(counts, group_of, np.column_stack([presence, np.ones(len(presence), bool)]))
    dealt = _deal(counts, parts / parts.sum(), np.random.default_rng(seed))
    _fill_empty(dealt, counts[:, -1], len(parts))
    return dealt[group_of]


def _deal(
    counts: Float[np.ndarray, "g c"], shares: Float[np.ndarray, "s"], rng: np.random.Generator
) -> Int[np.ndarray, "g"]:
    """The split of every group; the last column is what every group has, so all are dealt."""
    lacking = shares[:, None] * counts.sum(0)
    dealt = np.full(len(counts), -1)
    lots = rng.permutation(len(counts))
    while (free := dealt < 0).any():
        left = (counts[free] > 0).sum(0)
        column = int(np.where(left > 0, left, np.inf).argmin())
        wanted = np.flatnonzero(free & (counts[:, column] > 0))
        # the largest first, while there is room for them; equal ones in the order of their lots
        for group in wanted[np.lexsort((lots[wanted], -counts[wanted, column]))]:
            best = np.lexsort((rng.random(len(shares)), -lacking[:, -1], -lacking[:, column]))[0]
            dealt[group] = best
            lacking[best] -= counts[group]
    return dealt


def _fill_empty(
    dealt: Int[np.ndarray, "g"], images: Float[np.ndarray, "g"], split_count: int
) -> None:
    """Give a split that got nothing the smallest group of the split with the most, in place."""
    for split in range(split_count):
        groups_in = np.bincount(dealt, minlength=split_count)
        if groups_in[split] == 0 and groups_in.max() > 1:
            richest = np.flatnonzero(dealt == groups_in.argmax())
            dealt[richest[images[richest].argmin()]] = split
