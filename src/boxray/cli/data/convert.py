"""`boxray data convert`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "convert",
    epilog="\b\nboxray data convert voc07 --to yolo --output voc07-yolo\n"
    "boxray data convert photos/ --to coco --output photos-coco --link --json\n",
)
def _convert(
    data: options.DataArgument,
    to: options.To,
    output: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="A new or an empty folder.")
    ],
    split: options.Split = None,
    classes: options.ClassFile = None,
    link: Annotated[
        bool, typer.Option("--link", help="Link to the pictures instead of copying them.")
    ] = False,
    as_json: options.Json = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Write annotated data in another format, with its pictures and splits.

    What the new format cannot say is reported. The data itself is never changed.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import convert, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("placing pictures") as on_image:
        report = convert.convert(
            data,
            output,
            to,
            split=split,
            classes=classes,
            link=link,
            manner=manner,
            on_image=on_image,
        )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.converted(report), as_json)
    return DONE
