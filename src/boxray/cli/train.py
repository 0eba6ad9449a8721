"""`boxray train` and `boxray resume`, as they are typed."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from boxray import options, recipes
from boxray.cli import checks
from boxray.cli.process import DONE, when_nobody_reads

if TYPE_CHECKING:
    from boxray.verbs.train import TrainReport
from boxray.cli.sides import one_side

app = typer.Typer()


@app.command(
    "train",
    epilog="\b\n"
    "boxray train bccd --output runs/bccd\n"
    "boxray train voc07 coco --classes voc.txt --minutes 60\n",
)
def _train(
    data: Annotated[
        list[Path], typer.Argument(metavar="DATA...", help="Folders of annotated pictures.")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", help="The run's folder; runs/NAME if unset.")
    ] = None,
    recipe: options.Recipe = recipes.DEFAULT,
    start: options.Start = None,
    minutes: options.Minutes = None,
    epochs: options.Epochs = None,
    classes: options.ClassFile = None,
    split: options.Split = None,
    val_split: options.ValSplit = None,
    batch: options.Batch = None,
    accumulate: options.Accumulate = None,
    learning_rate: options.LearningRate = None,
    freeze: options.Freeze = None,
    balance: options.Balance = False,
    multi_scale: options.MultiScale = False,
    patience: options.Patience = None,
    log: options.Log = None,
    size: options.Size = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
    no_preflight: checks.NoPreflight = False,
    as_json: options.Json = False,
) -> int:
    """Train a detector on annotated pictures.

    Format, splits, classes, priors and schedule are worked out from the data. First it is tried in
    a few seconds whether it will learn (`boxray preflight`); if not, it ends with exit code 1.
    Ctrl-C ends it early and leaves a usable model; a second one stops at once.
    """
    from boxray.verbs import terminal, train, train_options

    when_nobody_reads(signal.SIG_IGN)  # a training outlives a closed window, and a lost worker
    side = one_side(size, "a training")
    chosen = train_options.TrainOptions(
        recipe=recipe, start=start, minutes=minutes, epochs=epochs,
        classes=classes, split=split, val_split=val_split,
        batch=batch, accumulate=accumulate, learning_rate=learning_rate, freeze=freeze,
        balance=balance, multi_scale=multi_scale, patience=patience, log=tuple(log or ()),
        size=side,
        seed=seed or 0, threads=threads, device=device,
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    console = terminal.console(stderr=as_json)
    report = train.train(data, output, options=chosen, console=console, preflight=not no_preflight)
    return _show_training(report, as_json)


@app.command("resume", epilog="\b\nboxray resume runs/bccd\nboxray resume runs/bccd --epochs 90\n")
def _resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training.")],
    epochs: Annotated[
        float | None,
        typer.Option(
            "--epochs",
            parser=options.rounds,
            metavar="N",
            help="Make the training longer: N epochs from its beginning.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Go on with a training that was interrupted.

    From its newest whole checkpoint; on a CPU as if nothing had happened.
    """
    from boxray.verbs import terminal, train

    when_nobody_reads(signal.SIG_IGN)
    report = train.resume(run, epochs=epochs, console=terminal.console(stderr=as_json))
    return _show_training(report, as_json)


def _show_training(report: TrainReport, as_json: bool) -> int:
    from boxray.verbs import terminal

    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE if report.signal is None else 128 + report.signal
