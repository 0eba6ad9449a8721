"""`boxray detect` and `boxray demo`, as they are typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from boxray import options
from boxray.cli.process import DONE, FAILED

if TYPE_CHECKING:
    from boxray.verbs.detect import DetectReport

app = typer.Typer()


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
    method: options.Method = None,
    suppress_within: options.SuppressWithin = None,
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
        method=method,
        suppress_within=suppress_within,
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


def _show_detections(report: DetectReport, as_json: bool) -> None:
    from boxray.verbs import tables, terminal

    terminal.warn(*report.notes, *report.errors)
    terminal.deliver(report.to_json(), tables.found(report), as_json)
