"""`boxray preflight`: will it learn? In its quick form the first thing that `train` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from boxray.errors import PreflightError
from boxray.inspection.doctor import ERROR, chosen
from boxray.inspection.examination import Finding
from boxray.verbs.data.doctor import document_of
from boxray.verbs.running import missing_extra
from boxray.verbs.terminal import shown
from boxray.verbs.train_options import TrainOptions

if TYPE_CHECKING:
    from boxray.preflight import Inspection
    from boxray.training.preparation import Prepared
    from boxray.training.watching import Watcher

SCHEMA = "boxray.preflight/1"
PASSED, FOUND, UNFINISHED, NOT_RUN = "passed", "found", "unfinished", "not run"


@dataclass(frozen=True)
class Line:
    """One check: its id, what it looks for, how it went, what it measured and found."""

    check: str
    severity: str
    what: str
    state: str
    measured: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True)
class PreflightReport:
    """What every check said. recipe, images, boxes: what was looked at."""

    recipe: str
    images: int
    boxes: int
    lines: tuple[Line, ...]

    def count(self, severity: str) -> int:
        """How many checks of this severity found something."""
        return sum(line.state == FOUND and line.severity == severity for line in self.lines)

    @property
    def ready(self) -> bool:
        """Whether no check found an error."""
        return self.count(ERROR) == 0

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.preflight/1`, ready for json.dumps; boxes in pixels."""
        return {
            "schema": SCHEMA,
            "ready": self.ready,
            "recipe": self.recipe,
            "images": self.images,
            "boxes": self.boxes,
            "checks": [
                {
                    "check": line.check,
                    "severity": line.severity,
                    "state": line.state,
                    "measured": line.measured,
                    "findings": [document_of(one) for one in line.findings],
                }
                for line in self.lines
            ],
        }


def preflight(
    data: Sequence[Path],
    *,
    options: TrainOptions,
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    quick: bool = False,
    console: Console | None = None,
    on_check: Callable[[str], None] | None = None,
) -> PreflightReport:
    """Try whether a training on annotated folders will learn; nothing is written.

    options: of the training. only, skip: ids of checks. quick: as `train` does it, on some of the
    pictures and without learning any by heart. console: where it is told how the data is read.
    Raises MissingExtra without torch, FormatError or SettingError for what cannot be trained.
    """
    try:
        from boxray import preflight as practice
        from boxray import training
        from boxray.training.starting import ready
        from boxray.training.watching import Watcher
    except ModuleNotFoundError as error:
        raise missing_extra(error, "preflight") from error
    known = practice.QUICK if quick else tuple(practice.CHECKS)
    checks = chosen(only, skip, known)
    settings = training.TrainSettings(data=tuple(data), output=Path(), **options)
    prepared = ready(settings, Watcher(console))
    subject = practice.Subject(prepared, practice.QUICK_PICTURES if quick else None)
    return report_of(prepared, practice.inspect(subject, checks, on_check=on_check))


def report_of(prepared: Prepared, inspection: Inspection) -> PreflightReport:
    """What was said, in words that need no torch."""
    from boxray.preflight import CHECKS

    lines = []
    for name, said in inspection.said.items():
        severity, what = CHECKS[name].severity, CHECKS[name].what
        if said is None:
            lines.append(Line(name, severity, what, NOT_RUN, "", ()))
            continue
        state = FOUND if said.findings else PASSED if said.finished else UNFINISHED
        lines.append(Line(name, severity, what, state, said.measured, said.findings))
    part = prepared.train
    boxes = sum(len(sample.truths) for sample in part.samples)
    return PreflightReport(prepared.recipe.name, len(part), boxes, tuple(lines))


def refuse_what_is_in_vain(prepared: Prepared, watcher: Watcher) -> None:
    """The quick form: says what it finds; PreflightError where that is an error."""
    from boxray import preflight as practice

    subject = practice.Subject(prepared, practice.QUICK_PICTURES)
    report = report_of(prepared, practice.inspect(subject, practice.QUICK))
    found = [line for line in report.lines if line.state == FOUND]
    for line in found:
        more = f" (and {len(line.findings) - 1} more)" if len(line.findings) > 1 else ""
        watcher.say(f"Preflight, {line.severity} {line.check}: {_first(line)}{more}")
    if not report.ready:
        bad = [line for line in found if line.severity == ERROR]
        raise PreflightError(
            f"it would not learn ({bad[0].check}): {_first(bad[0])}. Nothing was written. "
            "All about it: boxray preflight DATA. To train all the same: --no-preflight."
        )


def _first(line: Line) -> str:
    return shown(line.findings[0].reason)
