"""Writing a data set in any format, as a new folder that is whole or absent."""

from __future__ import annotations

import os
import shutil
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from boxray.boxes import area
from boxray.data.dataset import Dataset
from boxray.data.formats import Format, named
from boxray.data.parts import AREA, CLASS_LIST, UNLABELLED, VERIFIED, WHOLE, Part
from boxray.data.pictures import without_suffix
from boxray.errors import FormatError, OutputError, SettingError
from boxray.files import building
from boxray.records import FLAGS, Sample

AREA_TOLERANCE = 1e-6  # of the box's own area; less is rounding


@dataclass(frozen=True)
class Written:
    """What was written, and what the format could not say.

    lost: fact of `parts.FACTS` → how many objects, pictures or classes it was known of. renamed:
    old path → new file name, of the pictures that could not keep theirs.
    """

    folder: Path
    images: int
    boxes: int
    lost: dict[str, int]
    renamed: dict[Path, str]

    def notes(self) -> list[str]:
        """What was lost or changed, one line each, for people."""
        lines = [f"the format cannot say: {fact} ({count})" for fact, count in self.lost.items()]
        if self.renamed:
            old, new = next(iter(self.renamed.items()))
            lines.append(f"{len(self.renamed)} pictures have another name, like {old}: {new}")
        return lines


def write(
    dataset: Dataset | Sequence[Dataset],
    folder: Path | str,
    format: str,  # noqa: A002  the word that users type
    *,
    link: bool = False,
    strict: bool = False,
    on_image: Callable[[int, int], None] | None = None,
) -> Written:
    """Write a data set, or its splits, with pictures, into a new or empty folder.

    Of several data sets each becomes a split; they need the same classes and names of splits of
    their own. link: pictures are symbolic links to the old ones, not copies. strict: what the
    format cannot say is an error. on_image: told after each picture how many of how many are
    placed. The old files are only read.
    Raises OutputError where the folder is in use, inside the data or cannot be written, and leaves
    nothing behind then; SettingError for parts that do not go together; FormatError if strict.
    """
    folder, line = Path(folder), named(format)
    datasets = [dataset] if isinstance(dataset, Dataset) else list(dataset)
    _refuse_strangers(datasets)
    _refuse_source(folder, datasets)
    parts, renamed = _parts(datasets)
    lost = _lost(parts, datasets[0].classes, line.says)
    if strict and lost:
        facts = ", ".join(f"{fact} ({count})" for fact, count in lost.items())
        raise FormatError(f"{format} cannot say: {facts}; with --strict nothing is written then.")
    if UNLABELLED not in line.says:
        parts = [_labelled(part) for part in parts]
    total = sum(len(part.samples) for part in parts)
    with building(folder) as unfinished:
        line.write(parts, datasets[0].classes, unfinished)
        done = 0
        for part in parts:
            place = _place_of_pictures(unfinished, line, part.split)
            for sample, name in zip(part.samples, part.names, strict=True):
                _place(sample.path, place / name, link)
                done += 1
                if on_image is not None:
                    on_image(done, total)
    boxes = sum(len(sample.truths) for part in parts for sample in part.samples)
    return Written(folder, total, boxes, lost, renamed)


def _refuse_strangers(datasets: Sequence[Dataset]) -> None:
    if not datasets:
        raise SettingError("there is no data set to write: expected at least one.")
    if not datasets[0].classes:
        raise SettingError("the data set has no classes: there is nothing to write about it.")
    if len({dataset.classes for dataset in datasets}) > 1:
        raise SettingError("the parts to write have different classes: read them with one list.")
    names = [dataset.split for dataset in datasets]
    if len(set(names)) < len(names) or (len(names) > 1 and WHOLE in names):
        raise SettingError(f"the parts to write need names of their own, got {', '.join(names)}.")


def _refuse_source(folder: Path, datasets: Sequence[Dataset]) -> None:
    """Nothing is written among the data, nor around it."""
    target = folder.resolve()
    for root in (root.resolve() for dataset in datasets for root in dataset.roots):
        if target == root or root in target.parents:
            raise OutputError(f"{folder} lies in the data {root}: data is never changed.")


def _parts(datasets: Sequence[Dataset]) -> tuple[list[Part], dict[Path, str]]:
    """The data sets as parts, and the pictures that need another name."""
    taken: set[str] = set()
    renamed: dict[Path, str] = {}
    parts = []
    for dataset in datasets:
        names = []
        for sample in dataset.samples:
            name = _free_name(sample.path.name, taken)
            if name != sample.path.name:
                renamed[sample.path] = name
            names.append(name)
        parts.append(Part(dataset.split, dataset.samples, tuple(names)))
    return parts, renamed


def _free_name(name: str, taken: set[str]) -> str:
    """A name that every list, file system and encoding can hold, with a stem of its own.

    Control characters, spaces around it and what is not UTF-8 go; a stem that ends like a picture
    (a.jpg.png) would be cut by readers of lists.
    """
    text = name.encode("utf-8", "replace").decode("utf-8")
    text = "".join("_" if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text)
    stem = without_suffix(text)
    suffix = text[len(stem) + 1 :] if stem is not None else "jpg"
    stem = (text if stem is None else stem).strip().replace("\\", "_") or "picture"
    if without_suffix(stem) is not None:
        stem = "_".join(stem.rsplit(".", 1))
    free, number = stem, 1
    while unicodedata.normalize("NFC", free).casefold() in taken:
        number += 1
        free = f"{stem}-{number}"
    taken.add(unicodedata.normalize("NFC", free).casefold())
    return f"{free}.{suffix}"


def _lost(parts: Sequence[Part], classes: tuple[str, ...], says: frozenset[str]) -> dict[str, int]:
    """How often each fact is known that the format cannot say."""
    known: Counter[str] = Counter()
    used: set[int] = set()
    for sample in (sample for part in parts for sample in part.samples):
        truths = sample.truths
        used.update(truths.labels.tolist())
        known.update({flag: int(getattr(truths, flag).sum()) for flag in FLAGS})
        own = area(truths.boxes)
        known[AREA] += int((np.abs(truths.area - own) > AREA_TOLERANCE * own).sum())
        known[VERIFIED] += len(sample.verified_present) + len(sample.verified_absent)
        known[UNLABELLED] += not sample.labelled
    known[CLASS_LIST] = len(classes) - len(used)
    return {fact: count for fact, count in known.items() if count and fact not in says}


def _labelled(part: Part) -> Part:
    """The part without the pictures that nobody annotated."""
    kept = [i for i, sample in enumerate(part.samples) if sample.labelled]
    samples: list[Sample] = [part.samples[i] for i in kept]
    return Part(part.split, tuple(samples), tuple(part.names[i] for i in kept))


def _place_of_pictures(folder: Path, line: Format, split: str) -> Path:
    place = folder / line.pictures.format(split="" if split == WHOLE else split)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _place(picture: Path, target: Path, link: bool) -> None:
    if link:
        os.symlink(picture.resolve(), target)  # noqa: PTH211  a link, absolute
    else:
        shutil.copyfile(picture, target)
