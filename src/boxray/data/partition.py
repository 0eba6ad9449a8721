"""Splits of a data set: their names, and one made by hashing where the data set has none."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence

DERIVED = ("train", "val")
DERIVED_NOTE = (
    "this data set has no splits: by the hash of its file name every fifth image is in 'val', "
    "the others are in 'train'"
)
_ORDER = ("train", "val", "test")
_ALIASES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


def plain(name: str) -> str:
    """A split's plain name: `val2017` and `valid` are `val`."""
    bare = re.sub(r"[_-]?(19|20)\d\d$", "", name) or name
    return _ALIASES.get(bare.lower(), bare)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """train, val, test, then the others by name."""
    return tuple(sorted(names, key=lambda name: (*(name != known for known in _ORDER), name)))


def derived_part(names: Sequence[str], split: str) -> frozenset[str]:
    """The names that belong to `train` or to `val`, which is the fifth with the lowest hashes.

    The same on every machine and in every order; where there are two names, no part is empty.
    """
    ranked = sorted(
        set(names), key=lambda name: hashlib.sha256(name.encode(errors="surrogateescape")).digest()
    )
    held_out = min(max(1, round(len(ranked) / 5)), len(ranked) - 1) if ranked else 0
    return frozenset(ranked[:held_out] if split == "val" else ranked[held_out:])
