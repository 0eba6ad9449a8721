"""README's map of the tree equals the tree."""

import re

import pytest

from architecture.source import DEFAULT_MODEL, NO_DEFAULT_MODEL, PACKAGE, ROOT

UNNAMED = {"__init__.py", "__pycache__", "py.typed"}


def mapped_paths() -> set[str]:
    """The paths that README's map names, relative to src/boxray; two spaces lead into a folder."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"```text\nsrc/boxray/\n(.*?)```", readme, re.DOTALL)
    assert block, "README.md needs a ```text block that starts with the line src/boxray/"
    folders: list[str] = []
    found: set[str] = set()
    for line in block[1].splitlines():
        depth = (len(line) - len(line.lstrip())) // 2 - 1
        name = line.split()[0]
        folders[depth:] = [name.rstrip("/")] if name.endswith("/") else []
        found.add("/".join([*folders[:depth], name]))
    return found


def tree_paths() -> set[str]:
    return {
        path.relative_to(PACKAGE).as_posix() + ("/" if path.is_dir() else "")
        for path in PACKAGE.rglob("*")
        if not UNNAMED & set(path.relative_to(PACKAGE).parts)
        and not any(part.startswith(".") for part in path.relative_to(PACKAGE).parts)
    }


def test_the_map_names_every_file_and_folder():
    assert set() == tree_paths() - mapped_paths() - {"models/"}


def test_the_map_names_nothing_that_is_not_there():
    models = {path for path in mapped_paths() if path.startswith("models/")}
    assert set() == mapped_paths() - tree_paths() - models


def test_the_models_of_the_map_are_there():
    if not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    mapped = {path for path in mapped_paths() if path.startswith("models/")}
    assert {path for path in tree_paths() if path.startswith("models/")} == mapped
