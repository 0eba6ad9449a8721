"""`boxray data show`, as it is typed."""

from __future__ import annotations

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "show", epilog="\b\nboxray data show photos/\nboxray data show voc07 --split val --json\n"
)
def _show(
    data: options.DataArgument,
    split: options.Split = None,
    classes: options.ClassFile = None,
    as_json: options.Json = False,
) -> int:
    """Say what a folder of annotated pictures holds: boxes per class, and how the reading went."""
    from boxray.verbs import terminal
    from boxray.verbs.data import show, tables

    report = show.show(data, split=split, classes=classes)
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.counts(report), as_json)
    return DONE
