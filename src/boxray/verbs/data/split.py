"""`boxray data split`: lists that divide a data set; the data itself is never changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int

from boxray import data
from boxray.data import near_duplicates, split_lists
from boxray.data.splitting import stratified
from boxray.errors import SettingError
from boxray.verbs.data.places import require_new_folder
from boxray.verbs.data.show import count_per_class
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import require_outside

SCHEMA = "boxray.data.split/1"
NAMES = ("train", "val", "test")
DEFAULT_OUTPUT = Path("boxray-split")
# Roboflow's exports hold several augmented copies of one picture: NAME_jpg.rf.HASH.jpg
_ROBOFLOW = re.compile(r"(.+)\.rf\.[0-9a-f]{16,}")


@dataclass(frozen=True)
class SplitReport:
    """The parts that were made. together: how many images share a group with another one.

    written: what became of a whole data set, None where lists were written.
    """

    parts: tuple[data.Dataset, ...]
    output: Path
    together: int
    written: data.Written | None = None

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, and what the new format cannot say, for people."""
        said = () if self.written is None else self.written.notes()
        return (*notes_of(self.parts[0].report), *said)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.split/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "output": str(self.output),
            "together": self.together,
            "cannot_say": {} if self.written is None else self.written.lost,
            "splits": {
                part.split: {
                    "images": len(part),
                    "per_class": {k: n for k, n in count_per_class(part).items() if n},
                }
                for part in self.parts
            },
        }


def split(
    folder: Path,
    *,
    shares: Sequence[float] = (80.0, 20.0),
    seed: int = 0,
    group_by: str | None = None,
    to: str | None = None,
    output: Path = DEFAULT_OUTPUT,
    manner: data.Manner = PLAIN,
    on_image: Callable[[int, int], None] | None = None,
) -> SplitReport:
    """Divide all images of a data set into train and val, or train, val and test.

    Every class gets its share of each; near-duplicates, and Roboflow's copies of one picture, stay
    together, and so do pictures whose names share what the pattern `group_by` matches (its first
    group, if it has one). Without `to`, a folder of lists that is read like the data, divided;
    with it, a whole data set in that format. output: a new or empty folder.
    on_image: told after each picture how many of how many were compared.
    Raises FormatError where the folder is no data set, SettingError or OutputError for the rest.
    """
    pattern = _pattern(group_by)
    names = NAMES[: len(shares)]
    if not 2 <= len(shares) <= len(NAMES):
        raise SettingError(f"--shares: expected 2 or 3 numbers like 80,10,10, got {len(shares)}.")
    require_new_folder(output)
    dataset = manner.read(folder)
    require_outside(output, dataset.roots)
    groups = _groups(dataset, pattern, on_image)
    chosen = stratified(_presence(dataset), groups, shares, seed=seed)
    parts = tuple(
        replace(
            dataset,
            samples=tuple(dataset.samples[i] for i in np.flatnonzero(chosen == position)),
            split=name,
        )
        for position, name in enumerate(names)
    )
    _refuse_empty(parts, len(set(groups.tolist())))
    written = None
    if to is not None:
        written = data.write(parts, output, to, strict=manner.strict)
    else:
        split_lists.write(parts, folder, output)
    sizes = np.bincount(groups, minlength=1)
    return SplitReport(parts, output, int(sizes[sizes > 1].sum()), written)


def _refuse_empty(parts: Sequence[data.Dataset], groups: int) -> None:
    empty = [part.split for part in parts if not len(part)]
    if empty:
        images = sum(map(len, parts))
        raise SettingError(
            f"nothing is left for {' and '.join(empty)}: {images} images in {groups} groups, each "
            "of images that show the same, are all there is to divide. Add pictures, or ask for "
            "fewer parts with --shares."
        )


def _pattern(text: str | None) -> re.Pattern[str] | None:
    try:
        return None if text is None else re.compile(text)
    except re.error as error:
        raise SettingError(f"--group-by {text!r} is no regular expression: {error}.") from error


def _presence(dataset: data.Dataset) -> Bool[np.ndarray, "n c"]:
    """Which classes each image has."""
    presence = np.zeros((len(dataset), len(dataset.classes)), bool)
    for row, sample in enumerate(dataset.samples):
        presence[row, sample.truths.labels] = True
    return presence


def _groups(
    dataset: data.Dataset,
    pattern: re.Pattern[str] | None,
    on_image: Callable[[int, int], None] | None,
) -> Int[np.ndarray, "n"]:
    """For each image the first one that it has to stay with."""
    paths = [sample.path for sample in dataset.samples]
    alike = near_duplicates.near_duplicate_groups(paths, on_image)
    links = list(enumerate(alike.tolist()))
    for one in (_ROBOFLOW, *([pattern] if pattern else [])):
        first: dict[str, int] = {}
        for row, path in enumerate(paths):
            match = one.search(path.name if one is pattern else path.stem)
            if match is not None:
                key = match[1] if one.groups else match[0]
                links.append((row, first.setdefault(key or "", row)))
    return near_duplicates.groups(len(paths), links)
