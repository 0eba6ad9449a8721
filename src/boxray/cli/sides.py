"""What --size may say where a canvas is square."""

from __future__ import annotations

import typer

from boxray.options import CanvasSize


def one_side(size: CanvasSize | None, who: str) -> int | None:
    """The side of a square canvas, None if nothing was said. who: takes no other, `a training`."""
    if size is not None and size.height != size.width:
        takes = "take" if who.endswith("s") else "takes"
        raise typer.BadParameter(f"{who} {takes} one side, like 320.", param_hint="--size")
    return None if size is None else size.height
