"""`boxray data browse`, as it is typed."""

from __future__ import annotations

from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "browse",
    epilog="\b\nboxray data browse photos/\n"
    "boxray data browse voc07 --split val --limit 100 --output voc07.html\n",
)
def _browse(
    data: options.DataArgument,
    split: options.Split = None,
    classes: options.ClassFile = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", parser=options.count, metavar="N", help="At most N images; 300 if unset."
        ),
    ] = None,
    output: options.PageOutput = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Write one HTML file to look through the images, filtered by class, size and flag.

    It needs no server and no network. It goes to boxray-browse.html, or to --output.
    """
    from boxray.data import Manner
    from boxray.inspection.browse import DEFAULT_LIMIT
    from boxray.verbs import terminal
    from boxray.verbs.data import browse, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    report = browse.browse(
        data,
        split=split,
        classes=classes,
        limit=limit or DEFAULT_LIMIT,
        output=output or browse.DEFAULT_OUTPUT,
        overwrite=overwrite,
        manner=manner,
    )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.browsed(report), as_json)
    return DONE
