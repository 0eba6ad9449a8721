"""`boxray evaluate`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()

Html = Annotated[
    Path | None,
    typer.Option("--html", metavar="FILE", help="With --waterfall: a page with the worst images."),
]


@app.command(
    "evaluate",
    epilog="\b\n"
    "boxray evaluate runs/bccd bccd\n"
    "boxray evaluate default voc07 --split val --protocol voc --json\n"
    "boxray evaluate default voc07 --split val --waterfall --html lost.html\n",
)
def _evaluate(
    model: options.ModelArgument,
    data: options.DataArgument,
    split: options.Split = None,
    protocol: options.Protocol = "coco",
    classes: options.ClassFile = None,
    waterfall: Annotated[
        bool, typer.Option("--waterfall", help="Count, too, at which stage objects are lost.")
    ] = False,
    html: Html = None,
    overwrite: options.Overwrite = False,
    as_json: options.Json = False,
    iou_threshold: options.IouThreshold = None,
    method: options.Method = None,
    suppress_within: options.SuppressWithin = None,
    size: options.Size = None,
    threads: options.Threads = None,
    device: options.Device = "cpu",
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Measure a model on annotated pictures.

    Average precision with its interval, and for each class.

    Without --split it takes test where the data has one, else val.
    """
    from boxray.data import Manner
    from boxray.verbs import evaluate, evaluation_tables, running, terminal

    if not waterfall and (html is not None or overwrite):
        raise typer.BadParameter("it shows what --waterfall counts: add that.", param_hint="--html")
    how = running.Running(
        model=model, size=size, threads=threads, device=device, iou_threshold=iou_threshold,
        method=method, suppress_within=suppress_within,
    )  # fmt: skip
    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    with terminal.progress("evaluating") as on_image:
        report = evaluate.evaluate(
            how,
            data,
            split=split,
            protocol=protocol,
            classes=classes,
            manner=manner,
            losses=evaluate.Losses(html, overwrite) if waterfall else None,
            on_image=on_image,
        )
    terminal.warn(*report.notes, *report.evaluation.errors)
    terminal.deliver(report.to_dict(), evaluation_tables.evaluation(report), as_json)
    return DONE
