"""Reading annotated pictures: `read` finds out the format by itself and gives names labels."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from boxray.data.annotated import PLAIN, Annotated, Conventions, Layout, Reading
from boxray.data.cache import Cache, default_cache, groups_of, key_of
from boxray.data.classes import ClassMap
from boxray.data.dataset import Dataset
from boxray.data.formats import recognise
from boxray.data.near_duplicates import near_duplicate_groups
from boxray.data.partition import DERIVED, Divider, Grouping, plain
from boxray.data.report import WARNING, Ledger, Report
from boxray.errors import FormatError
from boxray.records import Sample, Truths

_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Manner:
    """How a person wants annotated data to be read; the meanings are those of `read`."""

    format: str | None = None
    conventions: Conventions = PLAIN
    strict: bool = False
    cache: Cache | None = None
    on_picture: Callable[[int, int], None] | None = None

    @classmethod
    def asked(
        cls,
        *,
        format: str | None = None,  # noqa: A002  the word that users type
        voc_zero_based: bool = False,
        segments: bool = False,
        merge_names: bool = False,
        strict: bool = False,
        cache: Path | None = None,
        split_seed: int = 0,
    ) -> Manner:
        """What the options of the command line ask for; the user's own cache if none is named."""
        conventions = Conventions(voc_zero_based, segments, merge_names, split_seed=split_seed)
        kept = default_cache() if cache is None else Cache(cache)
        return cls(format, conventions, strict, kept)

    def read(
        self, folder: Path | str, split: str | None = None, classes: ClassMap | None = None
    ) -> Dataset:
        """`read` in this manner."""
        return read(
            folder,
            split,
            classes=classes,
            format=self.format,
            conventions=self.conventions,
            strict=self.strict,
            cache=self.cache,
            on_picture=self.on_picture,
        )

    def splits(self, folder: Path | str) -> tuple[str, ...]:
        """`splits` in this manner."""
        return splits(folder, self.format)

    def judge(self, report: Report, folder: Path | str) -> None:
        """Raise FormatError where the reading lost or mended something and the manner is strict."""
        if self.strict:
            _refuse_losses(report, Path(folder))


def splits(folder: Path | str, format: str | None = None) -> tuple[str, ...]:  # noqa: A002
    """The splits of the data set in `folder`: its own, or train and val that `read` makes."""
    return recognise(Path(folder), format).splits or DERIVED


def read(
    folder: Path | str,
    split: str | None = None,
    *,
    classes: ClassMap | None = None,
    format: str | None = None,  # noqa: A002  the word that users type
    conventions: Conventions = PLAIN,
    strict: bool = False,
    cache: Cache | None = None,
    on_picture: Callable[[int, int], None] | None = None,
) -> Dataset:
    """The data set in `folder` (or behind its COCO, YAML or CSV file), or one split of it.

    classes: the classes that are wanted and their synonyms; without it all classes are kept, in
    the order that the format gives them, or by name where it gives none (VOC). format: a name in
    the table of formats, where the folder does not tell. conventions: what its files cannot say.
    Without splits of its own a data set is divided 80/20 by the hash of its file names and the
    `split_seed` of the conventions, near-duplicates together: for that every picture is decoded,
    once where there is a cache; on_picture is told after each how many of how many are done. The
    files are only ever read. strict: whatever had to be repaired, skipped or refused is a
    FormatError, but not boxes of classes that are not wanted. cache: where the reading is kept, and
    found again as long as no file changed. Raises FormatError where it is no data set, or has no
    such split.
    """
    folder = Path(folder)
    layout = recognise(folder, format)
    wanted = None if split is None else _existing(split, layout, folder)
    if cache is None:
        group = partial(near_duplicate_groups, on_image=on_picture)
        dataset = _read(layout, wanted, classes, conventions, group)
    else:
        how = (wanted, classes, format, conventions)
        dataset = _kept(cache, folder, layout, how, on_picture)
    if strict:
        _refuse_losses(dataset.report, folder)
    return dataset


def _kept(
    cache: Cache,
    folder: Path,
    layout: Layout,
    how: tuple[str | None, ClassMap | None, str | None, Conventions],
    on_picture: Callable[[int, int], None] | None,
) -> Dataset:
    """What the cache keeps of this very state of the files, else a reading that it keeps now."""
    started, places = time.perf_counter(), list(dict.fromkeys((folder, layout.root)))
    key = key_of(places, how)
    found = cache.get(key)
    if found is not None:
        return found
    split, classes, _, conventions = how
    look = partial(near_duplicate_groups, on_image=on_picture)
    group = partial(groups_of, cache, root=layout.root, group=look)
    dataset = _read(layout, split, classes, conventions, group)
    if key == key_of(places, how):  # nothing changed while it was read
        cache.put(key, dataset, time.perf_counter() - started)
    return dataset


def _read(
    layout: Layout,
    split: str | None,
    classes: ClassMap | None,
    conventions: Conventions,
    group: Grouping,
) -> Dataset:
    ledger = Ledger()
    reading = layout.read(split, ledger, conventions, Divider(conventions.split_seed, group))
    samples, names = _label(reading, classes, ledger)
    report = ledger.close(len(samples), sum(len(sample.truths) for sample in samples))
    name = layout.root.resolve().name
    return Dataset(name, names, samples, split or "all", report, (layout.root,), reading.hierarchy)


def _refuse_losses(report: Report, folder: Path) -> None:
    losses = [note for note in report.notes if note.severity != WARNING]
    if losses:
        raise FormatError(f"{folder} is not read as it stands: {report.summary()}. {losses[0]}.")


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
        named = {*image.found.names} | image.present | image.absent
        for name in named - labels.keys():
            label, how = wanted.match(name) or (-1, "")
            labels[name] = label
            if label >= 0 and names[label] != name:
                ledger.matched[name] = names[label], how
        ledger.unmatched.update(name for name in image.found.names if labels[name] < 0)
        samples.append(_sample(image, labels))
    return tuple(samples), names


def _sample(image: Annotated, labels: dict[str, int]) -> Sample:
    found, source = image.found, str(image.source)
    rows = np.array([labels[name] for name in found.names], np.int64)
    wanted = rows >= 0
    if wanted.all():
        truths = Truths.of(
            found.boxes, rows, area=found.area, flags=found.flags, lines=found.lines, source=source
        )
    else:
        truths = Truths.of(
            found.boxes[wanted],
            rows[wanted],
            area=found.area[wanted],
            flags={flag: values[wanted] for flag, values in found.flags.items()},
            lines=found.lines[wanted],
            source=source,
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
    return frozenset({labels[name] for name in names} - {-1}) if names else _NONE
