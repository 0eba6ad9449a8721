"""`boxray data priors`, as it is typed."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from boxray import options
from boxray.cli.process import DONE
from boxray.cli.sides import one_side

app = typer.Typer()


@app.command(
    "priors",
    epilog="\b\n"
    "boxray data priors photos/\n"
    "boxray data priors voc07 --priors 9 --size 320 --json\n",
)
def _priors(
    data: options.DataArgument,
    count: options.PriorCount = None,
    distance: Annotated[
        Literal["iou", "euclidean"],
        typer.Option("--distance", help="What k-means clusters by: 1 - IoU, or squared pixels."),
    ] = "iou",
    size: options.Size = None,
    seed: options.Seed = None,
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
    """Find the widths and heights that a detector's boxes may start from, by k-means.

    In pixels of a square canvas, 416 unless --size says another. Also how well 1, 2, 3 … priors
    fit. A table of Open Images may be given itself; its pictures are then taken as square.

    Plots go to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import places, priors, statistics_tables

    side = one_side(size, "priors")
    wanted = priors.Clustering(
        count=count or priors.DEFAULT_COUNT,
        distance=distance,
        side=side or priors.DEFAULT_SIDE,
        seed=seed or 0,
    )
    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("counting") as on_rows:
        report = priors.priors(
            data,
            wanted,
            split=split,
            output=output if output or as_json else places.DEFAULT_OUTPUT,
            overwrite=overwrite,
            manner=manner,
            on_rows=on_rows,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), statistics_tables.priors(report), as_json)
    return DONE
