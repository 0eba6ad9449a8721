"""`boxray data stats`, as it is typed."""

from __future__ import annotations

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "stats",
    epilog="\b\n"
    "boxray data stats photos/\n"
    "boxray data stats oidv6-train-annotations-bbox.csv --json\n",
)
def _stats(
    data: options.DataArgument,
    split: options.Split = None,
    classes: options.ClassFile = None,
    output: options.Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """Count boxes per class, and show their sizes, aspects and places.

    A table of Open Images may be given itself: it is streamed, and no picture is needed.

    Plots go to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.verbs import terminal
    from boxray.verbs.data import places, statistics_tables, stats

    with terminal.progress("counting") as on_rows:
        report = stats.stats(
            data,
            split=split,
            classes=classes,
            output=output if output or as_json else places.DEFAULT_OUTPUT,
            overwrite=overwrite,
            on_rows=on_rows,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), statistics_tables.statistics(report), as_json)
    return DONE
