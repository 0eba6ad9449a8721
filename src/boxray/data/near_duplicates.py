"""Near-duplicates: pictures that show the same, though their files and pixels differ.

A picture that was saved again, resized, brightened or cut a little keeps its perceptual hash in
all but a few bits. Flips and turns do not.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from boxray.errors import ImageError
from boxray.images import LUMA, Pixels, load, resize

BITS = 64
# Of 64 bits. Among the 1.1 million pairs of 1,500 different photos of VOC 2007 the nearest two
# differ in 12; the same photo in JPEG quality 30, or at half its size, differs in at most 2.
MOST_DIFFERENT = 8
_SIDE, _KEPT = 32, 8  # pixels; the lowest frequencies, across and down
_BLOCK = 2048  # pictures compared at a time with as many others; 16 MB


def _cosines() -> Float[np.ndarray, "8 32"]:
    """The first rows of the discrete cosine transform (DCT-II) of 32 numbers."""
    row, column = np.arange(_KEPT)[:, None], np.arange(_SIDE)[None]
    return np.cos(np.pi * (2 * column + 1) * row / (2 * _SIDE))


_DCT = _cosines()


def perceptual_hash(image: Pixels) -> Bool[np.ndarray, "64"]:
    """64 bits that say which low frequencies of the grey picture are stronger than most.

    Source: Zauner 2010, "Implementation and Benchmarking of Perceptual Image Hash Functions",
    section 3.2.1 (pHash): 32x32 grey, DCT, the 8x8 lowest frequencies against their median.
    """
    grey = resize(image, (_SIDE, _SIDE)) @ np.array(LUMA)
    frequencies = (_DCT @ grey @ _DCT.T).ravel().round(6)  # a plain picture has exact zeros
    stronger: np.ndarray = frequencies > np.median(frequencies)
    return stronger


def pairs(
    hashes: Bool[np.ndarray, "n 64"], most_different: int = MOST_DIFFERENT
) -> Int[np.ndarray, "p 2"]:
    """Every two rows, the first one lower, that differ in at most so many bits."""
    signs = np.where(hashes, np.float32(1), np.float32(-1))
    found = [np.zeros((0, 2), np.int64)]
    starts = range(0, len(signs), _BLOCK)
    for top, left in itertools.combinations_with_replacement(starts, 2):
        # equal bits add 1, different ones take 1 away: 64 - 2 x the number of different bits
        equal = signs[top : top + _BLOCK] @ signs[left : left + _BLOCK].T
        rows = np.argwhere(equal >= BITS - 2 * most_different) + np.array([top, left])
        found.append(rows[rows[:, 0] < rows[:, 1]])
    every = np.concatenate(found)
    return every[np.lexsort(every.T[::-1])]


def groups(count: int, links: Iterable[tuple[int, int]]) -> Int[np.ndarray, "n"]:
    """For each of `count` things the first one that links lead to, over any number of steps."""
    leader = list(range(count))

    def first_of(thing: int) -> int:
        while leader[thing] != thing:
            leader[thing] = leader[leader[thing]]
            thing = leader[thing]
        return thing

    for one, other in links:
        low, high = sorted((first_of(one), first_of(other)))
        leader[high] = low
    return np.array([first_of(thing) for thing in range(count)], np.int64)


def near_duplicate_groups(
    paths: Sequence[Path], on_image: Callable[[int, int], None] | None = None
) -> Int[np.ndarray, "n"]:
    """For each picture the number of the first one that shows the same, often its own.

    A picture that cannot be read is alone. on_image: told after each how many of how many are done.
    """
    hashes, rows = [], []
    for row, path in enumerate(paths):
        try:
            hashes.append(perceptual_hash(load(path)))
            rows.append(row)
        except ImageError:
            pass  # whoever reads the picture tells
        if on_image is not None:
            on_image(row + 1, len(paths))
    every = np.array(hashes, bool).reshape(-1, BITS)
    # each hash once: of n pictures of one colour there are n(n - 1)/2 pairs
    _, first, which = np.unique(every, axis=0, return_index=True, return_inverse=True)
    same = enumerate(first[which.ravel()].tolist())
    alike = first[pairs(every[first])].tolist()
    links = ((rows[one], rows[other]) for one, other in itertools.chain(same, alike))
    return groups(len(paths), links)
