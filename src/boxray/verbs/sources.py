"""Which pictures a verb works on, and where what it makes of them is put.

Everything here happens before the first picture is read, so that wrong use costs nobody an hour.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

from boxray.errors import FormatError, OutputError, SettingError

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"})
DRAWN_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True)
class Picture:
    """One file to work on; `drawn` is where its picture goes, below the output folder."""

    path: Path
    drawn: PurePath


@dataclass(frozen=True)
class Pictures:
    """The files in the order in which they are worked on, and what was left aside."""

    files: tuple[Picture, ...]
    folders: tuple[Path, ...]
    notes: tuple[str, ...] = ()


def collect(sources: Sequence[str | Path]) -> Pictures:
    """The pictures of files, folders and globs: in the order given, each file once.

    Inside a folder, and of a glob, in the order of the names' bytes, whatever the locale. Folders
    are searched to the bottom; a link to a folder is not followed, and is noted.
    Raises FormatError for a source that is not there or holds no picture.
    """
    found: dict[Path, PurePath] = {}
    folders: list[Path] = []
    notes: list[str] = []
    for source in sources:
        for path in _matches(source):
            if path.is_dir():
                folders.append(path)
                _add_folder(path, found, notes)
            elif path.is_file():
                found.setdefault(path, PurePath(path.name))
            else:
                raise FormatError(f"{path} is neither a file nor a folder.")
    if not found:
        where = ", ".join(map(str, sources)) or "nothing"
        endings = ", ".join(sorted(SUFFIXES))
        raise FormatError(
            f"no pictures in {where}. A folder's are found by their endings: {endings}."
        )
    return Pictures(tuple(_with_drawn_names(found)), tuple(folders), tuple(notes))


def prepare_output(
    output: Path, folders: Iterable[Path], *, default: Path, overwrite: bool = False
) -> None:
    """Make the output folder, or raise SettingError or OutputError before any work is done.

    A folder that the user named must be empty or absent, unless `overwrite`; the default one is
    boxray's own. It may not lie inside a folder of sources, whose next reading would find it.
    """
    require_outside(output, folders)
    try:
        output.mkdir(parents=True, exist_ok=True)
        occupied = any(output.iterdir())
    except OSError as error:
        raise SettingError(f"--output {output}: {error.strerror or error}.") from error
    if occupied and not overwrite and output != default:
        raise SettingError(f"--output {output} is not empty. Choose another, or add --overwrite.")
    if not os.access(output, os.W_OK | os.X_OK):
        raise SettingError(f"--output {output} is not writable.")


def require_outside(output: Path, folders: Iterable[Path], *, option: str = "--output") -> None:
    """Raise SettingError where results would lie among what is read: data is never changed."""
    for folder in folders:
        if output.resolve().is_relative_to(folder.resolve()):
            raise SettingError(
                f"{option} {output} lies inside {folder}, which is only read. "
                "Choose a place outside it."
            )


def make_parent(path: Path) -> None:
    """The folder of a file that is about to be written; OutputError if it cannot be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make {path.parent}: {error.strerror or error}.") from error


def _matches(source: str | Path) -> list[Path]:
    """The source itself if it exists, else what it matches as a glob."""
    path = Path(source)
    try:
        if path.exists():
            return [path]
        # Path.glob takes no absolute pattern
        found = glob.glob(os.fspath(source), recursive=True)  # noqa: PTH207
    except (OSError, ValueError) as error:  # too long a name, a NUL in it, no permission
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise FormatError(f"cannot read {path}: {reason}.") from error
    if not found and "://" in os.fspath(source):
        raise FormatError(f"{source} is on the web; boxray downloads nothing. Save it to a file.")
    if not found:
        raise FormatError(f"{path}: no such file or folder, and as a pattern it matches nothing.")
    return sorted(map(Path, found), key=os.fsencode)


def _add_folder(folder: Path, found: dict[Path, PurePath], notes: list[str]) -> None:
    for parent, inner, names in os.walk(folder):
        inner.sort(key=os.fsencode)
        links = [name for name in inner if Path(parent, name).is_symlink()]
        notes.extend(f"{Path(parent, name)}: a link to a folder, not followed" for name in links)
        for name in sorted(names, key=os.fsencode):
            path = Path(parent, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                found.setdefault(path, path.relative_to(folder))


def _with_drawn_names(found: dict[Path, PurePath]) -> list[Picture]:
    """Every picture with a name of its own, in a format that can be written."""
    taken: set[PurePath] = set()
    pictures = []
    for path, relative in found.items():
        drawn = relative
        if drawn.suffix.lower() not in DRAWN_SUFFIXES:
            drawn = drawn.with_suffix(".jpg")
        stem, number = drawn.stem, 1
        while drawn in taken:
            number += 1
            drawn = drawn.with_name(f"{stem}-{number}{drawn.suffix}")
        taken.add(drawn)
        pictures.append(Picture(path, drawn))
    return pictures
