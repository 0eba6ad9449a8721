"""`boxray preflight`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options, recipes
from boxray.cli import checks
from boxray.cli.process import DONE, FAILED
from boxray.cli.sides import one_side

app = typer.Typer()


@app.command(
    "preflight",
    epilog="\b\n"
    "boxray preflight photos/\n"
    "boxray preflight voc07 --recipe retinanet-lite0 --size 416 --json\n"
    "boxray preflight photos/ --skip overfit\n",
)
def _preflight(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Folders of annotated pictures.")
    ],
    recipe: options.Recipe = recipes.DEFAULT,
    start: options.Start = None,
    classes: options.ClassFile = None,
    split: options.Split = None,
    val_split: options.ValSplit = None,
    batch: options.Batch = None,
    learning_rate: options.LearningRate = None,
    freeze: options.Freeze = None,
    size: options.Size = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    only: checks.Only = None,
    skip: checks.Skip = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="As `train` does it: some pictures, none by heart.")
    ] = False,
    strict: options.StrictData = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> int:
    """Try whether a training will learn, before it takes an evening to find out.

    The options are those of `train`. Exit code 1 if there is an error. Nothing is written.
    """
    from boxray.verbs import preflight, preflight_tables, terminal, train_options

    side = one_side(size, "a training")
    chosen = train_options.TrainOptions(
        recipe=recipe, start=start, classes=classes, split=split, val_split=val_split,
        batch=batch, learning_rate=learning_rate, freeze=freeze,
        size=side,
        seed=seed or 0, threads=threads, device=device,
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    report = preflight.preflight(
        data,
        options=chosen,
        only=checks.names(only),
        skip=checks.names(skip),
        quick=quick,
        console=terminal.console(stderr=True),
    )
    terminal.deliver(report.to_dict(), preflight_tables.inspection(report), as_json)
    return DONE if report.ready else FAILED
