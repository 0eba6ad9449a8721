"""A data set in memory, and several as one."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from boxray.data.classes import ClassMap
from boxray.data.hierarchy import Hierarchy
from boxray.data.report import Report, total
from boxray.errors import FormatError
from boxray.records import FLAGS, Sample


@dataclass(frozen=True)
class Dataset:
    """Images with their truths, and the account of how they were read.

    classes: the names that the truths' labels index. split: what was asked for, `all` for
    everything. roots: the folders that the images' paths are told relative to. hierarchy: which
    class is a kind of which, where the data set says so (Open Images).
    """

    name: str
    classes: tuple[str, ...]
    samples: tuple[Sample, ...]
    split: str
    report: Report
    roots: tuple[Path, ...] = ()
    hierarchy: Hierarchy | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def fingerprint(self) -> str:
        """A sha256 over class names, relative paths, sizes, boxes, labels, areas and flags.

        The same on every machine, and another one as soon as a single box moves or is flagged, or
        a picture's file is of another length.
        """
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for sample in self.samples:
            roots = self.roots or (sample.path.parent,)
            name = min((os.path.relpath(sample.path, root) for root in roots), key=len)
            told = [Path(name).as_posix(), *sample.size_hw, _length(sample.path), sample.labelled]
            digest.update(json.dumps(told).encode())
            digest.update(np.ascontiguousarray(sample.truths.boxes, "<f8").tobytes())
            digest.update(np.ascontiguousarray(sample.truths.labels, "<i8").tobytes())
            digest.update(np.ascontiguousarray(sample.truths.area, "<f8").tobytes())
            for flag in FLAGS:
                digest.update(np.ascontiguousarray(getattr(sample.truths, flag), bool).tobytes())
        return digest.hexdigest()


def _length(path: Path) -> int:
    """Of a file, in bytes; -1 of one that is gone."""
    try:
        return path.stat().st_size
    except OSError:
        return -1


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """Several data sets as one; classes are the union of theirs, in order of appearance.

    A class of a later one that an earlier one spells or calls otherwise (`ClassMap.match`) is that
    class; the report says which were matched so. The hierarchy is kept where all have the same.
    """
    if not datasets:
        raise FormatError("there is no data set to merge: expected at least one.")
    names = datasets[0].classes
    matched: dict[str, tuple[str, str]] = {}
    samples: list[Sample] = []
    for dataset in datasets:
        known, labels = ClassMap(names), []
        for name in dataset.classes:
            found = known.match(name)
            if found is None:
                names = (*names, name)
            elif known.names[found[0]] != name:
                matched[name] = known.names[found[0]], found[1]
            labels.append(len(names) - 1 if found is None else found[0])
        samples += [_relabel(sample, labels) for sample in dataset.samples]
    report = total([dataset.report for dataset in datasets])
    hierarchy = datasets[0].hierarchy
    alike = all(dataset.hierarchy == hierarchy for dataset in datasets)
    return Dataset(
        "+".join(dataset.name for dataset in datasets),
        names,
        tuple(samples),
        "+".join(dict.fromkeys(dataset.split for dataset in datasets)),
        replace(report, matched_classes=report.matched_classes | matched),
        tuple(root for dataset in datasets for root in dataset.roots),
        hierarchy if alike else None,
    )


def _relabel(sample: Sample, labels: list[int]) -> Sample:
    new = np.asarray(labels, np.int64)
    return replace(
        sample,
        truths=replace(sample.truths, labels=new[sample.truths.labels]),
        verified_present=frozenset(labels[i] for i in sample.verified_present),
        verified_absent=frozenset(labels[i] for i in sample.verified_absent),
    )
