"""Where the verbs of `boxray data` put what they make."""

from __future__ import annotations

from pathlib import Path

DEFAULT_OUTPUT = Path("boxray-data")


def drawn_name(picture: Path, what: str) -> str:
    """The name of the file that shows `what` of a picture: `street.boxes.jpg`."""
    suffix = picture.suffix.lower()
    return f"{picture.stem}.{what}{suffix if suffix in ('.jpg', '.jpeg') else '.png'}"
