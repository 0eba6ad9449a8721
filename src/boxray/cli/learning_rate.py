"""`boxray learning-rate`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options, recipes
from boxray.cli.process import DONE
from boxray.cli.sides import one_side

app = typer.Typer()


@app.command(
    "learning-rate",
    epilog="\b\n"
    "boxray learning-rate photos/ --picture rates.png\n"
    "boxray learning-rate voc07 --recipe retinanet-lite0 --batch 8 --json\n",
)
def _learning_rate(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Folders of annotated pictures.")
    ],
    recipe: options.Recipe = recipes.DEFAULT,
    start: options.Start = None,
    classes: options.ClassFile = None,
    split: options.Split = None,
    val_split: options.ValSplit = None,
    batch: options.Batch = None,
    freeze: options.Freeze = None,
    size: options.Size = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    picture: Annotated[
        Path | None,
        typer.Option("--picture", metavar="FILE", help="Draw loss against rate, a new .png file."),
    ] = None,
    strict: options.StrictData = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    cache: options.Cache = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """Find a learning rate: some steps at ever higher ones, until the loss runs away.

    The options are those of `train`; nothing that was learned is kept. Each recipe has a rate that
    suits it: this is for another batch size, other data, or a doubt.
    """
    from boxray.verbs import learning_rate, terminal, train_options

    side = one_side(size, "a training")
    chosen = train_options.TrainOptions(
        recipe=recipe, start=start, classes=classes, split=split, val_split=val_split,
        batch=batch, freeze=freeze, size=side,
        seed=seed or 0, threads=threads, device=device,
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("steps") as on_step:
        report = learning_rate.learning_rate(
            data,
            options=chosen,
            picture=picture,
            overwrite=overwrite,
            console=terminal.console(stderr=True),
            on_step=on_step,
        )
    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE
