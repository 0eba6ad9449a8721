"""`boxray data grid`, as it is typed."""

from __future__ import annotations

from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "grid",
    epilog="\b\nboxray data grid photos/ --cells 9\n"
    "boxray data grid voc07 --image 000005 --cells 13 --priors 9\n",
)
def _grid(
    data: options.DataArgument,
    cells: Annotated[
        int | None,
        typer.Option(
            "--cells", parser=options.count, metavar="N", help="Cells across and down; 13 if unset."
        ),
    ] = None,
    priors: options.PriorCount = None,
    image: options.ImageName = None,
    split: options.Split = None,
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
    """Show which cell answers for each object of an image, and its best prior.

    A centre is a red dot, the cell it lies in is marked, the best prior is dashed around it.
    The picture goes to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import grid, places, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    report = grid.grid(
        data,
        split=split,
        image=image,
        cell_count=cells or grid.DEFAULT_CELLS,
        prior_count=priors or grid.DEFAULT_PRIORS,
        output=output if output or as_json else places.DEFAULT_OUTPUT,
        overwrite=overwrite,
        manner=manner,
    )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.responsibility(report), as_json)
    return DONE
