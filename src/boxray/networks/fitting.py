"""Whether weights from a file are a network's own, told by name and shape before any is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from boxray.errors import ModelError

Shapes: TypeAlias = Mapping[str, tuple[int, ...]]  # of tensors, by name


def require_fit(found: Shapes, wanted: Shapes, called: Mapping[str, str] | None = None) -> None:
    """ModelError unless both have the same names, each with the same shape.

    called: what the file calls a tensor that we name otherwise.
    """
    theirs = called or {}
    unknown = [theirs.get(name, name) for name in found if name not in wanted]
    missing = [name for name in wanted if name not in found]
    others = [
        f"{theirs.get(name, name)} is {shape}, not {wanted[name]}"
        for name, shape in found.items()
        if name in wanted and shape != wanted[name]
    ]
    faults = (("unknown", unknown), ("missing", missing), ("of another shape", others))
    told = [f"{kind}: {_few(names)}" for kind, names in faults if names]
    if told:
        raise ModelError(f"these weights are not this network's; {'; '.join(told)}.")


def _few(names: list[str]) -> str:
    """The first names and how many more there are."""
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more}"
