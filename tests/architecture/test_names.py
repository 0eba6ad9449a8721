"""One whole word per role: the field's abbreviations and the drawers for anything stay out."""

import ast
import re
import sys
from collections.abc import Iterator

from architecture.source import Module, modules

ABBREVIATIONS = {"bbox", "bboxes", "gt", "gts", "pred", "preds", "dt", "dts", "obj", "conf", "cls"}
ABBREVIATIONS |= {"idx", "idxs", "img", "imgs", "lbl", "thr", "thresh", "cfg", "tmp", "arr", "num"}
DRAWERS = {"util", "utils", "common", "core", "misc", "base", "manager", "helper", "helpers"}


def words(identifier: str) -> set[str]:
    """`maxBoxes_hw` as {max, boxes, hw}."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", identifier)}


def given_names(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name that this file gives to something: not those it merely uses."""
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node, node.name
        elif isinstance(node, ast.arg) and node.arg != "cls":  # Python's own word
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
            yield node, node.attr  # another object's attributes were named by its makers
        elif isinstance(node, ast.alias) and node.asname:
            yield node, node.asname


def test_names_are_whole_words_of_the_field():
    short = [
        f"{module.where(node)}: {name}"
        for module in modules()
        for node, name in given_names(module)
        if words(name) & (ABBREVIATIONS | DRAWERS)
    ]
    assert [] == short


def test_no_module_is_a_drawer_for_anything():
    parts = {part for module in modules() for part in module.name.split(".")}
    assert set() == {part for part in parts if words(part) & (ABBREVIATIONS | DRAWERS)}


def test_no_module_is_named_after_one_of_the_standard_library():
    parts = {part for module in modules() for part in module.name.split(".")} - {"__main__"}
    assert set() == parts & sys.stdlib_module_names


def test_words_are_found_inside_names():
    assert {"best", "gt", "box"} == words("bestGt_box")
    assert {"target"} == words("target")  # holds the letters g, e, t: not the word
