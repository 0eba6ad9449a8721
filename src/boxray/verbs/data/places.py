"""Where the verbs of `boxray data` put what they make: never inside the data."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from boxray.errors import SettingError
from boxray.files import write_atomically
from boxray.verbs.sources import make_parent, require_outside

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
    require_outside(output, roots, option=option)


def require_new_folder(output: Path) -> None:
    """Raise SettingError unless `output` is absent or an empty folder."""
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise SettingError(f"--output {output} is in use. Give a new or an empty folder.")


def write_new_file(output: Path, content: str) -> None:
    """Write a text file and the folders it needs; OutputError where that fails."""
    make_parent(output)
    write_atomically(output, content.encode("utf-8", "backslashreplace"))
