"""What the preflight found, for a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.text import Text

from boxray.inspection.doctor import ERROR, WARNING
from boxray.verbs.data.doctor_tables import MOST_PER_CHECK, STYLE
from boxray.verbs.preflight import FOUND, NOT_RUN, UNFINISHED, Line, PreflightReport
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown


def inspection(report: PreflightReport) -> list[RenderableType]:
    """One row per check with what it measured, then what was found, then the verdict."""
    rows = table("check", "says", "measured")
    parts: list[RenderableType] = [rows]
    for line in report.lines:
        rows.add_row(line.check, _says(line), shown(line.measured))
        if line.findings:
            parts.append(Text(f"{line.check}: {line.what}", "bold"))
            for one in line.findings[:MOST_PER_CHECK]:
                place = f"{one.path}:{one.line}" if one.line else f"{one.path}"
                parts.append(f"  {shown(place)}: {shown(one.reason)}")
            if len(line.findings) > MOST_PER_CHECK:
                parts.append(f"  and {len(line.findings) - MOST_PER_CHECK} more")
    parts.append(_verdict(report))
    return parts


def _says(line: Line) -> Text:
    if line.state == FOUND:
        return Text(line.severity, STYLE[line.severity])
    return Text(line.state, "dim" if line.state in (NOT_RUN, UNFINISHED) else "green")


def _verdict(report: PreflightReport) -> str:
    counts = {severity: report.count(severity) for severity in (ERROR, WARNING)}
    told = ", ".join(f"{count} {s}{'' if count == 1 else 's'}" for s, count in counts.items())
    verdict = "ready to train" if report.ready else "not ready"
    return (
        f"{report.recipe} on {report.images} images with {report.boxes} boxes: "
        f"{len(report.lines)} checks, {told}: {verdict}"
    )
