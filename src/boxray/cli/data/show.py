"""`boxray data show`, as it is typed."""

from __future__ import annotations

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "show",
    epilog="\b\n"
    "boxray data show photos/\n"
    "boxray data show voc07 --split val --image 000005\n"
    "boxray data show photos/ --json\n",
)
def _show(
    data: options.DataArgument,
    image: options.ImageName = None,
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
    """Count the boxes of every class, and draw one image with its boxes.

    The picture goes to boxray-data, or to --output; with --json and no --output nothing is written.
    """
    from boxray.data import Manner
    from boxray.verbs import terminal
    from boxray.verbs.data import places, show, tables

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    report = show.show(
        data,
        split=split,
        classes=classes,
        image=image,
        output=output if output or as_json else places.DEFAULT_OUTPUT,
        overwrite=overwrite,
        manner=manner,
    )
    terminal.warn(*report.notes)
    terminal.deliver(report.to_dict(), tables.overview(report), as_json)
    return DONE
