"""Checks of the splits: what is in two of them, what is missing in one."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import numpy as np

from boxray.data.near_duplicates import pairs
from boxray.inspection.examination import Examination, Finding


def leaking_split(examination: Examination) -> Iterator[Finding]:
    """One picture in two splits, by its path or by its bytes."""
    splits_of = examination.splits_of
    for path, names in splits_of.items():
        if len(names) > 1:
            yield Finding(path, f"it is in {' and in '.join(names)}", pictures=(path,))
    for first, *others in examination.same_bytes:
        for path in others:
            ours, theirs = splits_of.get(path, ()), splits_of.get(first, ())
            if ours and theirs and not set(ours) & set(theirs):
                reason = f"it is in {ours[0]}, and the same file as {first} in {theirs[0]}"
                yield Finding(path, reason, pictures=(path, first))


def near_duplicate_image(examination: Examination) -> Iterator[Finding]:
    """Pictures that show the same, in different splits."""
    if len(examination.splits) < 2:
        return
    looks = examination.looks
    paths = [path for path, look in looks.items() if look.hash is not None and not look.blank]
    hashes = np.array([looks[path].hash for path in paths], bool).reshape(-1, 64)
    twos = (itertools.combinations(same, 2) for same in examination.same_bytes)
    equal = {frozenset(two) for two in itertools.chain.from_iterable(twos)}
    for one, other in pairs(hashes).tolist():
        first, second = paths[one], paths[other]
        ours = examination.splits_of.get(first, ())
        theirs = examination.splits_of.get(second, ())
        if ours and theirs and not set(ours) & set(theirs) and {first, second} not in equal:
            bits = int((hashes[one] != hashes[other]).sum())
            reason = (
                f"it is in {theirs[0]} and shows what {first} in {ours[0]} shows "
                f"({bits} of 64 bits differ)"
            )
            yield Finding(second, reason, pictures=(second, first))


def class_missing_in_split(examination: Examination) -> Iterator[Finding]:
    """Classes that have boxes in one split and none in another."""
    counts = {}
    for name, part in examination.splits.items():
        counts[name] = Counter(
            label for sample in part.samples for label in sample.truths.labels.tolist()
        )
    for split, own in counts.items():
        for label, class_name in enumerate(examination.dataset.classes):
            elsewhere = [name for name, other in counts.items() if other[label]]
            if elsewhere and not own[label]:
                reason = f"class {class_name!r} has no box in {split}, but in {elsewhere[0]}"
                yield Finding(examination.dataset.roots[0], reason)
