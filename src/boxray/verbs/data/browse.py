"""`boxray data browse`: a data set as one HTML file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray import data
from boxray.data.classes import read_class_file
from boxray.inspection import browse as pages
from boxray.verbs.data.places import check_new_file, write_new_file
from boxray.verbs.reading import PLAIN, notes_of

SCHEMA = "boxray.data.browse/1"
DEFAULT_OUTPUT = Path("boxray-browse.html")


@dataclass(frozen=True)
class BrowseReport:
    """The page that was written, and how many images are on it."""

    dataset: data.Dataset
    page: Path
    shown: int

    @property
    def notes(self) -> tuple[str, ...]:
        """How the reading went, for people."""
        return notes_of(self.dataset.report)

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.browse/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "page": str(self.page),
            "images": len(self.dataset),
            "shown": self.shown,
        }


def browse(
    folder: Path,
    *,
    split: str | None = None,
    classes: Path | None = None,
    limit: int = pages.DEFAULT_LIMIT,
    output: Path = DEFAULT_OUTPUT,
    overwrite: bool = False,
    manner: data.Manner = PLAIN,
) -> BrowseReport:
    """Write a page with the images of a data set, to be filtered by class, size and flag.

    limit: how many images at most, evenly chosen. output: the new .html file.
    Raises FormatError where the folder is no data set, SettingError or OutputError for the file.
    """
    dataset = manner.read(folder, split, read_class_file(classes) if classes else None)
    may_replace = overwrite or output == DEFAULT_OUTPUT
    check_new_file(output, ".html", dataset.roots, may_replace=may_replace)
    write_new_file(output, pages.page(dataset, limit))
    return BrowseReport(dataset, output, min(limit, len(dataset)))
