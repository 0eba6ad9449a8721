"""The command line starts light, and every verb, option, public name and error is in the docs."""

import re
from collections.abc import Iterator

import pytest

import boxray
from architecture.source import PACKAGE, ROOT
from architecture.test_minimal_imports import run

NO_COMMAND_LINE = "needs src/boxray/cli/, which is not there yet"
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


def verbs_and_options() -> Iterator[tuple[str, list[str]]]:
    """Each command by its words, `data show`, with the long options that it takes."""
    if not (PACKAGE / "cli").exists():
        pytest.skip(NO_COMMAND_LINE)
    from typer.main import get_command

    from boxray.cli import app

    waiting = [("", get_command(app))]
    while waiting:
        words, command = waiting.pop()
        long = [o for p in command.params for o in (*p.opts, *p.secondary_opts) if o[:2] == "--"]
        yield words, [option for option in long if option != "--help"]
        children = getattr(command, "commands", {})
        waiting += [(f"{words} {name}".strip(), child) for name, child in children.items()]


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


def test_every_public_name_and_error_is_in_the_docs():
    text = documents()
    from boxray import errors

    raised = [name for name in vars(errors) if re.match("[A-Z]", name)]
    names = [name for name in boxray.__all__ if not name.startswith("_")]
    assert [] == [name for name in raised + names if name not in text]
