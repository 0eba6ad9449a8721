"""`boxray fit`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "fit",
    epilog="\b\n"
    "boxray fit voc07 --limit 500 --output runs/rcnn\n"
    "boxray evaluate runs/rcnn voc07 --split val --protocol voc\n",
)
def _fit(
    data: options.DataArgument,
    output: Annotated[
        Path, typer.Option("--output", metavar="FOLDER", help="The run's folder, new or begun.")
    ],
    classifier: Annotated[
        str | None,
        typer.Option(
            "--classifier",
            metavar="MODEL",
            help="One that gives features; lite0-imagenet if unset.",
        ),
    ] = None,
    limit: options.Drawn = None,
    split: options.Split = None,
    classes: options.ClassFile = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> int:
    """Make an R-CNN of a classifier: proposals, and classes and boxes learned on its features.

    The classifier itself stays as it is. Stopped, the same command goes on where it was.
    Needs the extras `train` and `proposals`. Without any box labels: the model named rcnn.
    """
    from boxray.data import Manner
    from boxray.verbs import fit, terminal

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    lessons = fit.Lessons(split=split, classes=classes, limit=limit, seed=seed or 0, manner=manner)
    with terminal.progress("looking at crops") as on_image:
        report = fit.fit(
            data, output, classifier=classifier, lessons=lessons, threads=threads, on_image=on_image
        )
    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE
