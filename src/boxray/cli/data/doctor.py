"""`boxray data doctor`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli import checks
from boxray.cli.process import DONE, FAILED
from boxray.cli.sides import one_side

app = typer.Typer()


@app.command(
    "doctor",
    epilog="\b\n"
    "boxray data doctor photos/\n"
    "boxray data doctor voc07 --only leaking-split,near-duplicate-image\n"
    "boxray data doctor photos/ --skip tiny-object --strict --json\n"
    "boxray data doctor photos/ --patch photos-corrected\n",
)
def _doctor(
    data: options.DataArgument,
    only: checks.Only = None,
    skip: checks.Skip = None,
    size: Annotated[
        options.CanvasSize | None,
        typer.Option(
            "--size",
            parser=options.size,
            metavar="N",
            help="Canvas of the detector; 352 if unset.",
        ),
    ] = None,
    output: options.PageOutput = None,
    as_json: options.Json = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    overwrite: options.Overwrite = False,
    patch: Annotated[
        Path | None,
        typer.Option("--patch", metavar="FOLDER", help="Write a corrected copy to a new folder."),
    ] = None,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    cache: options.Cache = None,
) -> int:
    """Look for what is wrong with annotated data, and say in which file and line.

    Exit code 1 if there is an error. A page with the pictures goes to boxray-doctor.html, or to
    --output; with --json and no --output none is written. The data is never changed.
    """
    from boxray.data import Manner
    from boxray.inspection.doctor import DEFAULT_CANVAS, chosen
    from boxray.verbs import terminal
    from boxray.verbs.data import doctor, doctor_tables

    side = one_side(size, "the doctor")
    asked = chosen(checks.names(only), checks.names(skip))
    # what a strict reading refuses is what the doctor is to tell
    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=False, cache=cache,
    )  # fmt: skip
    with terminal.progress("looking at pictures") as on_image:
        report = doctor.doctor(
            data,
            asked,
            canvas=side or DEFAULT_CANVAS,
            output=output if output or as_json else doctor.DEFAULT_OUTPUT,
            overwrite=overwrite,
            patch=patch,
            manner=manner,
            on_image=on_image,
        )
    terminal.deliver(report.to_dict(), doctor_tables.diagnosis(report), as_json)
    well = report.spotless if strict else report.healthy
    return DONE if well else FAILED
