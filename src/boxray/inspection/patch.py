"""A corrected copy of a data set: what the doctor found wrong is repaired or left out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from boxray.data import Dataset, Written, write
from boxray.data.near_duplicates import groups
from boxray.data.partition import in_order
from boxray.inspection.doctor import Diagnosis
from boxray.records import Sample

EXACT = ("duplicate-image", "leaking-split")


@dataclass(frozen=True)
class Patched:
    """The copy. left_out: why → how many pictures or boxes are not in it."""

    written: Written
    left_out: dict[str, int]


def write_copy(diagnosis: Diagnosis, folder: Path, kind: str) -> Patched:
    """Write the data set that was examined, corrected, into a new or empty `folder`.

    kind: a name in the table of formats. The copy has what the readers kept: boxes clipped
    to their picture, no boxes that cannot be. Left out are pictures that cannot be read, pictures
    whose boxes were all skipped, copies of a picture (the one in the split that judges, test
    before val before train, is kept), near-duplicates of what a split that judges has, and the
    second of two boxes that are nearly the same. Only what the checks that ran have found.
    """
    examination = diagnosis.examination
    dropped = dict(_dropped_pictures(diagnosis))
    again = _boxes(diagnosis)
    parts = list(examination.splits.values()) or [examination.dataset]
    taken: set[Path] = set()
    report = examination.dataset.report
    left_out = {
        "pictures that could not be taken in": report.images.skipped + report.images.refused,
        "boxes that cannot be, or were there already": report.boxes.skipped,
    }
    corrected = []
    for part in sorted(parts, key=lambda part: -_rank(part.split, parts)):
        kept = []
        for sample in part.samples:
            reason = dropped.get(sample.path) or ("in two splits" if sample.path in taken else "")
            if reason:
                left_out[reason] = left_out.get(reason, 0) + 1
                continue
            taken.add(sample.path)
            kept.append(_without(sample, again))
        corrected.append(replace(part, samples=tuple(kept)))
    left_out["boxes drawn twice"] = len(again)
    corrected.sort(key=lambda part: _rank(part.split, parts))
    told = {reason: count for reason, count in left_out.items() if count}
    return Patched(write(corrected, folder, kind), told)


def _rank(split: str, parts: list[Dataset]) -> int:
    """How much a split judges: train, val, test, in this order."""
    return in_order(part.split for part in parts).index(split)


def _dropped_pictures(diagnosis: Diagnosis) -> Iterator[tuple[Path, str]]:
    """Pictures that are in no split of the copy, and why."""
    found, examination = diagnosis.found, diagnosis.examination
    for finding in found.get("unreadable-image", ()):
        yield finding.path, "unreadable pictures"
    for finding in found.get("missing-labels", ()):
        path = finding.pictures[0]
        if examination.samples[path].labelled:
            yield path, "pictures whose boxes were all skipped"
    parts = list(examination.splits.values())
    rank = {
        path: max(_rank(name, parts) for name in names)
        for path, names in examination.splits_of.items()
    }
    exact = [one.pictures for name in EXACT for one in found.get(name, ()) if one.pictures[1:]]
    for path in _copies(exact, rank):
        yield path, "copies of another picture"
    for finding in found.get("near-duplicate-image", ()):
        lesser = min(finding.pictures, key=lambda path: rank[path])
        yield lesser, "near-duplicates of a picture in another split"


def _copies(links: list[tuple[Path, ...]], rank: dict[Path, int]) -> Iterator[Path]:
    """All but one of the pictures that links lead to: the one of the highest rank stays."""
    paths = list(dict.fromkeys(path for link in links for path in link))
    leaders = groups(len(paths), ((paths.index(a), paths.index(b)) for a, b in links))
    for leader in set(leaders.tolist()):
        same = [path for path, own in zip(paths, leaders, strict=True) if own == leader]
        best = max(same, key=lambda path: rank.get(path, 0))
        yield from (path for path in same if path != best)


def _boxes(diagnosis: Diagnosis) -> set[tuple[Path, int]]:
    """Picture and line of every box that is nearly another one."""
    found = diagnosis.found.get("near-duplicate-box", ())
    return {(finding.pictures[0], finding.line) for finding in found}


def _without(sample: Sample, again: set[tuple[Path, int]]) -> Sample:
    """The sample without boxes that are drawn twice."""
    lines = sample.truths.lines.tolist()
    good = np.array([(sample.path, line) not in again for line in lines], bool)
    return sample if good.all() else replace(sample, truths=sample.truths.take(good))
