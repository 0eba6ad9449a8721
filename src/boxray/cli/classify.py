"""`boxray classify`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from boxray import options
from boxray.cli.process import DONE

app = typer.Typer()


@app.command(
    "classify",
    epilog="\b\n"
    "boxray classify photo.jpg\n"
    "boxray classify photo.jpg --patch 150,190,270,300 --patch 600,200,700,300\n"
    "boxray classify photo.jpg --grid 3 --top 40 --output classes\n",
)
def _classify(
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="A picture.")],
    patch: Annotated[
        list[options.Patch] | None,
        typer.Option(
            "--patch",
            parser=options.patch,
            metavar="X0,Y0,X1,Y1",
            help="A piece of it, in pixels; may be given several times.",
        ),
    ] = None,
    grid: Annotated[
        int | None,
        typer.Option("--grid", parser=options.count, metavar="N", help="N by N pieces of it."),
    ] = None,
    top: Annotated[
        int | None,
        typer.Option(
            "--top", parser=options.count, metavar="K", help="The best K classes; 5 if unset."
        ),
    ] = None,
    model: options.Model = "lite0-imagenet",
    output: options.Output = None,
    as_json: options.Json = False,
    overwrite: options.Overwrite = False,
) -> int:
    """Name what a picture, or each of its pieces, shows, by ImageNet's 1,000 classes.

    Pieces are stretched to the network's input; a whole picture is seen as in training, its
    middle. With --output a bar chart and a histogram of the pixels are put there.
    """
    from boxray.verbs import classify, terminal

    report = classify.classify(
        image,
        model=model,
        patches=patch or (),
        grid=grid,
        top=top or 5,
        output=output,
        overwrite=overwrite,
    )
    terminal.deliver(report.to_dict(), report.parts(), as_json)
    return DONE
