"""The source of boxray as the architecture tests read it: parsed, never imported."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "boxray"
DEFAULT_MODEL = PACKAGE / "models" / "default.onnx"
NO_DEFAULT_MODEL = "needs the shipped model src/boxray/models/default.onnx, which is not there yet"

Function = ast.FunctionDef | ast.AsyncFunctionDef
Documented = ast.Module | ast.ClassDef | Function


@dataclass(frozen=True)
class Module:
    """One source file."""

    path: Path

    @property
    def name(self) -> str:
        """The dotted name, `boxray.coders.anchors`."""
        parts = self.path.relative_to(PACKAGE.parent).with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, str(self.path))

    def functions(self) -> Iterator[Function]:
        """Every function, method and inner function."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def where(self, node: ast.AST) -> str:
        """`src/boxray/boxes.py:12 iou`, to be read in a failure."""
        name = getattr(node, "name", "")
        return f"{self.path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)} {name}".strip()


def modules() -> list[Module]:
    """Every Python file of the package, in the order of their paths."""
    return [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]


def lines_without_docstring(node: Function) -> int:
    """How many lines a function takes from `def` to its end, its own docstring not counted."""
    return node.end_lineno - node.lineno + 1 - docstring_lines(node)


def docstring_lines(node: Documented) -> int:
    """How many lines the docstring takes, 0 without one."""
    if ast.get_docstring(node) is None:
        return 0
    return node.body[0].end_lineno - node.body[0].lineno + 1


def parameters(node: Function) -> list[str]:
    """The names a caller may pass, without `self` and `cls`."""
    names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
    return [name for name in names if name not in {"self", "cls"}]
