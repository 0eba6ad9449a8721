"""`boxray data doctor`: what is wrong with a data set, and where."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from boxray.data import Manner
from boxray.data.formats import kind_of
from boxray.inspection import doctor as practice
from boxray.inspection import doctor_page
from boxray.inspection.doctor import CHECKS, Diagnosis
from boxray.inspection.examination import Finding
from boxray.inspection.patch import Patched, write_copy
from boxray.verbs.data.places import check_new_file, write_new_file
from boxray.verbs.reading import PLAIN

SCHEMA = "boxray.data.doctor/1"
DEFAULT_OUTPUT = Path("boxray-doctor.html")


@dataclass(frozen=True)
class DoctorReport:
    """What was found. page, patched: the page and the corrected copy, None if not asked for."""

    diagnosis: Diagnosis
    page: Path | None = None
    patched: Patched | None = None

    @property
    def healthy(self) -> bool:
        """Whether there is no finding of an error."""
        return self.diagnosis.count(practice.ERROR) == 0

    @property
    def spotless(self) -> bool:
        """Whether there is neither an error nor a warning; hints are allowed."""
        return self.healthy and self.diagnosis.count(practice.WARNING) == 0

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.doctor/1`, ready for json.dumps; boxes in pixels."""
        found = self.diagnosis.found
        dataset = self.diagnosis.examination.dataset
        return {
            "schema": SCHEMA,
            "healthy": self.healthy,
            "images": len(dataset),
            "boxes": dataset.report.boxes.kept,
            "counts": {name: len(findings) for name, findings in found.items()},
            "findings": [
                {"check": name, "severity": CHECKS[name].severity, **document_of(one)}
                for name, findings in found.items()
                for one in findings
            ],
            "page": None if self.page is None else str(self.page),
            "patched": None if self.patched is None else _copy(self.patched),
        }


def document_of(finding: Finding) -> dict[str, Any]:
    """A finding as JSON says it; its box in pixels."""
    return {
        "path": str(finding.path),
        "line": finding.line,
        "reason": finding.reason,
        "pictures": [str(path) for path in finding.pictures],
        "box": None if finding.box is None else [round(edge, 2) for edge in finding.box],
        "count": finding.count,
    }


def _copy(patched: Patched) -> dict[str, Any]:
    return {
        "output": str(patched.written.folder),
        "images": patched.written.images,
        "boxes": patched.written.boxes,
        "left_out": patched.left_out,
        "cannot_say": patched.written.lost,
    }


def doctor(
    folder: Path,
    checks: Sequence[str] = tuple(CHECKS),
    *,
    canvas: int = practice.DEFAULT_CANVAS,
    output: Path | None = None,
    overwrite: bool = False,
    patch: Path | None = None,
    manner: Manner = PLAIN,
    on_image: Callable[[int, int], None] | None = None,
) -> DoctorReport:
    """Run the checks over a data set; its files are only read.

    checks: their ids. canvas: side in pixels of the canvas that objects may be too small
    for. output: the .html file for the page with the pictures. patch: a new folder for a corrected
    copy. on_image: told after each picture how many of how many are decoded.
    Raises FormatError where the folder is no data set, SettingError or OutputError for the output.
    """
    if output is not None:
        may_replace = overwrite or output == DEFAULT_OUTPUT
        root = folder if folder.is_dir() else folder.parent
        check_new_file(output, ".html", (root,), may_replace=may_replace)
    diagnosis = practice.diagnose(folder, checks, canvas=canvas, manner=manner, on_image=on_image)
    if output is not None:
        write_new_file(output, doctor_page.page(diagnosis))
    copy = None if patch is None else write_copy(diagnosis, patch, kind_of(folder, manner.format))
    return DoctorReport(diagnosis, output, copy)
