"""The command line: arguments to verbs, and what verbs say to a person or, with --json, a program.

Nothing heavy is imported before a verb runs. Exit codes: 0 done, 1 failed while running or a check
that says no, 2 wrong use or refused input, 130 and 143 after Ctrl-C and SIGTERM.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from boxray import __version__
from boxray.cli import (
    bakeoff,
    classify,
    data,
    detect,
    evaluate,
    explain,
    fit,
    learning_rate,
    models,
    preflight,
    runs,
    train,
)
from boxray.cli.process import DONE, FAILED, INTERRUPTED, WRONG_USE, prepare_process
from boxray.errors import BoxrayError, NetworkError, OutputError, PreflightError

# click's UsageError, of typer's own copy of click where it has one
UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    name="boxray",
    help="Object detection you can see through: train on a laptop, run anywhere.",
    epilog="Of an option given twice the last one counts. Exit codes: 0 done, 1 failed while "
    "running or a check that says no, 2 wrong use or refused input, 130 and 143 after Ctrl-C and "
    "SIGTERM.",
    rich_markup_mode=None,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help"]},
)
VERBS = (detect, explain, classify, evaluate, bakeoff, models, preflight, learning_rate, train, fit)
for verbs in VERBS:
    app.add_typer(verbs.app)
app.add_typer(data.app, name="data")
app.add_typer(runs.app, name="runs")


def _version(asked: bool) -> bool:
    if asked:
        typer.echo(f"boxray {__version__}")
        raise typer.Exit(DONE)
    return asked


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """What `boxray ARGUMENTS` does, and its exit code; an error is one line on standard error."""
    if list(arguments) in ([], ["data"], ["runs"]):  # no verb
        with contextlib.redirect_stdout(sys.stderr):
            run([*arguments, "--help"])
        return WRONG_USE
    try:
        code = app(list(arguments), prog_name="boxray", standalone_mode=False)
    except (UsageError, BoxrayError, MemoryError, OSError) as error:
        text = getattr(error, "format_message", error.__str__)() or "out of memory."
        typer.echo("error: " + " ".join(line.strip() for line in text.splitlines()), err=True)
        refused = isinstance(error, (UsageError, BoxrayError)) and not isinstance(
            error, (OutputError, NetworkError, PreflightError)
        )
        return WRONG_USE if refused else FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return code if isinstance(code, int) else DONE


def main() -> NoReturn:
    """The program `boxray`."""
    prepare_process()
    code = run(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    sys.exit(code)
