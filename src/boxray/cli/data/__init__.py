"""`boxray data …`: looking at annotated data, checking and converting it. One file per verb."""

from __future__ import annotations

import typer

from boxray.cli.data import (
    browse,
    convert,
    doctor,
    fetch,
    grid,
    priors,
    proposals,
    show,
    split,
    stats,
)

app = typer.Typer(help="Look at annotated pictures, check them, convert them.")
for verb in (show, stats, priors, grid, proposals, browse, doctor, split, convert, fetch):
    app.add_typer(verb.app)


@app.callback()
def _data() -> None:
    pass
