"""Small, by check: functions, files, parameter lists."""

import ast

from architecture.source import Function, lines_without_docstring, modules, parameters

MOST_FUNCTION_LINES = 60
MOST_FILE_LINES = 350
MOST_PARAMETERS = 8


def test_no_function_is_longer_than_60_lines():
    long = {
        module.where(node): lines_without_docstring(node)
        for module in modules()
        for node in module.functions()
        if lines_without_docstring(node) > MOST_FUNCTION_LINES
    }
    assert {} == long


def test_no_file_is_longer_than_350_lines():
    lengths = {str(module.path): module.text.count("\n") for module in modules()}
    assert {} == {path: n for path, n in lengths.items() if n > MOST_FILE_LINES}


def is_typed_verb(node: Function) -> bool:
    """A function that typer calls: its parameters are what people type, one per option."""
    return any(ast.unparse(decorator).startswith("app.") for decorator in node.decorator_list)


def test_no_function_takes_more_than_8_parameters():
    wide = {
        module.where(node): parameters(node)
        for module in modules()
        for node in module.functions()
        if len(parameters(node)) > MOST_PARAMETERS and not is_typed_verb(node)
    }
    assert {} == wide


def test_no_function_swallows_unknown_keywords():
    swallowing = [
        module.where(node)
        for module in modules()
        for node in module.functions()
        if node.args.kwarg is not None
    ]
    assert [] == swallowing
