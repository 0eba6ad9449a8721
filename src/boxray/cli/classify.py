"""`boxray classify`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()
Patches = Annotated[
    list[options.Patch] | None,
    typer.Option(
        "--patch",
        parser=options.patch,
        metavar="X0,Y0,X1,Y1",
        help="A piece of it, in pixels; may be given several times.",
    ),
]
Annotations = Annotated[
    Path | None,
    typer.Option(
        "--annotations",
        metavar="DATA",
        help="Each object that this data set marks in the picture.",
    ),
]


@app.command(
    "classify",
    epilog="\b\n"
    "boxray classify photo.jpg\n"
    "boxray classify photo.jpg --patch 150,190,270,300 --patch 600,200,700,300\n"
    "boxray classify photo.jpg --grid 3 --top 40 --output classes\n"
    "boxray classify voc07/JPEGImages/000005.jpg --annotations voc07\n"
    "boxray classify photo.jpg --model inception_v3.tf_in1k --weights model.safetensors\n"
    "boxray classify photo.jpg --model inception_v3.tf_in1k "
    "--weights inception_v3_weights_tf_dim_ordering_tf_kernels.h5\n",
)
def _classify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    patch: Patches = None,
    grid: Annotated[
        int | None,
        typer.Option("--grid", parser=options.count, metavar="N", help="N by N pieces of it."),
    ] = None,
    annotations: Annotations = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", parser=options.count, metavar="K", help="The best K classes; 5 if unset."
        ),
    ] = None,
    model: options.Classifier = "lite0-imagenet",
    weights: options.ClassifierWeights = None,
    classes: options.ClassFile = None,
    threads: options.Threads = None,
    output: options.Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
    data_format: options.Format = None,
    voc_zero_based: options.VocZeroBased = False,
    segments: options.Segments = False,
    merge_names: options.MergeNames = False,
    strict: options.StrictData = False,
    cache: options.Cache = None,
) -> int:
    """Name what a picture, or each of its pieces, shows, by ImageNet's 1,000 classes.

    Any classifier of timm's does it where --weights has a file for it; nothing is downloaded.
    Pieces are stretched to the network's input; a whole picture is seen as in training, its
    middle. With --output a bar chart and a histogram of the pixels are put there.
    """
    from boxray.data import Manner
    from boxray.verbs import classify, terminal

    manner = Manner.asked(
        format=data_format, voc_zero_based=voc_zero_based, segments=segments,
        merge_names=merge_names, strict=strict, cache=cache,
    )  # fmt: skip
    report = classify.classify(
        image,
        choice=classify.Choice(model=model, weights=weights, classes=classes, threads=threads),
        pieces=classify.Pieces(
            patches=patch or (), grid=grid, annotations=annotations, manner=manner
        ),
        top=top or 5,
        output=output,
        overwrite=overwrite,
    )
    terminal.deliver(report.to_dict(), report.parts(), as_json)
    return DONE
