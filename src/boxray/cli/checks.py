"""The options of the verbs that run checks, each by its id."""

from __future__ import annotations

from typing import Annotated

import typer

Only = Annotated[str | None, typer.Option("--only", metavar="ID,ID", help="These checks alone.")]
Skip = Annotated[str | None, typer.Option("--skip", metavar="ID,ID", help="All checks but these.")]
NoPreflight = Annotated[
    bool, typer.Option("--no-preflight", help="Do not look first whether it will learn.")
]


def names(text: str | None) -> list[str]:
    """`one,two`: words with commas between them; none for None."""
    return [name.strip() for name in text.split(",")] if text else []
