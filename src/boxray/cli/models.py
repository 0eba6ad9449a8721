"""`boxray models` and `boxray export`, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()
EXPORT_EXAMPLES = """\b
boxray export runs/bccd --output bccd.onnx
boxray export runs/bccd --output bccd.onnx --data bccd --int8
boxray export yolov3.cfg --weights yolov3.weights --classes coco.names --output yolov3.onnx
boxray export inception_v3.tf_in1k --weights model.safetensors --output inception_v3.onnx
"""


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


@app.command("export", epilog=EXPORT_EXAMPLES)
def _export(
    model: options.ModelArgument,
    output: Annotated[Path, typer.Option("--output", metavar="FILE", help="A new .onnx file.")],
    weights: options.Weights = None,
    classes: options.ClassFile = None,
    name: options.Name = None,
    licence: options.Licence = None,
    size: options.Size = None,
    score_threshold: options.ScoreThreshold = None,
    iou_threshold: options.IouThreshold = None,
    judged_on: Annotated[
        Path | None,
        typer.Option("--data", metavar="DATA", help="Compare AP50 on these pictures, too."),
    ] = None,
    split: options.Split = None,
    int8: Annotated[
        bool,
        typer.Option("--int8", help="On 8-bit integers, calibrated on the train part of --data."),
    ] = False,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Write a model as one file to take away; a Darknet .cfg becomes one.

    It is compared with its network in torch first, and refused if it detects something else.
    """
    from boxray.data import Manner
    from boxray.verbs import export, terminal

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    if judged_on is None and (int8 or split is not None or manner != Manner.asked()):
        raise typer.BadParameter(
            "--int8, --split and how data is read need --data.", param_hint="--data"
        )
    report = export.export(
        model,
        output,
        weights=weights,
        classes=classes,
        stated=export.Stated(name, licence, size, score_threshold, iou_threshold),
        judged_on=None if judged_on is None else export.Judged(judged_on, split, manner, int8),
        overwrite=overwrite,
    )
    terminal.deliver(report.to_dict(), report.summary(), as_json)
    return DONE
