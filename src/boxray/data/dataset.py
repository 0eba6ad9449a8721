"""A data set in memory, and `read`, which finds out its format by itself."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from boxray.boxes import area
from boxray.data import coco, open_images, voc
from boxray.data.annotated import Annotated, Reading
from boxray.data.classes import ClassMap
from boxray.data.hierarchy import Hierarchy
from boxray.data.partition import DERIVED, plain
from boxray.data.report import Ledger, Report, total
from boxray.errors import FormatError
from boxray.records import NO_TRUTHS, Sample, Truths

FORMATS = ("voc", "coco", "open-images")
Layout = voc.Layout | coco.Layout | open_images.Layout


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
        """A sha256 over class names, relative paths, sizes, boxes and labels.

        The same on every machine, and another one as soon as a single box moves.
        """
        digest = hashlib.sha256(json.dumps(self.classes).encode())
        for sample in self.samples:
            roots = self.roots or (sample.path.parent,)
            name = min((os.path.relpath(sample.path, root) for root in roots), key=len)
            digest.update(json.dumps([Path(name).as_posix(), *sample.size_hw]).encode())
            digest.update(np.ascontiguousarray(sample.truths.boxes, "<f8").tobytes())
            digest.update(np.ascontiguousarray(sample.truths.labels, "<i8").tobytes())
        return digest.hexdigest()


def splits(folder: Path | str) -> tuple[str, ...]:
    """The splits of the data set in `folder`: its own, or train and val made by hashing names."""
    return _recognise(Path(folder), None).splits or DERIVED


def read(
    folder: Path | str,
    split: str | None = None,
    *,
    classes: ClassMap | None = None,
    format: str | None = None,  # noqa: A002  the word that users type
    zero_based: bool = False,
) -> Dataset:
    """The data set in `folder` (or the COCO file or Open Images table), or one split of it.

    classes: the classes that are wanted and their synonyms; without it all classes are kept,
    in the order of their COCO ids or of Open Images' list of classes, or by name. format: `voc`,
    `coco` or `open-images`, where the folder does not tell. zero_based: VOC files whose first
    pixel is 0. Without splits of its own a data set is divided 80/20 by the hash of its file
    names. The files are only ever read.
    Raises FormatError where the folder is no data set, or has no such split.
    """
    folder = Path(folder)
    layout = _recognise(folder, format)
    wanted = None if split is None else _existing(split, layout, folder)
    ledger = Ledger()
    if isinstance(layout, voc.Layout):
        reading = voc.read(layout, wanted, ledger, zero_based=zero_based)
    elif isinstance(layout, coco.Layout):
        reading = coco.read(layout, wanted, ledger)
    else:
        reading = open_images.read(layout, wanted, ledger)
    samples, names = _label(reading, classes, ledger)
    report = ledger.close(len(samples), sum(len(sample.truths) for sample in samples))
    name = layout.root.resolve().name
    return Dataset(name, names, samples, wanted or "all", report, (layout.root,), reading.hierarchy)


def merge(datasets: Sequence[Dataset]) -> Dataset:
    """Several data sets as one; classes are the union of theirs, in order of appearance."""
    if not datasets:
        raise FormatError("there is no data set to merge: expected at least one.")
    names = tuple(dict.fromkeys(name for dataset in datasets for name in dataset.classes))
    samples: list[Sample] = []
    for dataset in datasets:
        labels = [names.index(name) for name in dataset.classes]
        samples += [_relabel(sample, labels) for sample in dataset.samples]
    return Dataset(
        "+".join(dataset.name for dataset in datasets),
        names,
        tuple(samples),
        "+".join(dict.fromkeys(dataset.split for dataset in datasets)),
        total([dataset.report for dataset in datasets]),
        tuple(root for dataset in datasets for root in dataset.roots),
    )


def _relabel(sample: Sample, labels: list[int]) -> Sample:
    new = np.asarray(labels, np.int64)
    return replace(
        sample,
        truths=replace(sample.truths, labels=new[sample.truths.labels]),
        verified_present=frozenset(labels[i] for i in sample.verified_present),
        verified_absent=frozenset(labels[i] for i in sample.verified_absent),
    )


def _recognise(folder: Path, format_name: str | None) -> Layout:
    """The one format that the folder is in."""
    if not folder.exists():
        raise FormatError(f"there is no data set at {folder}: no such file or folder.")
    if format_name not in (None, *FORMATS):
        raise FormatError(f"no format '{format_name}': expected one of {', '.join(FORMATS)}.")
    found: dict[str, Layout] = {}
    for name, recognise in (
        ("voc", voc.recognise),
        ("coco", coco.recognise),
        ("open-images", open_images.recognise),
    ):
        if format_name in (None, name) and (name != "voc" or folder.is_dir()):
            layout = recognise(folder)
            found |= {name: layout} if layout else {}
    if len(found) > 1:
        names = " and ".join(f"'{name}'" for name in found)
        raise FormatError(
            f"{folder} holds annotations in several formats: say which with the format {names}."
        )
    if not found:
        raise FormatError(
            f"{folder} is not a data set that boxray knows. Expected for VOC: Annotations/*.xml "
            "beside JPEGImages/, or XML files beside their pictures; for COCO: "
            "annotations/instances_*.json, or one JSON file; for Open Images: a CSV table of boxes "
            "with the columns ImageID, LabelName, XMin, XMax, YMin, YMax."
        )
    return next(iter(found.values()))


def _existing(split: str, layout: Layout, folder: Path) -> str:
    """The plain name of a split that exists."""
    have = layout.splits or DERIVED
    for name in (split, plain(split)):
        if name in have:
            return name
    if split == "trainval" and set(DERIVED) <= set(have) and layout.splits:
        return split
    raise FormatError(f"{folder} has no split '{split}'. It has: {', '.join(have)}.")


def _label(
    reading: Reading, classes: ClassMap | None, ledger: Ledger
) -> tuple[tuple[Sample, ...], tuple[str, ...]]:
    """Samples with labels for names; objects of other classes are left out and counted."""
    names = classes.names if classes else reading.classes
    wanted = classes or ClassMap(names)
    exact = {name: label for label, name in enumerate(names)}
    labels = exact if classes is None else {}
    samples = []
    for image in reading.images:
        named = {row.name for row in image.found} | image.present | image.absent
        for name in named - labels.keys():
            label = wanted.label_of(name)
            labels[name] = -1 if label is None else label
        ledger.unmatched.update(row.name for row in image.found if labels[row.name] < 0)
        samples.append(_sample(image, labels))
    return tuple(samples), names


def _sample(image: Annotated, labels: dict[str, int]) -> Sample:
    rows = [row for row in image.found if labels[row.name] >= 0]
    truths = replace(NO_TRUTHS, source=str(image.source))
    if rows:
        boxes = np.array([row.box for row in rows], np.float64)
        own = area(boxes).tolist()
        areas = [
            at_hand if row.area is None else row.area
            for row, at_hand in zip(rows, own, strict=True)
        ]
        used = frozenset().union(*(row.flags for row in rows))
        truths = Truths.of(
            boxes,
            np.array([labels[row.name] for row in rows], np.int64),
            area=np.array(areas, np.float64),
            flags={flag: np.array([flag in row.flags for row in rows]) for flag in used},
            lines=np.array([row.line for row in rows], np.int64),
            source=str(image.source),
        )
    return Sample(
        image.path,
        image.frame.size_hw,
        truths,
        orientation=image.frame.orientation,
        verified_present=_labels_of(image.present, labels),
        verified_absent=_labels_of(image.absent, labels),
        labelled=image.labelled,
    )


def _labels_of(names: frozenset[str], labels: dict[str, int]) -> frozenset[int]:
    return frozenset(labels[name] for name in names) - {-1}
