"""How far a reader walks: the project's files, functions and lines that one warm `detect` touches.

Run as a program it prints one JSON document. It runs by itself, outside pytest, because the import
hook of the tests wraps every function.
"""

import json
import sys
from pathlib import Path
from types import CodeType, FrameType

from architecture.source import PACKAGE, Module, lines_without_docstring


class Walk:
    """A profiler that keeps the code objects of the package's frames and their deepest stack."""

    def __init__(self) -> None:
        self.codes: set[CodeType] = set()
        self.stack: list[str] = []
        self.deepest: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: object) -> None:
        code = frame.f_code
        if not code.co_filename.startswith(f"{PACKAGE}/"):
            return
        if event == "call":
            self.codes.add(code)
            self.stack.append(code.co_qualname)
            if len(self.stack) > len(self.deepest):
                self.deepest = list(self.stack)
        elif event == "return" and self.stack:
            self.stack.pop()

    def report(self) -> dict[str, object]:
        """Every frame counts as a function; the lines of a comprehension are its function's."""
        lines, named = 0, []
        for code in self.codes:
            module = Module(Path(code.co_filename))
            for node in module.functions():
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if node.name == code.co_name and first == code.co_firstlineno:
                    lines += lines_without_docstring(node)
                    named.append(f"{module.path.relative_to(PACKAGE)} {code.co_qualname}")
        return {
            "files": sorted({code.co_filename for code in self.codes}),
            "functions": len(self.codes),
            "lines": lines,
            "depth": len(self.deepest),
            "deepest": self.deepest,
            "named": sorted(named),
        }


def main(photo: str, model: str = "default") -> None:
    """Walk through one warm detection on the shipped model, or another."""
    import boxray

    detector = boxray.load(model)
    detector.detect(photo)
    walk = Walk()
    sys.setprofile(walk)
    try:
        detector.detect(photo)
    finally:
        sys.setprofile(None)
    print(json.dumps(walk.report()))


if __name__ == "__main__":
    main(*sys.argv[1:])
