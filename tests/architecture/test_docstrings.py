"""Every module, and every public function and class, says what it is; its examples run."""

import ast
import doctest
import importlib

import pytest

from architecture.source import DEFAULT_MODEL, NO_DEFAULT_MODEL, Function, Module, modules

WITH_EXAMPLES = [module for module in modules() if ">>>" in module.text]


def test_every_module_says_what_it_is():
    assert [] == [module.name for module in modules() if not ast.get_docstring(module.tree)]


def test_every_public_function_and_class_has_a_docstring():
    silent = [
        module.where(node)
        for module in modules()
        for node in module.tree.body
        if isinstance(node, (ast.ClassDef, *Function.__args__))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
    ]
    assert [] == silent


@pytest.mark.parametrize("module", WITH_EXAMPLES, ids=lambda module: module.name)
def test_the_examples_in_docstrings_run(module: Module):
    if "load(" in module.text and not DEFAULT_MODEL.exists():
        pytest.skip(NO_DEFAULT_MODEL)
    result = doctest.testmod(importlib.import_module(module.name))
    assert result.attempted > 0
    assert 0 == result.failed
