"""`boxray data split`, as it is typed."""

from __future__ import annotations

from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "split",
    epilog="\b\nboxray data split photos/\n"
    "boxray data split photos/ --shares 80,10,10 --seed 1 --output lists\n"
    "boxray data split frames/ --group-by 'clip[0-9]+' --to yolo --output frames-yolo\n",
)
def _split(
    data: options.DataArgument,
    shares: Annotated[
        str | None,
        typer.Option("--shares", metavar="A,B[,C]", help="Of train, val, test; 80,20 if unset."),
    ] = None,
    seed: options.Seed = None,
    group_by: Annotated[
        str | None,
        typer.Option(
            "--group-by", metavar="REGEX", help="Names that share what it matches stay together."
        ),
    ] = None,
    to: options.OptionalTo = None,
    output: options.Output = None,
    as_json: options.Json = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Divide annotated data into train, val and test, every class in each.

    Near-duplicates stay together. Writes one list of pictures per split to the folder
    boxray-split, or --output, which is then given in place of DATA: boxray train boxray-split.
    With --to FORMAT a whole data set. The data itself is never changed.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import split, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("comparing pictures") as on_image:
        report = split.split(
            data,
            shares=options.shares(shares or "80,20"),
            seed=seed or 0,
            group_by=group_by,
            to=to,
            output=output or split.DEFAULT_OUTPUT,
            manner=manner,
            on_image=on_image,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.parts(report), as_json)
    return DONE
