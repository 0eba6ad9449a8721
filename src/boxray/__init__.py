"""Object detection you can see through.

>>> import boxray
>>> detector = boxray.load("default")
>>> result = detector.detect("photo.jpg")     # doctest: +SKIP
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# before anything imports onnxruntime: from 1.29 on it reports its use to its makers, and keeps a
# number for this device, unless it is told not to; who wants that sets the variable to 0
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from boxray.bundle import load as load
    from boxray.bundle import load_classifier as load_classifier
    from boxray.from_classifier import sliding_window as sliding_window
    from boxray.regions import rcnn as rcnn

__version__ = "0.1.0"
__all__ = ["__version__", "load", "load_classifier", "rcnn", "sliding_window"]


def __getattr__(name: str) -> object:
    """Import what loads models on first use: `import boxray` and `boxray --help` stay quick."""
    if name in ("load", "load_classifier"):
        from boxray import bundle

        return getattr(bundle, name)
    if name == "sliding_window":
        from boxray import from_classifier

        return from_classifier.sliding_window
    if name == "rcnn":
        from boxray import regions

        return regions.rcnn
    raise AttributeError(f"module 'boxray' has no attribute {name!r}")
