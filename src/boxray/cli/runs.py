"""`boxray runs …`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer(help="Look at trainings, and compare them.")


@app.command("list", epilog="\b\nboxray runs list\nboxray runs list experiments --json\n")
def _list(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where to look; runs if unset.")
    ] = Path("runs"),
    as_json: options.Json = False,
) -> int:
    """List the trainings in a folder: recipe, state, length, best AP50."""
    from boxray.verbs import runs, terminal

    report = runs.runs_list(folder)
    terminal.deliver(report.to_dict(), report.tables(), as_json)
    return DONE


@app.command("show", epilog="\b\nboxray runs show runs/bccd\n")
def _show(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training.")],
    as_json: options.Json = False,
) -> int:
    """Show one training: settings with their origins, commands, versions, code, validations."""
    from boxray.verbs import runs, terminal

    report = runs.runs_show(run)
    terminal.deliver(report.to_dict(), report.tables(), as_json)
    return DONE


@app.command("diff", epilog="\b\nboxray runs diff runs/bccd runs/bccd-2\n")
def _diff(
    run: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Folders of trainings.")],
    as_json: options.Json = False,
) -> int:
    """Show what differs between trainings: settings, data, versions, code."""
    from boxray.verbs import runs, terminal

    report = runs.runs_diff(run)
    terminal.deliver(report.to_dict(), report.tables(), as_json)
    return DONE
