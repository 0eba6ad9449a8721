"""Splits of a data set: their names, and one made where the data set has none."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Int

from boxray.data.near_duplicates import near_duplicate_groups
from boxray.data.pictures import without_suffix
from boxray.data.report import WARNING, Ledger

DERIVED = ("train", "val")
Grouping: TypeAlias = Callable[[Sequence[Path]], Int[np.ndarray, "n"]]
KNOWN_SPLITS = ("train", "val", "test")  # plain names, in this order
_ALIASES = {"valid": "val", "validation": "val", "training": "train", "testing": "test"}


def plain(name: str) -> str:
    """A split's plain name: `val2017` and `valid` are `val`."""
    bare = re.sub(r"[_-]?(19|20)\d\d$", "", name) or name
    return _ALIASES.get(bare.lower(), bare)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """train, val, test, then the others by name."""
    return tuple(sorted(names, key=lambda name: (*(name != known for known in KNOWN_SPLITS), name)))


def divisions(names: Iterable[str]) -> tuple[str, ...]:
    """The splits among the parts of these names, in order; the name of a whole is empty.

    A part to learn from with nothing to check on is all there is, and no split.
    """
    splits = in_order(name for name in names if name)
    return () if splits == ("train",) else splits


def held_out(names: Sequence[str], groups: Sequence[int], *, seed: int = 0) -> frozenset[str]:
    """A fifth of the names, in whole groups: those that the hashes of names and seed put first.

    groups: names of one number stay together; if all have the same, each name is on its own. The
    same on every machine and in every order. A fifth but for less than the largest group; where
    there are two names, neither this part nor the rest is empty.
    """
    group_of = dict(zip(names, groups, strict=True))
    lots = {name: _lot(name, seed) for name in group_of}
    members: dict[int | str, list[str]] = {}
    alike = len(set(group_of.values())) == 1
    for name in sorted(lots, key=lots.__getitem__):
        members.setdefault(name if alike else group_of[name], []).append(name)
    if len(members) < 2:
        return frozenset()
    room, chosen = max(1, round(len(lots) / 5)), list[str]()
    for group in members.values():
        if len(chosen) + len(group) <= room:
            chosen += group
    smallest = min(members.values(), key=len)
    return frozenset(chosen or smallest)


def _lot(name: str, seed: int) -> bytes:
    text = f"{seed}:{name}" if seed else name
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


class Place(NamedTuple):
    """A line of a list, from 1."""

    path: Path
    line: int


class Listed:
    """The pictures that a list names: as seen from the root of the data, or from the disk's.

    A name without a folder means every picture of this name, with its ending or without.
    missing: the lines that no picture answered to so far.
    """

    def __init__(self, root: Path, lines: Mapping[str, Place]) -> None:
        self.root, self.lines, self.missing = root, lines, dict(lines)
        bare = {line: without_suffix(line.rpartition("/")[2]) or line for line in lines}
        self._stems = {stem: line for line, stem in bare.items()}

    def part(self, pictures: Mapping[str, Path | None]) -> frozenset[str]:
        """The names whose picture is listed; a name without a picture is known by its stem."""
        found = {name: self._line(name, picture) for name, picture in pictures.items()}
        for line in found.values():
            self.missing.pop(line, None)
        return frozenset(name for name, line in found.items() if line)

    def _line(self, name: str, picture: Path | None) -> str:
        """The line that names a picture, or nothing."""
        if picture is None:
            return self._stems.get(without_suffix(name) or name, "")
        seen = Path(os.path.relpath(picture, self.root)).as_posix()
        spellings = (seen, str(picture), picture.name, picture.stem)
        return next((spelling for spelling in spellings if spelling in self.lines), "")


@dataclass(frozen=True)
class Divider:
    """Divides a data set without splits into `train` and `val`, for the readers of all formats.

    seed: another one is another division. group: for each picture the number of the first one that
    shows the same. listed: the pictures of the part that is read, where a list says it.
    """

    seed: int = 0
    group: Grouping = near_duplicate_groups
    listed: Listed | None = None

    def splits_of(self, own: tuple[str, ...]) -> tuple[str, ...]:
        """The splits that a data set has: its own, unless a list divides it."""
        return own if self.listed is None else ()

    def part(
        self, pictures: Mapping[str, Path | None], split: str, place: Path, ledger: Ledger
    ) -> frozenset[str]:
        """The names that belong to the split, remarked in the ledger under `place`.

        pictures: of every name the picture; a name without one is on its own.
        """
        if self.listed is not None:
            return self.listed.part(pictures)
        names = sorted(pictures)
        paths = {name: path for name in names if (path := pictures[name]) is not None}
        rows = {name: row for row, name in enumerate(names)}
        own = list(paths)
        groups = list(range(len(names)))
        for name, leader in zip(own, self.group(list(paths.values())).tolist(), strict=True):
            groups[rows[name]] = rows[own[leader]]
        validation = held_out(names, groups, seed=self.seed)
        ledger.remark(WARNING, place, _note(groups, self.seed))
        return validation if split == "val" else frozenset(names) - validation


def _note(groups: Sequence[int], seed: int) -> str:
    alike = len(groups) - len(set(groups))
    together = f"; {alike} near-duplicates stay with their likes" if alike else ""
    if groups and alike == len(groups) - 1 > 0:
        together = "; all pictures are alike, so near-duplicates are in both"
    return (
        f"this data set has no splits: by hash of names and seed {seed} a fifth of its images is "
        f"in 'val', the others are in 'train'{together}"
    )
