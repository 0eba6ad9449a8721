"""`boxray data proposals`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()

EdgeModel = Annotated[
    Path | None,
    typer.Option("--edge-model", metavar="FILE", help="OpenCV's structured edges, for edge-boxes."),
]


@app.command(
    "proposals",
    epilog="\b\n"
    "boxray data proposals voc07 --split val --limit 50\n"
    "boxray data proposals photos/ --way edge-boxes --side 384 --json\n",
)
def _proposals(
    data: options.DataArgument,
    way: Annotated[
        Literal["selective-search", "selective-search-quality", "edge-boxes"],
        typer.Option("--way", help="How boxes are proposed."),
    ] = "selective-search",
    side: Annotated[
        int | None,
        typer.Option(
            "--side",
            parser=options.count,
            metavar="PIXELS",
            help="Bring the longer side of a picture to this first; 500 if unset.",
        ),
    ] = None,
    edge_model: EdgeModel = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", parser=options.count, metavar="N", help="The first N images; all if unset."
        ),
    ] = None,
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
    """Show how many objects the first 10, 30 … 2000 proposals reach: what R-CNN can find at most.

    Selective Search and Edge Boxes learn nothing and need no model, but the extra `proposals`.
    An object is reached if one proposal overlaps it by an IoU of at least 0.5, or 0.7.

    A plot goes to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import places, proposals, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    wanted = proposals.Proposing(way, side or proposals.DEFAULT_SIDE, edge_model)
    with terminal.progress("proposing") as on_image:
        report = proposals.proposals(
            data,
            wanted,
            split=split,
            limit=limit,
            output=output if output or as_json else places.DEFAULT_OUTPUT,
            overwrite=overwrite,
            manner=manner,
            on_image=on_image,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.reached(report), as_json)
    return DONE
