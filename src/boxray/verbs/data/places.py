"""Where the verbs of `boxray data` put what they make: never inside the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from boxray.errors import SettingError
from boxray.files import write_atomically
from boxray.verbs.sources import make_parent

DEFAULT_OUTPUT = Path("boxray-data")


def drawn_name(picture: Path, what: str) -> str:
    """The name of the file that shows `what` of a picture: `street.boxes.jpg`."""
    suffix = picture.suffix.lower()
    return f"{picture.stem}.{what}{suffix if suffix in ('.jpg', '.jpeg') else '.png'}"


def check_new_file(
    output: Path,
    suffix: str,
    roots: Iterable[Path],
    *,
    may_replace: bool = False,
    option: str = "--output",
) -> None:
    """Raise SettingError unless `output` may be written: with this ending, outside the data."""
    if output.suffix.lower() != suffix:
        raise SettingError(f"{option} {output}: expected a file that ends in {suffix}.")
    if output.exists() and not may_replace:
        raise SettingError(f"{option} {output} exists. Choose another, or add --overwrite.")
    for root in roots:
        if output.resolve().is_relative_to(root.resolve()):
            raise SettingError(
                f"{option} {output} lies inside the data {root}. Choose a place outside it."
            )


def write_new_file(output: Path, content: str) -> None:
    """Write a text file and the folders it needs; OutputError where that fails."""
    make_parent(output)
    write_atomically(output, content.encode("utf-8", "backslashreplace"))
