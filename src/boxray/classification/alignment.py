"""ImageNet's classes as other people's: Open Images', COCO's, VOC's, and those named like them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib import resources

import numpy as np
from jaxtyping import Int

from boxray.boxes import Array
from boxray.classification import imagenet
from boxray.data.classes import ClassMap
from boxray.errors import SettingError

NONE = "-"  # in the table, where a class has no counterpart
LISTS = ("open-images", "coco", "voc")  # the table's columns after the WordNet id


@cache
def rows() -> tuple[tuple[str, ...], ...]:
    """For each class of ImageNet, in order, what `LISTS` call it; alignment.tsv says how made."""
    text = resources.files(__package__).joinpath("alignment.tsv").read_text("utf-8")
    lines = (line.split("\t") for line in text.splitlines() if not line.startswith("#"))
    return tuple(tuple(line[1:]) for line in lines)


def to(names: Sequence[str]) -> Int[Array, "classes"]:
    """For each of ImageNet's 1,000 classes the index of the name that means it, or -1.

    A name is found by its spelling or a known synonym. The list that has most of the names is asked
    first, of two alike the smaller, so that VOC's 20 names get what VOC means by them. A class
    that a list calls Owl is no Bird for it: the table holds one name for each class and list.
    """
    targets = ClassMap(tuple(names))
    labels = np.array([[_label(name, targets) for name in row] for row in rows()])
    known = [len(set(column) - {-1}) for column in labels.T]
    order = sorted(range(len(LISTS)), key=lambda at: (-known[at], -at))
    found = np.full(len(labels), -1)
    for at in order:
        found = np.where(found < 0, labels[:, at], found)
    return found


def names(of: str) -> tuple[str, ...]:
    """The classes of one of `LISTS` that some of ImageNet's classes mean, in alphabetical order.

    Raises SettingError for another list.
    """
    if of not in LISTS:
        raise SettingError(f"no list of classes {of!r}; expected one of {', '.join(LISTS)}.")
    return tuple(sorted({row[LISTS.index(of)] for row in rows()} - {NONE}))


def meanings(
    targets: Sequence[str], classes: Sequence[str], wnids: Sequence[str] = ()
) -> tuple[int, ...]:
    """For each class of a classifier the index of the target that means it, or -1.

    By the table, where the classes have WordNet ids of ImageNet's; else by name and synonym.
    Raises SettingError for targets none of which is meant.
    """
    if wnids:
        table = dict(zip(imagenet.classes().wnids, to(targets).tolist(), strict=True))
        found = tuple(table.get(wnid, -1) for wnid in wnids)
    else:
        known = ClassMap(tuple(targets))
        found = tuple(_label(name, known) for name in classes)
    if set(found) <= {-1}:
        raise SettingError(
            f"none of the classes {', '.join(targets[:5])} … is one that the classifier knows by "
            "its name or WordNet id. boxray.classification.alignment.coverage(names) counts them."
        )
    return found


def coverage(names: Sequence[str]) -> dict[str, int]:
    """How many of ImageNet's classes each name has; 0 for one that a classifier cannot find."""
    counts = np.bincount(to(names) + 1, minlength=len(names) + 1)[1:]
    return dict(zip(names, map(int, counts), strict=True))


def _label(name: str, targets: ClassMap) -> int:
    label = None if name == NONE else targets.label_of(name)
    return -1 if label is None else label
