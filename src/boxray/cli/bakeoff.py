"""`boxray bakeoff`, as it is typed."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE, FAILED

app = typer.Typer()


@app.command(
    "bakeoff",
    epilog="\b\n"
    "boxray bakeoff voc07 --models default runs/retinanet runs/faster-rcnn\n"
    "boxray bakeoff voc07 --split val --protocol voc --limit 100 --threads 1 --models default\n",
)
def _bakeoff(
    data: options.DataArgument,
    more: Annotated[
        list[str] | None,
        typer.Argument(metavar="MODELS", help="Shipped names, run folders or .onnx files."),
    ] = None,
    models: Annotated[
        list[str] | None,
        typer.Option("--models", metavar="MODEL", help="Stands before the models, if you like."),
    ] = None,
    output: options.Output = None,
    split: options.Split = None,
    protocol: options.Protocol = "coco",
    limit: options.Drawn = None,
    seed: options.Seed = None,
    threads: options.Threads = None,
    classes: options.ClassFile = None,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> int:
    """Compare models on the same annotated pictures: what each reaches, and what it costs.

    Every model runs in a process of its own. Stopped, the same command goes on where it was. One
    that fails is named with its reason, and does not stop the others; exit code 1 then.
    """
    from boxray.data import Manner
    from boxray.verbs import bakeoff, bakeoff_tables, terminal

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    terms = bakeoff.Terms(
        split=split,
        protocol=protocol,
        classes=classes,
        limit=limit,
        seed=seed or 0,
        threads=threads,
        manner=manner,
    )
    named = [*(models or []), *(more or [])]
    alone = len(named) == 1  # else every model's own process shows how far it is
    with terminal.progress("measuring") if alone else contextlib.nullcontext() as on_image:
        report = bakeoff.bakeoff(
            named,
            data,
            terms=terms,
            output=output or bakeoff.DEFAULT_OUTPUT,
            on_model=None if alone else _tell,
            on_image=on_image,
        )
    terminal.warn(*(line for entry in report.entries for line in entry["errors"]))
    terminal.deliver(report.to_dict(), bakeoff_tables.bakeoff(report), as_json)
    return FAILED if report.failed else DONE


def _tell(name: str, number: int, count: int) -> None:
    from boxray.verbs import terminal

    terminal.warn(f"{number} of {count}: {name}")
