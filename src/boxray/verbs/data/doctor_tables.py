"""What the doctor found, for a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from boxray.inspection.doctor import CHECKS, ERROR, HINT, WARNING
from boxray.inspection.doctor_page import place_of
from boxray.inspection.patch import Patched
from boxray.verbs.data.doctor import DoctorReport
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown

MOST_PER_CHECK = 5  # findings that are spelt out; the page and --json have more
STYLE = {ERROR: "bold red", WARNING: "yellow", HINT: "dim"}


def diagnosis(report: DoctorReport) -> list[RenderableType]:
    """How many findings each check has, then the first ones of each, then the verdict."""
    found = report.diagnosis.found
    examination = report.diagnosis.examination
    rows = table("check", "severity", "findings", "finds")
    parts: list[RenderableType] = [rows]
    for name, findings in found.items():
        if not findings:
            continue
        severity = CHECKS[name].severity
        styled = Text(severity, STYLE[severity])
        rows.add_row(name, styled, str(len(findings)), CHECKS[name].what)
        parts.append(Text(name, "bold"))
        parts += [
            f"  {shown(place_of(one, examination))}: {shown(one.reason)}"
            for one in findings[:MOST_PER_CHECK]
        ]
        if len(findings) > MOST_PER_CHECK:
            parts.append(f"  and {len(findings) - MOST_PER_CHECK} more")
    if len(parts) == 1:
        parts = []
    parts.append(_verdict(report))
    if report.page is not None:
        parts.append(f"The page with the pictures is {shown(str(report.page))}")
    if report.patched is not None:
        parts += _patched(report.patched)
    return parts


def _patched(patched: Patched) -> list[str]:
    written = patched.written
    lines = [
        f"The corrected copy is {shown(str(written.folder))}: {written.images} images, "
        f"{written.boxes} boxes"
    ]
    lines += [f"  left out: {reason} ({count})" for reason, count in patched.left_out.items()]
    return lines + [f"  {line}" for line in map(shown, written.notes())]


def _verdict(report: DoctorReport) -> str:
    counts = {s: report.diagnosis.count(s) for s in (ERROR, WARNING, HINT)}
    told = ", ".join(f"{count} {s}{'' if count == 1 else 's'}" for s, count in counts.items())
    dataset = report.diagnosis.examination.dataset
    return (
        f"{shown(dataset.name)}: {shown(dataset.report.summary())}; "
        f"{len(report.diagnosis.found)} checks: {told}"
    )
