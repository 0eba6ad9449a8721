"""Recipes: one function per detector, holding all its numbers; here is the table of them.

The table is read by `--help`, so importing it loads nothing; `recipe.blueprint` follows it.
"""

from __future__ import annotations

import difflib

from boxray.errors import SettingError

DEFAULT = "grid-lite0"
# each recipe's name, and the module here that has it among its BLUEPRINTS
TABLE = {
    "grid-lite0": "grid_lite0",
    "yolov3-lite0": "yolo",
    "yolov3-tiny": "yolo",
    "yolov3": "yolo",
    "yolov3-spp": "yolo",
    "yolov2-tiny": "yolo",
    "yolov2": "yolo",
    "faster-rcnn-lite0": "faster_rcnn",
    "faster-rcnn-resnet50": "faster_rcnn",
    "retinanet-lite0": "retinanet",
    "retinanet-resnet50": "retinanet",
    "retinanet-resnet50-v2": "retinanet",
}


def known(name: str) -> str:
    """The name as the table has it; an underscore counts as a hyphen.

    Raises SettingError for an unknown name, with the nearest known one.
    """
    wanted = name.lower().replace("_", "-")
    if wanted in TABLE:
        return wanted
    if wanted in ("rcnn", "r-cnn"):
        raise SettingError(f"{name!r} is fitted, not trained step by step: `boxray fit DATA`.")
    near = difflib.get_close_matches(wanted, TABLE, 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise SettingError(f"no recipe {name!r}.{hint} Recipes: {', '.join(TABLE)}.")
