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
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Count boxes per class, and show their sizes, aspects and places.

    A table of Open Images may be given itself: it is streamed, and no picture is needed.

    Plots go to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import places, statistics_tables, stats

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("counting") as on_rows:
        report = stats.stats(
            data,
            split=split,
            classes=classes,
            output=output if output or as_json else places.DEFAULT_OUTPUT,
            overwrite=overwrite,
            manner=manner,
            on_rows=on_rows,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), statistics_tables.statistics(report), as_json)
    return DONE
