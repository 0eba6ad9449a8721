"""The command line starts light, and every verb, option, public name and error is in the docs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import boxray
from architecture.source import PACKAGE, ROOT
from architecture.test_minimal_imports import run

if TYPE_CHECKING:
    from click import Command, Parameter

NO_COMMAND_LINE = "needs src/boxray/cli/, which is not there yet"
READING = ("--format", "--voc-zero-based", "--segments", "--merge-names", "--strict", "--cache")
WITHOUT_ARGUMENTS = """
import sys
from boxray.cli import main
sys.argv = ["boxray", "--help"]
try:
    main()
except SystemExit as end:
    assert end.code in (0, None), end.code
print(sorted({"torch", "numpy", "PIL", "onnxruntime", "polars"} & set(sys.modules)))
"""


def documents() -> str:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def commands() -> Iterator[tuple[str, Command]]:
    """Each command of the command line, by its words: `data show`."""
    if not (PACKAGE / "cli").exists():
        pytest.skip(NO_COMMAND_LINE)
    from typer.main import get_command

    from boxray.cli import app

    waiting: list[tuple[str, Command]] = [("", get_command(app))]
    while waiting:
        words, command = waiting.pop()
        yield words, command
        children = getattr(command, "commands", {})
        waiting += [(f"{words} {name}".strip(), child) for name, child in children.items()]


def verbs_and_options() -> Iterator[tuple[str, list[str]]]:
    """Each command by its words, with the long options that it takes."""
    for words, command in commands():
        long = [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o[:2] == "--"]
        yield words, [option for option in long if option != "--help"]


def verbs_that_read_data() -> dict[str, dict[str, Parameter]]:
    """The verbs that take DATA, as an argument or an option, each with its parameters by name."""
    return {
        words: {parameter.opts[0]: parameter for parameter in command.params}
        for words, command in commands()
        if any(str(parameter.metavar).startswith("DATA") for parameter in command.params)
    }


def test_asking_for_help_loads_nothing_heavy():
    if not (PACKAGE / "cli").exists():
        pytest.skip(NO_COMMAND_LINE)
    assert "[]" == run(WITHOUT_ARGUMENTS)


def test_every_verb_is_in_the_docs():
    text = documents()
    verbs = [words for words, _ in verbs_and_options() if words]
    assert verbs
    assert [] == [words for words in verbs if f"boxray {words}" not in text]


def test_every_option_is_in_the_docs():
    written = set(re.findall(r"--[a-z][a-z0-9-]*", documents()))
    offered = {option for _, options in verbs_and_options() for option in options}
    assert offered
    internal = {"--install-completion", "--show-completion"}  # typer's own
    assert set() == offered - written - internal


def test_every_option_in_the_reference_exists():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`--[^|]*)\|", text, re.MULTILINE)
    written = {option for row in rows for option in re.findall(r"--[a-z][a-z0-9-]*", row)}
    assert written
    assert set() == written - {option for _, options in verbs_and_options() for option in options}


def test_every_verb_that_reads_data_can_be_told_how_and_no_other():
    having = {words: set(options) & set(READING) for words, options in verbs_and_options()}
    del having["detect"]  # its --strict is of pictures
    reading = {words: set(READING) for words in verbs_that_read_data()}
    assert len(reading) >= 13
    assert reading == {words: options for words, options in having.items() if options}


def test_an_option_for_reading_means_the_same_in_every_verb():
    reading = verbs_that_read_data()
    del reading["data doctor"]["--strict"]  # it tells of losses instead of refusing them
    for option in READING:
        told = [parameters[option] for parameters in reading.values() if option in parameters]
        assert 1 == len({(one.help, one.metavar, one.default) for one in told}), option


def test_every_public_name_and_error_is_in_the_docs():
    text = documents()
    from boxray import errors

    raised = [name for name in vars(errors) if re.match("[A-Z]", name)]
    names = [name for name in boxray.__all__ if not name.startswith("_")]
    assert [] == [name for name in raised + names if name not in text]
