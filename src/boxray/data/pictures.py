"""Finding a data set's pictures by the names in its annotations, without leaving its folders."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from boxray.data.report import Cause, Fault

_SUFFIXES = frozenset({"jpg", "jpeg", "png", "bmp", "webp", "gif", "tif", "tiff"})
_FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")


class UnsafeNameError(Fault):
    """A file name that tries to leave the data set."""

    def __init__(self, message: str) -> None:
        super().__init__(message, Cause.UNSAFE_PATH)


def without_suffix(name: str) -> str | None:
    """The name of a picture without its ending, or None where the ending is no picture's."""
    stem, _, suffix = name.rpartition(".")
    return stem if suffix.lower() in _SUFFIXES else None


def by_name(folders: Sequence[Path]) -> dict[str, Path]:
    """Every picture by the name of its file, accents composed (NFC); an earlier folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in sorted(path.name for path in folder.iterdir()):
            if without_suffix(name):
                found.setdefault(unicodedata.normalize("NFC", name), folder / name)
    return found


def by_stem(folders: Sequence[Path]) -> dict[str, Path]:
    """Every picture by its name without ending; an earlier folder wins."""
    found: dict[str, Path] = {}
    for folder in folders:
        for name in sorted(path.name for path in folder.iterdir()):
            stem = without_suffix(name)
            if stem and stem not in found:
                found[stem] = folder / name
    return found


class Finder:
    """Looks for pictures by file name, first where the last one was.

    names: all that will be asked for, where the folders in a name may be left out if they are not
    there: never where two names end alike.
    """

    def __init__(self, folders: Sequence[Path], names: Iterable[object] = ()) -> None:
        self.folders = list(folders)
        ends = Counter(_end(name) for name in names if isinstance(name, str))
        self._single = {end for end, count in ends.items() if count == 1}

    def find(self, name: object) -> tuple[Path, str]:
        """The picture of this name in one of the folders, however its accents are encoded.

        And what of the name was left out to find it: its folders, or nothing.
        Raises Fault where there is none, UnsafeNameError for a name that leads elsewhere.
        """
        if not isinstance(name, str) or not name:
            raise Fault("it has no file_name", Cause.NO_PICTURE)
        reason = _unsafe(name)
        if reason:
            raise UnsafeNameError(
                f"file_name {name[:80]!r} is refused: {reason}. Write it as seen from the folder "
                "of the pictures, with /"
            )
        end = _end(name)
        for tried in (name, end) if end in self._single else (name,):
            found = self._there(tried)
            if found is not None:
                return found, name.removesuffix(tried)
        where = ", ".join(str(folder) for folder in self.folders)
        raise Fault(f"there is no picture {name[:80]!r} in {where}", Cause.NO_PICTURE)

    def _there(self, name: str) -> Path | None:
        for spelling in dict.fromkeys((name, *(unicodedata.normalize(f, name) for f in _FORMS))):
            for folder in self.folders:
                path = folder / spelling
                if os.path.isfile(path):  # noqa: PTH113  Path.is_file raises on a name too long
                    self.folders = [folder, *(other for other in self.folders if other != folder)]
                    return path
        return None

    def get(self, name: object) -> Path | None:
        """The picture of this name, or None where there is none that may be opened."""
        try:
            return self.find(name)[0]
        except Fault:
            return None


def _end(name: str) -> str:
    return name.rpartition("/")[2]


def _unsafe(name: str) -> str:
    """Why a file name must not be followed, or nothing."""
    if "\0" in name:
        return "it holds a NUL"
    if "://" in name:
        return "it is an address; pictures are never fetched"
    if "\\" in name:
        return "it holds a backslash"
    if name.startswith("/") or name[1:2] == ":" or ".." in name.split("/"):
        return "it leads out of the data set"
    return ""
