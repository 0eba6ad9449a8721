"""YOLO annotations: a text file per picture, `class x y width height` on each line.

x and y are the centre; all four are shares of the picture's width and height, edges without +1.
Source: Redmon's Darknet, github.com/pjreddie/darknet, scripts/voc_label.py (but for its -1).
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from boxray.boxes import centre_size
from boxray.data.annotated import (
    NOTHING,
    Annotated,
    Conventions,
    Found,
    Frame,
    Reading,
    frame_of,
    settle,
    without_repeats,
)
from boxray.data.partition import Divider, divisions
from boxray.data.parts import CLASS_LIST, UNLABELLED, Part, written_number
from boxray.data.parts import WHOLE as NO_SPLIT
from boxray.data.pictures import Finder, without_suffix
from boxray.data.report import REPAIRED, SKIPPED, WARNING, Cause, Fault, Ledger, cause_of
from boxray.data.yolo_files import Parts, find, is_label_name, lines_of, within
from boxray.errors import BoxrayError, FormatError

EXPECTED = (
    "data.yaml, obj.data, or images/ beside labels/*.txt, or label files beside their pictures"
)
PICTURES = "images/{split}"
SAYS = frozenset({UNLABELLED, CLASS_LIST})
MAX_BYTES = 16 << 20  # some 400,000 boxes
ROUNDING = 2e-6  # shares; what six decimals of centre and size may reach over an edge
SMALLEST = 0.1  # pixels
LONGEST_LINE = 1 << 18  # bytes; a polygon of some 15,000 corners
_NUMBER = rb"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,4})?"
_LINE = re.compile(rb"(\d{1,9})((?:\s+" + _NUMBER + rb"){4,})", re.ASCII)
_INTEGRAL = re.compile(rb"(\d{1,9})\.0*")


@dataclass(frozen=True)
class Layout:
    """The parts of a YOLO data set."""

    parts: Parts

    @property
    def root(self) -> Path:
        """The folder that all paths are told from."""
        return self.parts.root

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a list or a folder each."""
        return divisions(self.parts.sources)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all; where no file names the classes, numbers do."""
        for remark in self.parts.remarks:
            ledger.remark(WARNING, self.parts.named_by, remark)
        reader = _Reader(self.parts, conventions.segments, ledger)
        images = tuple(reader.images(_entries(self, split, ledger, divider)))
        reader.close()
        if images and not any(image.labelled for image in images):
            first = images[0].path
            reason = (
                f"none of {len(images)} pictures has its file of labels: {first.stem}.txt beside "
                f"{first}, or in labels/ where that is in images/"
            )
            ledger.remark(WARNING, self.root, reason)
        names = self.parts.names or tuple(str(n) for n in range(max(reader.used, default=-1) + 1))
        return Reading(names, images)


def recognise(path: Path) -> Layout | None:
    """The layout of a YOLO data set at `path`: a folder, a .yaml or a .data file."""
    parts = find(path)
    return None if parts is None else Layout(parts)


class Entry(NamedTuple):
    """One image of a data set: its name, and its picture and label file, None where missing."""

    name: str
    picture: Path | None
    label: Path | None


def _entries(layout: Layout, split: str | None, ledger: Ledger, divider: Divider) -> list[Entry]:
    """The images of a split, each once, in the order of its list or by name."""
    sources, own = layout.parts.sources, divider.splits_of(layout.splits)
    if not own or split is None:
        wanted = list(layout.splits or sources)
    else:
        wanted = ["train", "val"] if split == "trainval" else [split]
    found: dict[str, Entry] = {}
    seen: dict[str, str] = {}  # the same names wherever the data lies
    for source in (source for name in wanted for source in sources[name]):
        entries = _in_folder(source) if source.suffix != ".txt" else _in_list(source, layout.root)
        for entry in entries:
            found.setdefault(entry.name, entry)
            seen[entry.name] = entry.name if source.suffix == ".txt" else _seen(entry, layout.root)
    if own or split is None:
        return list(found.values())
    pictures = {seen[name]: entry.picture for name, entry in found.items()}
    part = divider.part(pictures, split, layout.root, ledger)
    return [entry for name, entry in found.items() if seen[name] in part]


def _seen(entry: Entry, root: Path) -> str:
    return Path(os.path.relpath(entry.name, root)).as_posix()


def _in_folder(folder: Path) -> Iterator[Entry]:
    """The pictures below a folder, and label files without one."""
    labels = _label_folder(folder)
    pictures = {stem: path for name, path in _walk(folder) if (stem := without_suffix(name))}
    texts = {name[:-4]: path for name, path in _walk(labels) if name.endswith(".txt")}
    known = {stem for stem, path in texts.items() if is_label_name(path)}
    for stem in sorted(known | pictures.keys()):
        picture, label = pictures.get(stem), texts.get(stem)
        yield Entry(str(picture or label), picture, label)


def _label_folder(folder: Path) -> Path:
    """The folder of the label files of a folder of pictures: `labels` for the last `images`."""
    steps = list(folder.parts)
    for i in reversed(range(len(steps))):
        if steps[i] == "images":
            swapped = Path(*steps[:i], "labels", *steps[i + 1 :])
            return swapped if swapped.is_dir() else folder
    return folder


def _walk(folder: Path) -> Iterator[tuple[str, Path]]:
    """Every file below a folder by its relative name; folders behind a link are left alone."""
    for place, folders, files in os.walk(folder):
        folders.sort()
        relative = os.path.relpath(place, folder)
        for file in sorted(files):
            name = file if relative == "." else f"{relative}/{file}"
            yield name, Path(place, file)


def _in_list(path: Path, root: Path) -> Iterator[Entry]:
    """The pictures of a list, whose paths may be those of another machine."""
    near = [root / name for name in ("images", "JPEGImages", "../images", "../JPEGImages")]
    finder = Finder([folder for folder in (root, path.parent, *near) if folder.is_dir()])
    for line in lines_of(path):
        stem = without_suffix(line) or line
        picture = within(root, line)
        if picture is None:
            picture = finder.get(line.replace("\\", "/").rpartition("/")[2])
        swapped = "/labels/".join(stem.rsplit("/images/", 1))
        label = within(root, f"{swapped}.txt") or within(root, f"{stem}.txt")
        yield Entry(line, picture, label)


class _Reader:
    """Reads images one after the other. used: the numbers of classes that occur."""

    def __init__(self, parts: Parts, segments: bool, ledger: Ledger) -> None:
        self.parts, self.segments, self.ledger = parts, segments, ledger
        self.used: set[int] = set()

    def images(self, entries: Sequence[Entry]) -> Iterator[Annotated]:
        """Those that can be read."""
        for entry in entries:
            self.ledger.images["read"] += 1
            source = entry.label or entry.picture or self.parts.root
            try:
                if entry.picture is None:
                    raise Fault(f"there is no picture for {entry.name[-80:]!r}", Cause.NO_PICTURE)
                yield self._image(entry.picture, entry.label)
            except (BoxrayError, OSError) as error:
                cause = cause_of(error, Cause.BAD_FILE)
                self.ledger.image(SKIPPED, source, str(error), cause=cause, picture=entry.picture)

    def close(self) -> None:
        """Say so where the labels use more classes than are named."""
        names = self.parts.names
        if names is not None and self.used and max(self.used) >= len(names):
            reason = f"the labels use {max(self.used) + 1} classes, this names {len(names)}"
            self.ledger.remark(WARNING, self.parts.named_by, reason, cause=Cause.UNKNOWN_CLASS)

    def _image(self, picture: Path, label: Path | None) -> Annotated:
        if label is None:
            return Annotated(picture, frame_of(picture, None), NOTHING, picture, labelled=False)
        if label.stat().st_size > MAX_BYTES:
            raise FormatError(f"it is larger than {MAX_BYTES >> 20} MB")
        data = label.read_bytes().removeprefix(b"\xef\xbb\xbf")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise FormatError(f"it is not UTF-8: byte {error.start} cannot be read") from error
        frame = frame_of(picture, None)
        found = without_repeats(self._rows(data, label, frame), label, self.ledger)
        return Annotated(
            picture, frame, settle(found, frame, label, self.ledger, picture=picture), label
        )

    def _rows(self, data: bytes, source: Path, frame: Frame) -> list[Found]:
        """The objects of a file; a line that stands there again is counted and left out."""
        found = []
        again: dict[bytes, list[int]] = {}
        for number, line in enumerate(data.splitlines(), 1):
            line = line.strip(b" \t\f\v")
            if not line:
                continue
            places = again.setdefault(line, [])
            places.append(number)
            if len(places) > 1:
                continue
            self.ledger.boxes["read"] += 1
            try:
                found.append(self._row(line, number, frame))
            except FormatError as error:
                cause = cause_of(error, Cause.BAD_ROW)
                self.ledger.box(SKIPPED, source, number, str(error), cause=cause)
        for first, *others in again.values():
            if others:
                for fate in ("read", SKIPPED):
                    self.ledger.boxes[fate] += len(others)
                reason = f"the same as line {first}: one kept"
                self.ledger.remark(
                    REPAIRED, source, reason, others[0], cause=Cause.REPEATED, count=len(others)
                )
        return found

    def _row(self, line: bytes, number: int, frame: Frame) -> Found:
        """The object on a line. Raises FormatError where there is none."""
        first, *rest = line[:LONGEST_LINE].split(None, 1)
        integral = _INTEGRAL.fullmatch(first)
        match = _LINE.fullmatch(line if integral is None else b" ".join([integral[1], *rest]))
        if match is None or len(line) > LONGEST_LINE:
            raise FormatError(_why_no_line(line))
        numbers = [float(text) for text in match[2].split()]
        repairs: tuple[str, ...] = () if integral is None else ("the class is a whole number",)
        if len(numbers) != 4:
            numbers = self._around(numbers)
            repairs += ("a polygon: the box around it is taken",)
        name = self._name(int(match[1]))
        return Found(name, _in_pixels(numbers, frame), number, repairs=repairs)

    def _around(self, numbers: list[float]) -> list[float]:
        """Centre and size of the box around a polygon."""
        if len(numbers) == 5:
            raise FormatError("it has six columns: a confidence makes it a prediction, not a truth")
        if len(numbers) % 2 or len(numbers) < 6:
            raise FormatError(f"it has {len(numbers) + 1} columns, expected class x y width height")
        if not self.segments:
            raise FormatError("it is a polygon, not a box: --segments takes the box around each")
        if not all(map(math.isfinite, numbers)):
            raise FormatError("a corner of the polygon is not finite")
        points = np.clip(np.array(numbers).reshape(-1, 2), 0.0, 1.0)
        around = centre_size(np.concatenate([points.min(0), points.max(0)]))
        return [float(value) for value in around]

    def _name(self, number: int) -> str:
        self.used.add(number)
        names = self.parts.names
        if names is None and number < 10_000:
            return str(number)
        if names is None or number >= len(names):
            known = "10000 at most" if names is None else f"the {len(names)} of the data set"
            raise Fault(f"class {number} is not among {known}", Cause.UNKNOWN_CLASS)
        return names[number]


def _why_no_line(line: bytes) -> str:
    """What is wrong with a line that is no class and four numbers."""
    text = line[:60].decode("utf-8", "replace")
    if len(line) > LONGEST_LINE:
        return f"{text!r} and so on is longer than {LONGEST_LINE >> 10} kB"
    columns = len(line.split())
    if columns < 5:
        return f"{text!r} has {columns} columns, expected class x y width height"
    return (
        f"{text!r} is no class and four numbers: expected a class number from 0 and shares from 0 "
        "to 1 with a decimal point, separated by spaces"
    )


def _in_pixels(numbers: list[float], frame: Frame) -> tuple[float, float, float, float]:
    """The edges in pixels of a box in shares. Raises Fault where it is no share of the picture."""
    x, y, width, height = numbers
    if min(numbers) > 1:
        raise Fault(f"{numbers} looks like pixels: expected shares from 0 to 1", Cause.OTHER_LAYOUT)
    if width <= 0 or height <= 0:
        cause = Cause.SWAPPED if min(width, height) < 0 else Cause.EMPTY
        raise Fault(f"{numbers} has no area: width and height must be above 0", cause)
    if not (0 <= x <= 1 and 0 <= y <= 1 and width <= 2 and height <= 2):
        raise Fault(f"{numbers} has its centre outside or is no share", Cause.OUTSIDE)
    if width * frame.size_hw[1] < SMALLEST or height * frame.size_hw[0] < SMALLEST:
        raise Fault(f"{numbers} is less than a tenth of a pixel", Cause.EMPTY)
    x0, x1 = _snapped(x - width / 2), _snapped(x + width / 2)
    y0, y1 = _snapped(y - height / 2), _snapped(y + height / 2)
    rows, columns = frame.size_hw
    return x0 * columns, y0 * rows, x1 * columns, y1 * rows


def _snapped(edge: float) -> float:
    """The edge, on the border of the picture where only rounding put it outside."""
    return min(max(edge, 0.0), 1.0) if -ROUNDING <= edge <= 1 + ROUNDING else edge


def write(parts: Sequence[Part], classes: tuple[str, ...], folder: Path) -> None:
    """A label file per labelled picture, and a data.yaml with the splits and the classes."""
    for part in parts:
        labels = folder / "labels" / ("" if part.split == NO_SPLIT else part.split)
        labels.mkdir(parents=True, exist_ok=True)
        for sample, name in zip(part.samples, part.names, strict=True):
            if sample.labelled:
                height, width = sample.size_hw
                shares = centre_size(sample.truths.boxes / np.array([width, height] * 2))
                rows = zip(sample.truths.labels.tolist(), shares.tolist(), strict=True)
                text = "".join(f"{k} {' '.join(map(written_number, row))}\n" for k, row in rows)
                (labels / f"{without_suffix(name)}.txt").write_text(text, "utf-8")
    splits = [part.split for part in parts if part.split != NO_SPLIT]
    lines = [f"{json.dumps(split)}: {json.dumps(f'images/{split}')}" for split in splits]
    lines += ["names:"] + [
        f"  {label}: {json.dumps(name, ensure_ascii=False)}" for label, name in enumerate(classes)
    ]
    (folder / "data.yaml").write_text("\n".join(lines) + "\n", "utf-8")
