"""`boxray data convert`: annotated data in another format, as a new folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray import data
from boxray.data.classes import read_class_file
from boxray.data.formats import named, recognise
from boxray.data.report import Report
from boxray.verbs.data.places import require_new_folder
from boxray.verbs.reading import PLAIN, notes_of
from boxray.verbs.sources import require_outside

SCHEMA = "boxray.data.convert/1"


@dataclass(frozen=True)
class ConvertReport:
    """What was read and what was written. splits: their names, none for one whole."""

    account: Report
    written: data.Written
    format: str
    splits: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, and what the new format cannot say, for people."""
        return (*notes_of(self.account), *self.written.notes())

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.convert/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "output": str(self.written.folder),
            "format": self.format,
            "splits": list(self.splits),
            "images": self.written.images,
            "boxes": self.written.boxes,
            "cannot_say": self.written.lost,
            "renamed": len(self.written.renamed),
        }


def convert(
    folder: Path,
    output: Path,
    to: str,
    *,
    split: str | None = None,
    classes: Path | None = None,
    link: bool = False,
    manner: data.Manner = PLAIN,
    on_image: Callable[[int, int], None] | None = None,
) -> ConvertReport:
    """Write annotated data, with its pictures and its own splits, in the format `to`.

    split: this one alone. classes: a class file, for these classes only. link: symbolic links in
    place of copies. manner: how the data is read. on_image: told after each picture how many of
    how many are placed.
    Raises FormatError where the folder is no data set, SettingError or OutputError for the rest.
    """
    named(to)  # refused, as is a folder in use, before anything is read
    require_new_folder(output)
    require_outside(output, [folder])
    wanted = read_class_file(classes) if classes else None
    own = recognise(folder, manner.format).splits if split is None else ()
    whole = manner.read(folder, split, wanted)
    same = wanted or data.ClassMap(whole.classes)  # though a part may lack some of them
    parts = [manner.read(folder, name, same) for name in own]
    written = data.write(
        parts or [whole], output, to, link=link, strict=manner.strict, on_image=on_image
    )
    return ConvertReport(whole.report, written, to, own)
