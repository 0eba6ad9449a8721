"""What a bake-off found, as tables for a terminal."""

from __future__ import annotations

from rich.console import RenderableType
from rich.table import Table

from boxray.bakeoff import STAGES
from boxray.verbs.bakeoff import DOCUMENT, PICTURE, BakeoffReport, Entry
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown


def bakeoff(report: BakeoffReport) -> list[RenderableType]:
    """What each model reaches, where its time goes, and what it takes."""
    terms = report.terms
    one = f"{terms.threads} thread" + ("s" if terms.threads != 1 else "")
    return [
        f"{len(report.entries)} models on {report.images} images of {shown(str(report.data))}, "
        f"split {terms.split!r}, by {terms.protocol.upper()}'s rules, "
        + ("all processors" if terms.threads is None else one),
        _reached(report),
        _taken(report.entries),
        "Ceiling: the recall that perfect scores and selection would give. Passes: canvases "
        "through the network. All times in milliseconds per picture. Memory and files in MB, "
        "weights in millions.",
        *([_failed(report.failed)] if report.failed else []),
        f"{DOCUMENT} and {PICTURE} are in {shown(str(report.output))}",
    ]


def _reached(report: BakeoffReport) -> Table:
    metric = report.metric
    rows = table("model", metric, "95 % interval", "ceiling", "passes", "time")
    for entry in report.entries:
        low_high = entry["intervals"].get(metric)
        rows.add_row(
            shown(entry["model"]),
            _share(entry["metrics"][metric]),
            "" if low_high is None else f"{low_high[0]:.3f} to {low_high[1]:.3f}",
            _share(entry["recall_ceiling"]),
            f"{entry['forward_passes']:.4g}",
            f"{sum(entry['milliseconds'].values()):.0f}",
        )
    return rows


def _taken(entries: tuple[Entry, ...]) -> Table:
    rows = table("model", *STAGES, "memory", "weights", "files")
    for entry in entries:
        memory, weights = entry["peak_memory_bytes"], entry["parameters"]
        rows.add_row(
            shown(entry["model"]),
            *(f"{entry['milliseconds'][stage]:.1f}" for stage in STAGES),
            "?" if memory is None else f"{memory / 1e6:.0f}",
            "?" if weights is None else f"{weights / 1e6:.1f}",
            f"{entry['size_bytes'] / 1e6:.1f}",
        )
    return rows


def _failed(failed: dict[str, str]) -> Table:
    rows = table("model", "not measured, because")
    for name, why in failed.items():
        rows.add_row(shown(name), shown(why))
    return rows


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"
