"""How many boxes of which class and size there are, with or without their pictures."""

from __future__ import annotations

from pathlib import Path

from boxray import data
from boxray.data import open_images
from boxray.data.census import Statistics, of_dataset
from boxray.data.classes import ClassMap, read_class_file
from boxray.data.label_tables import read_classes
from boxray.data.report import Ledger
from boxray.data.table_scan import OnRows, scan
from boxray.errors import FormatError
from boxray.verbs.reading import PLAIN


def measure(
    source: Path,
    split: str | None,
    classes: Path | None,
    *,
    manner: data.Manner = PLAIN,
    on_rows: OnRows | None = None,
) -> Statistics:
    """The statistics of annotated data; nothing is written.

    A table of Open Images that is given itself, or that lies in a folder without its pictures,
    is streamed, however long it is, and never from a cache; everything else is read as training
    reads it. classes: a class file, for these classes only. manner: how it is read.
    Raises FormatError where there is no data, split or box.
    """
    wanted = read_class_file(classes) if classes else None
    may_be_table = source.exists() and manner.format in (None, "open-images")
    layout = open_images.recognise(source) if may_be_table else None
    if layout is not None and (source.is_file() or not open_images.has_pictures(layout)):
        statistics = scan(*_table(layout, split, wanted), on_rows=on_rows)
        manner.judge(statistics.report, source)
    else:
        statistics = of_dataset(manner.read(source, split, wanted))
    if not statistics.boxes.sum():
        raise FormatError(f"{source} has no boxes to count. {statistics.report.summary()}.")
    return statistics


def _table(
    layout: open_images.Layout, split: str | None, wanted: ClassMap | None
) -> tuple[Path, dict[str, str] | None]:
    """The one table to stream, and the names of the labels in it."""
    path = layout.tables[open_images.split_of(layout, split)]
    names = read_classes(layout.classes, Ledger()) if layout.classes else None
    if wanted is None or names is None:
        return path, names
    labels = {label: wanted.label_of(name) for label, name in names.items()}
    return path, {key: wanted.names[label] for key, label in labels.items() if label is not None}
