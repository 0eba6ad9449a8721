"""Object detection you can see through.

>>> import boxray
>>> detector = boxray.load("default")
>>> result = detector.detect("photo.jpg")     # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from boxray.bundle import load as load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> object:
    """Import `load` on first use, so that `import boxray` and `boxray --help` stay quick."""
    if name == "load":
        from boxray.bundle import load

        return load
    raise AttributeError(f"module 'boxray' has no attribute {name!r}")
