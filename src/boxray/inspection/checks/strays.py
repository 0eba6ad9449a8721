"""The check of the folder: files that nothing refers to."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from boxray.data.pictures import without_suffix
from boxray.inspection.examination import Examination, Finding

# Annotations, lists of names or images, and what tells about a data set.
EXPECTED = frozenset(
    {"xml", "json", "csv", "txt", "yaml", "yml", "names", "data", "md", "pdf", "html", "cache"}
)
EXPECTED_NAMES = frozenset({"license", "licence", "readme", "classes"})


def stray_file(examination: Examination) -> Iterator[Finding]:
    """Pictures that no annotation names, and files of a kind that does not belong here."""
    told = {note.picture or note.path for note in examination.dataset.report.notes}
    known = {path.resolve() for path in (*examination.samples, *told)}
    for root in examination.dataset.roots:
        for path in _files(root):
            if path.resolve() in known or path.stem.lower() in EXPECTED_NAMES:
                continue
            if without_suffix(path.name) is not None:
                yield Finding(path, "no annotation names this picture", pictures=(path,))
            elif path.suffix.lower().lstrip(".") not in EXPECTED:
                yield Finding(path, "neither a picture nor an annotation")


def _files(root: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names))
