"""`boxray data fetch`, as it is typed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from boxray import options
from boxray.cli.process import DONE, FAILED

app = typer.Typer()


@app.command(
    "fetch",
    epilog="\b\n"
    "boxray data fetch open-images --classes Person,Car --limit 500 --split validation\n"
    "boxray data fetch open-images --classes Cat --base-url https://mirror.example/openimages\n",
)
def _fetch(
    name: Annotated[
        Literal["open-images"], typer.Argument(metavar="NAME", help="What to fetch: open-images.")
    ],
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="A,B", help="Only boxes of these classes; all if unset."),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", parser=options.count, metavar="N", help="At most N images."),
    ] = None,
    split: Annotated[
        str, typer.Option("--split", help="train, validation or test.")
    ] = "validation",
    output: Annotated[
        Path | None, typer.Option("--output", help="The new data folder; open-images if unset.")
    ] = None,
    mirror: Annotated[
        str | None,
        typer.Option("--base-url", metavar="URL", help="A mirror with tables and pictures."),
    ] = None,
    as_json: options.Json = False,
) -> int:
    """Download annotations and just the pictures needed. The one verb that uses the network.

    Of tables only the rows that are needed are kept; with --limit they are read no further than
    needed. Run again, it downloads what is missing. Annotations are CC BY 4.0, pictures CC BY 2.0.
    """
    from boxray.data.open_images_fetching import Wanted
    from boxray.verbs import terminal
    from boxray.verbs.data import fetch

    del name
    names = tuple(part.strip() for part in classes.split(",") if part.strip()) if classes else ()
    report = fetch.fetch(
        Wanted(split, names, limit),
        output or fetch.DEFAULT_OUTPUT,
        mirror=mirror,
        say=terminal.warn,
        progress=terminal.progress,
    )
    terminal.warn(*([report.hint] if report.hint else []))
    terminal.warn(*(f"{image}: {reason}" for image, reason in list(report.failed.items())[:10]))
    found = f"{report.images} images ({report.kept} were there), {report.boxes} boxes"
    missing = f"; {len(report.failed)} pictures are missing: run it again" if report.failed else ""
    folder = terminal.shown(str(report.folder))
    terminal.deliver(report.to_dict(), [f"{folder}: {found}{missing}."], as_json)
    return FAILED if report.failed else DONE
