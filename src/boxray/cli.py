"""The command line: arguments to verbs, and what verbs say to a person or, with --json, a program.

Nothing heavy is imported before a verb runs. Exit codes: 0 done, 1 failed while running, 2 wrong
use or refused input, 130 and 143 after Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from boxray import __version__, options
from boxray.errors import BoxrayError, OutputError

if TYPE_CHECKING:
    from boxray.verbs.detect import DetectReport
    from boxray.verbs.train import TrainReport

DONE, FAILED, WRONG_USE, INTERRUPTED, TERMINATED = 0, 1, 2, 130, 143
# click's UsageError, of typer's own copy of click where it has one
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="boxray",
    help="Object detection you can see through: train on a laptop, run anywhere.",
    epilog="Of an option given twice the last one counts. Exit codes: 0 done, 1 failed while "
    "running, 2 wrong use or refused input, 130 and 143 after Ctrl-C and SIGTERM.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help"]},
)


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"boxray {__version__}")
        raise typer.Exit(DONE)
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    "detect",
    epilog="\b\n"
    "boxray detect photo.jpg\n"
    "boxray detect holiday/ --model runs/bccd --output found\n"
    "boxray detect 'photos/*.jpg' --classes person,dog --json\n",
)
def _detect(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE...", help="Pictures, folders, or patterns.")
    ],
    model: options.Model = "default",
    output: options.Output = None,
    as_json: options.Json = False,
    score_threshold: options.ScoreThreshold = None,
    iou_threshold: options.IouThreshold = None,
    max_detections: options.MaxDetections = None,
    classes: Annotated[
        str | None, typer.Option("--classes", metavar="A,B", help="Report these classes only.")
    ] = None,
    size: options.Size = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    overwrite: options.Overwrite = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if any picture could not be read.")
    ] = False,
) -> int:
    """Find objects in pictures and draw them.

    Drawn pictures and one detections.json go to boxray-detections, or to --output; with --json
    and no --output nothing is written.
    """
    from boxray.verbs import detect, running, terminal

    how = running.Running(
        model=model,
        size=size,
        threads=threads,
        device=device,
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        max_detections=max_detections,
    )
    with terminal.progress("detecting") as on_image:
        report = detect.detect(
            sources,
            how,
            output=output if output or as_json else detect.DEFAULT_OUTPUT,
            classes=[name.strip() for name in classes.split(",")] if classes else (),
            overwrite=overwrite,
            on_image=on_image,
        )
    _show_detections(report, as_json)
    all_failed = len(report.errors) == len(report.images)
    return FAILED if all_failed or (strict and report.errors) else DONE


@app.command("demo", epilog="\b\nboxray demo\n")
def _demo(
    output: options.Output = None,
    as_json: options.Json = False,
    model: options.Model = "default",
    threads: options.Threads = None,
    overwrite: options.Overwrite = False,
) -> int:
    """First run: detect on photos that are already here.

    A person, a cat and a motorbike, in scikit-image's photos. Pictures and detections.json go to
    boxray-demo, or to --output.
    """
    from boxray.verbs import demo, running, terminal

    with terminal.progress("detecting") as on_image:
        report = demo.demo(
            running.Running(model=model, threads=threads),
            output=output or demo.DEFAULT_OUTPUT,
            overwrite=overwrite,
            on_image=on_image,
        )
    _show_detections(report, as_json)
    return FAILED if report.errors else DONE


@app.command(
    "evaluate",
    epilog="\b\n"
    "boxray evaluate runs/bccd bccd\n"
    "boxray evaluate default voc07 --split val --protocol voc --json\n",
)
def _evaluate(
    model: options.ModelArgument,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="A folder of annotated pictures.")],
    split: options.Split = None,
    protocol: Annotated[str, typer.Option("--protocol", help="coco or voc.")] = "coco",
    classes: options.ClassFile = None,
    as_json: options.Json = False,
    iou_threshold: options.IouThreshold = None,
    size: options.Size = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
) -> int:
    """Measure a model on annotated pictures.

    Average precision with its interval, and for each class.

    Without --split it takes test where the data has one, else val.
    """
    from boxray.verbs import evaluate, evaluation_tables, running, terminal

    how = running.Running(
        model=model, size=size, threads=threads, device=device, iou_threshold=iou_threshold
    )
    with terminal.progress("evaluating") as on_image:
        report = evaluate.evaluate(
            how, data, split=split, protocol=protocol, classes=classes, on_image=on_image
        )
    terminal.warn(*report.notes, *report.evaluation.errors)
    terminal.deliver(report.to_dict(), evaluation_tables.evaluation(report), as_json)
    return DONE


@app.command("models", epilog="\b\nboxray models\nboxray models default\n")
def _models(
    name: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="Show everything about this one.")
    ] = None,
    as_json: options.Json = False,
) -> int:
    """List the models, or show what one says about itself."""
    from boxray.verbs import models, tables, terminal

    listings = models.models() if name is None else (models.model(name),)
    document = models.to_dict(listings)
    shown = [tables.listings(listings)] if name is None else [json.dumps(document, indent=2)]
    terminal.deliver(document, shown, as_json)
    return DONE


@app.command("export", epilog="\b\nboxray export runs/bccd --output bccd.onnx\n")
def _export(
    model: options.ModelArgument,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="A new .onnx file.")],
    name: options.Name = None,
    licence: options.Licence = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """Write a model, once it is checked, as one file to take away."""
    from boxray.verbs import export, terminal

    report = export.export(model, output, name=name, licence=licence, overwrite=overwrite)
    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE


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
    minutes: options.Minutes = None,
    epochs: options.Epochs = None,
    classes: options.ClassFile = None,
    split: options.Split = None,
    batch: options.Batch = None,
    size: options.Size = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    as_json: options.Json = False,
) -> int:
    """Train a detector on annotated pictures.

    Format, splits, classes, priors and schedule are worked out from the data.
    Ctrl-C ends it early and leaves a usable model; a second one stops at once.
    """
    from boxray.verbs import terminal, train

    _when_nobody_reads(signal.SIG_IGN)  # a training outlives a closed window, and a lost worker
    if size is not None and size.height != size.width:
        raise typer.BadParameter("a training takes one side, like 320.", param_hint="--size")
    chosen = train.TrainOptions(
        minutes=minutes,
        epochs=epochs,
        classes=classes,
        split=split,
        batch=batch,
        size=None if size is None else size.height,
        seed=seed or 0,
        threads=threads,
        device=device,
    )
    report = train.train(data, output, options=chosen, console=terminal.console(stderr=as_json))
    return _show_training(report, as_json)


@app.command("resume", epilog="\b\nboxray resume runs/bccd\n")
def _resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a training.")],
    as_json: options.Json = False,
) -> int:
    """Go on with a training that was interrupted.

    From its newest whole checkpoint; on a CPU as if nothing had happened.
    """
    from boxray.verbs import terminal, train

    _when_nobody_reads(signal.SIG_IGN)
    return _show_training(train.resume(run, console=terminal.console(stderr=as_json)), as_json)


def _show_detections(report: DetectReport, as_json: bool) -> None:
    from boxray.verbs import tables, terminal

    terminal.warn(*report.notes, *report.errors)
    terminal.deliver(report.to_json(), tables.found(report), as_json)


def _show_training(report: TrainReport, as_json: bool) -> int:
    from boxray.verbs import terminal

    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE if report.signal is None else 128 + report.signal


def run(arguments: Sequence[str]) -> int:
    """What `boxray ARGUMENTS` does, and its exit code; an error is one line on standard error."""
    if not arguments:
        with contextlib.redirect_stdout(sys.stderr):
            run(["--help"])
        return WRONG_USE
    try:
        code = app(list(arguments), prog_name="boxray", standalone_mode=False)
    except (UsageError, BoxrayError, MemoryError, OSError) as error:
        text = getattr(error, "format_message", error.__str__)() or "out of memory."
        typer.echo("error: " + " ".join(line.strip() for line in text.splitlines()), err=True)
        refused = isinstance(error, (UsageError, BoxrayError)) and not isinstance(
            error, OutputError
        )
        return WRONG_USE if refused else FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def main() -> NoReturn:
    """The program `boxray`."""
    _prepare_process()
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.exit(code)


def _prepare_process() -> None:
    """Streams that take every path and may be closed; an end by signal that tidies up."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed before we began
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115  open to the end
        getattr(sys, name).reconfigure(errors="backslashreplace")
    _when_nobody_reads(signal.SIG_DFL)  # `boxray … | head` ends quietly, like any program
    for ending in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, ending):
            signal.signal(getattr(signal, ending), _stop)


def _when_nobody_reads(action: signal.Handlers) -> None:
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, action)


def _stop(number: int, frame: FrameType | None) -> NoReturn:
    """Leave through every `finally`, so that no half-written file stays."""
    del number, frame
    sys.exit(TERMINATED)
