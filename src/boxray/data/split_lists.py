"""Lists of pictures that divide a data set from outside it, as `boxray data split` writes them.

A folder with `boxray-split.json`, which says where the data is (`{"data": "../photos"}`, as seen
from the folder), and a text file for each split: train.txt, val.txt, test.txt, a picture per line
as seen from the data, with forward slashes. Such a folder is read like a data set.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from boxray.data import annotated
from boxray.data.annotated import Conventions, Reading
from boxray.data.dataset import Dataset
from boxray.data.partition import DERIVED, Divider, Listed, Place, in_order, plain
from boxray.data.report import REPAIRED, SKIPPED, Cause, Ledger
from boxray.errors import FormatError
from boxray.files import building

POINTER = "boxray-split.json"
SCHEMA = "boxray.split-lists/1"
LARGEST = 1 << 16  # bytes of the pointer


class Lists(NamedTuple):
    """Where the data is, and plain split name → its list."""

    data: Path
    files: dict[str, Path]


@dataclass(frozen=True)
class Layout:
    """A data set, and the lists that divide it in place of its own splits."""

    whole: annotated.Layout
    lists: dict[str, Path]

    @property
    def root(self) -> Path:
        """The folder of the data set."""
        return self.whole.root

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that have a list."""
        return in_order(self.lists)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """The images of a list, or of all lists; what is listed and not there is skipped."""
        union = DERIVED if split == "trainval" else self.splits
        names = [split] if split in self.lists else union
        listed = Listed(self.root, _lines([self.lists[name] for name in names], ledger))
        divided = replace(divider, listed=listed)
        reading = self.whole.read(split or "all", ledger, conventions, divided)
        for line, place in listed.missing.items():
            ledger.images["read"] += 1
            reason = f"line {place.line}: the data has no picture {line[:80]!r}"
            ledger.image(SKIPPED, place.path, reason, cause=Cause.NO_PICTURE)
        return reading


def find(folder: Path) -> Lists | None:
    """The data and the lists that a folder names, or None where it is no folder of lists.

    Raises FormatError where it names no data, or has no list.
    """
    pointer = folder / POINTER
    if not pointer.is_file():
        return None
    data, files = folder / _named(pointer), sorted(folder.glob("*.txt"))
    if not os.path.exists(data):  # noqa: PTH110  Path.exists raises on a name too long
        raise FormatError(f"{pointer} names the data {data}, which is not there: correct it.")
    if (data / POINTER).is_file():
        raise FormatError(f"{pointer} names {data}, which holds lists itself: name the data.")
    lists = {plain(file.stem): file for file in files}
    if len(lists) < len(files) or not files:
        raise FormatError(f"{folder} needs one list for each split: train.txt, val.txt.")
    return Lists(Path(os.path.normpath(data)), lists)


def _named(pointer: Path) -> str:
    """What the pointer says of where the data is."""
    with pointer.open("rb") as file:
        content = file.read(LARGEST)
    try:
        document = json.loads(content)
        named = document["data"]
        if isinstance(named, str) and named and "\0" not in named:
            return named
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise FormatError(f'{pointer} does not say where the data is: expected {{"data": "FOLDER"}}.')


def _lines(files: Sequence[Path], ledger: Ledger) -> dict[str, Place]:
    """Every picture that is listed, with its first place."""
    found: dict[str, Place] = {}
    for path in files:
        try:
            text = os.fsdecode(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
        except OSError as error:
            raise FormatError(f"cannot read the list {path}: {error.strerror}.") from error
        seen = set()
        for number, line in enumerate(text.splitlines(), 1):
            name = line.strip()
            if name in seen:
                ledger.remark(REPAIRED, path, f"{name[:80]!r} is listed twice: one kept", number)
            seen.add(name)
            if name:
                found.setdefault(name, Place(path, number))
    return found


def write(parts: Sequence[Dataset], data: Path, folder: Path) -> None:
    """The lists of these parts of the data set at `data`, as a new folder."""
    lists = find(data)
    with building(folder) as unfinished:
        for part in parts:
            root = part.roots[0]
            told = [Path(os.path.relpath(sample.path, root)).as_posix() for sample in part.samples]
            (unfinished / f"{part.split}.txt").write_bytes(
                b"".join(os.fsencode(path) + b"\n" for path in sorted(told))
            )
        there = os.path.relpath((lists.data if lists else data).resolve(), folder.resolve())
        pointer = {"schema": SCHEMA, "data": Path(there).as_posix()}
        (unfinished / POINTER).write_text(json.dumps(pointer, indent=1) + "\n", encoding="utf-8")
