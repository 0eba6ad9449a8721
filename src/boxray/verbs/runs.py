"""`boxray runs`: which trainings there are, what one of them was, and how several differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import RenderableType

from boxray import ledger
from boxray.errors import SettingError
from boxray.ledger import Run
from boxray.verbs.tables import table
from boxray.verbs.terminal import shown

LIST_SCHEMA, SHOW_SCHEMA = "boxray.runs.list/1", "boxray.runs.show/1"
DIFF_SCHEMA = "boxray.runs.diff/1"
LONGEST = 60  # letters of a value that a table shows


@dataclass(frozen=True)
class RunsReport:
    """The runs in a folder."""

    folder: Path
    runs: tuple[Run, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.runs.list/1`, ready for json.dumps."""
        runs = [
            {
                "path": str(run.path),
                "state": run.state,
                "recipe": run.resolved.values.get("recipe"),
                "began": run.sessions[0].began if run.sessions else None,
                "sessions": len(run.sessions),
                "images": run.resolved.values.get("images"),
                "best": run.best,
                "elapsed_s": run.elapsed_s,
                "fingerprint": run.resolved.values.get("fingerprint"),
            }
            for run in self.runs
        ]
        return {"schema": LIST_SCHEMA, "folder": str(self.folder), "runs": runs}

    def tables(self) -> list[RenderableType]:
        """One row per run."""
        if not self.runs:
            return [f"No run in {shown(str(self.folder))}."]
        rows = table("run", "state", "recipe", "began (UTC)", "images", "minutes", "best AP50")
        for one in self.to_dict()["runs"]:
            minutes = "" if one["elapsed_s"] is None else f"{one['elapsed_s'] / 60:.1f}"
            best = "" if one["best"] is None else f"{one['best']:.3f}"
            facts = (one["state"], one["recipe"], _minute(one["began"]), one["images"])
            rows.add_row(shown(one["path"]), *(_said(fact) for fact in facts), minutes, best)
        return [rows]


@dataclass(frozen=True)
class RunReport:
    """One run."""

    run: Run

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.runs.show/1`, ready for json.dumps."""
        run = self.run
        settings = {
            name: {"value": value, "origin": run.resolved.origins[name]}
            for name, value in run.resolved.values.items()
        }
        return {
            "schema": SHOW_SCHEMA,
            "path": str(run.path),
            "state": run.state,
            "best": run.best,
            "elapsed_s": run.elapsed_s,
            "settings": settings,
            "sessions": [asdict(session) for session in run.sessions],
            "validations": list(run.rows),
        }

    def tables(self) -> list[RenderableType]:
        """The settings by origin, the sessions, the validations."""
        run = self.run
        settings = table("setting", "value", "origin")
        order = {"user": 0, "derived": 1, "default": 2}
        origins = run.resolved.origins
        for name in sorted(origins, key=lambda name: (order.get(origins[name], 3), name)):
            settings.add_row(name, _said(run.resolved.values[name]), shown(origins[name]))
        sessions = table("began (UTC)", "command", "versions", "code")
        for one in run.sessions:
            versions = ", ".join(f"{name} {version}" for name, version in one.versions.items())
            code = one.source if one.commit is None else f"{one.source}, commit {one.commit[:12]}"
            began = _minute(one.began)
            sessions.add_row(*map(shown, (began, one.command, versions, code)))
        rows = table("step", "images", "minutes", "AP50", "losses in validation")
        for row in run.rows:
            losses = ", ".join(f"{k} {v:.3f}" for k, v in row.get("val_loss", {}).items())
            ap50 = "" if row.get("AP50") is None else f"{row['AP50']:.3f}"
            minutes = f"{row.get('elapsed_s', 0) / 60:.1f}"
            rows.add_row(_said(row.get("step")), _said(row.get("images")), minutes, ap50, losses)
        return [f"{shown(str(run.path))}: {run.state}", settings, sessions, rows]


@dataclass(frozen=True)
class DiffReport:
    """How runs differ: the name of a setting, a version or the code, and each run's value."""

    runs: tuple[Run, ...]

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.runs.diff/1`, ready for json.dumps."""
        return {
            "schema": DIFF_SCHEMA,
            "runs": [str(run.path) for run in self.runs],
            "best": [run.best for run in self.runs],
            "differences": {k: list(v) for k, v in ledger.differences(self.runs).items()},
        }

    def tables(self) -> list[RenderableType]:
        """One row per difference, one column per run."""
        found = ledger.differences(self.runs)
        rows = table("", *(shown(str(run.path)) for run in self.runs))
        for name, values in found.items():
            rows.add_row(shown(name), *map(_said, values))
        best = ("" if run.best is None else f"{run.best:.3f}" for run in self.runs)
        rows.add_row("best AP50", *best)
        return [rows] if found else ["The runs have the same settings, versions and code.", rows]


def runs_list(folder: Path) -> RunsReport:
    """The runs in a folder, at any depth. Raises FormatError without one, or for a damaged run."""
    return RunsReport(folder, ledger.find_runs(folder))


def runs_show(run: Path) -> RunReport:
    """All that a run says of itself. Raises FormatError for what is none."""
    return RunReport(ledger.read_run(run))


def runs_diff(runs: Sequence[Path]) -> DiffReport:
    """What differs between runs. Raises SettingError for fewer than two, FormatError for others."""
    if len(runs) < 2:
        raise SettingError(f"a comparison takes two runs or more, got {len(runs)}.")
    return DiffReport(tuple(ledger.read_run(run) for run in runs))


def _minute(moment: str | None) -> str:
    """`2026-01-02T03:04:05Z` to the minute."""
    return "" if moment is None else moment[:16].replace("T", " ")


def _said(value: object) -> str:
    """A value as a table shows it."""
    text = _plain(value)
    return shown(text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…")


def _plain(value: object) -> str:
    """A value of JSON as people write it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:g}"
        case list():
            inside = [f"({_plain(one)})" if isinstance(one, list) else _plain(one) for one in value]
            return ", ".join(inside)
    return str(value)
