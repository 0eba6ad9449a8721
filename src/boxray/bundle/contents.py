"""What a model consists of: its files, and how many numbers it learned."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path

from boxray import bundle


@dataclass(frozen=True)
class Contents:
    """A model's files, the graph that says all about it first.

    parameters: the weights in them, in whatever precision, batch norm being folded; None where the
    onnx package is not installed.
    """

    model: bundle.AnyModel
    size_bytes: int
    parameters: int | None


def contents(name_or_path: str | Path) -> Contents:
    """The files of a model's name, an `.onnx` file or a run folder. Raises ModelError."""
    content, _ = bundle.read(bundle.file_of(name_or_path))
    model = bundle.described(name_or_path)
    files = [content]
    if model.second is not None:
        path = Path(name_or_path)
        files.append(bundle.read_second(model.second, path.parent if path.is_file() else path))
    counts = [_parameters(file) for file in files]
    known = [count for count in counts if count is not None]
    return Contents(model, sum(map(len, files)), sum(known) if len(known) == len(counts) else None)


def _parameters(content: bytes) -> int | None:
    try:
        import onnx
    except ImportError:
        return None
    kinds = onnx.TensorProto
    floats = (kinds.FLOAT, kinds.FLOAT16, kinds.DOUBLE, kinds.INT8)
    weights = onnx.load_from_string(content).graph.initializer
    return sum(prod(map(int, weight.dims)) for weight in weights if weight.data_type in floats)
