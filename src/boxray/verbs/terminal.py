"""Where output goes: tables and progress for people, one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

NARROWEST = 60  # columns; below this a table is unreadable anyway


def console(*, stderr: bool = False) -> Console:
    """A terminal, or a file that stands for one: without colours, then."""
    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if made.width < NARROWEST:
        made.width = NARROWEST
    return made


def deliver(document: dict[str, Any] | str, parts: Sequence[RenderableType], as_json: bool) -> None:
    """On standard output either the document (a text is JSON already) or the parts, for people."""
    if as_json:
        text = document if isinstance(document, str) else json.dumps(document, allow_nan=False)
        sys.stdout.write(text + "\n")
        return
    out = console()
    for part in parts:
        out.print(part, soft_wrap=isinstance(part, str))


def warn(*lines: str) -> None:
    """Lines on standard error, which --json leaves free."""
    out = console(stderr=True)
    for line in lines:
        out.print(shown(line), soft_wrap=True)


def shown(text: str) -> str:
    """The text on one line, what a terminal could obey or cannot show written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _unseen(done: int, total: int) -> None:
    del done, total


@contextlib.contextmanager
def progress(title: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while pictures are worked on; nothing where nobody looks."""
    out = console(stderr=True)
    if not out.is_terminal:
        yield _unseen
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=out, transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
