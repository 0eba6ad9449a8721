"""Open Images' table of boxes: one row per box, columns read by name.

Corners are shares of the picture's width and height. A flag is 1, 0, or -1 for unknown, which
counts as not set. Source: storage.googleapis.com/openimages/web/download_v7.html, Data Formats.

What a file writes in another way in most of its rows is its style, and said once; a row that
differs from the rest of its column is an error in that row.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from boxray.data.annotated import Found, plain_number
from boxray.data.classes import has_control_characters
from boxray.data.csv_rows import rows
from boxray.data.pictures import without_suffix
from boxray.data.report import REFUSED, SKIPPED, WARNING, Cause, Fault, Ledger, cause_of
from boxray.errors import FormatError

CORNERS = ("XMin", "XMax", "YMin", "YMax")  # the order of the published files
NEEDED = ("ImageID", "LabelName", *CORNERS)
FLAG_COLUMNS = {
    "IsOccluded": "occluded",
    "IsTruncated": "truncated",
    "IsGroupOf": "group_of",
    "IsDepiction": "depiction",
    "IsInside": "inside",
}
HEXADECIMAL_ID = re.compile(r"[0-9a-f]{16}")
LABEL_NAME = re.compile(r"/[a-z]+/\S+")  # a machine-readable name, like /m/01g317
FARTHEST = 1.0  # picture widths or heights beyond an edge; what is farther is no share
_SAID = {"1": True, "0": False, "-1": False}
_SAID_IN_WORDS = {"true": True, "false": False}


@dataclass(frozen=True)
class Style:
    """How a table writes what others may write in another way.

    columns: name → position. file_names: images are named by file, `x.jpg`, not by 16
    hexadecimal digits. display_names: labels are words, and no list of classes is there to say
    so. empty: columns that most rows leave empty. labels: all labels that occur. quoted: some
    field is. row_bytes: the mean length of a row.
    """

    columns: Mapping[str, int]
    file_names: bool = False
    display_names: bool = False
    decimal_commas: bool = False
    empty: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()
    quoted: bool = False
    row_bytes: float = 0.0

    def remarks(self, listed: Mapping[str, str] | None) -> list[str]:
        """What is unusual about it, for people. listed: the names in the list of classes."""
        found = []
        if self.file_names:
            found.append("ImageID holds file names, not 16 hexadecimal digits: taken as they are")
        if self.display_names and listed is None and self.labels:
            found.append("LabelName holds display names, and no list of classes: taken as classes")
        if self.decimal_commas:
            found.append("numbers have decimal commas: read as points")
        if self.empty:
            names = ", ".join(name for name in self.columns if name in self.empty)
            found.append(f"the columns {names} are empty: a flag is then unknown, a box certain")
        return found


def style_of(path: Path, *, limit: int | None = None) -> Style:
    """The style of the table, from all of its rows or the first `limit`.

    Raises FormatError where it is no table.
    """
    table = rows(path)
    _, header = next(table, (1, []))
    columns = _columns(header, path)
    optional = [name for name in ("Confidence", *FLAG_COLUMNS) if name in columns]
    counts: Counter[str] = Counter()
    labels: set[str] = set()
    corners = [columns[name] for name in CORNERS]
    for _, fields in islice(table, limit):
        if len(fields) != len(header):
            continue
        counts["rows"] += 1
        counts["bytes"] += sum(map(len, fields)) + len(fields)
        image = fields[columns["ImageID"]]
        counts["hexadecimal" if HEXADECIMAL_ID.fullmatch(image) else "other"] += 1
        counts["file names"] += without_suffix(image) is not None
        labels.add(label := fields[columns["LabelName"]])
        counts["label names"] += label.startswith("/")
        texts = "".join([fields[i] for i in corners])
        counts["commas"] += "," in texts
        counts["points"] += "." in texts
        counts.update(name for name in optional if not fields[columns[name]])
    half = counts["rows"] / 2
    return Style(
        columns,
        file_names=counts["file names"] > max(half, counts["hexadecimal"]),
        display_names=counts["label names"] < half,
        decimal_commas=counts["commas"] > counts["points"],
        empty=frozenset(name for name in optional if counts[name] > half),
        labels=frozenset(labels),
        quoted=counts["commas"] > 0,
        row_bytes=counts["bytes"] / max(1, counts["rows"]),
    )


def _columns(header: Sequence[str], path: Path) -> dict[str, int]:
    names = [name.strip() for name in header]
    missing = [name for name in NEEDED if name not in names]
    if missing:
        hint = f" Its first line is: {','.join(names)[:80]!r}."
        if len(names) == 1 and re.search(r"[;\t]", names[0]):
            hint = " Its columns are not separated by commas."
        raise FormatError(
            f"{path}, line 1: no column {', '.join(missing)}; expected a header with at least "
            f"{', '.join(NEEDED)}.{hint}"
        )
    repeated = [name for name, count in Counter(names).items() if count > 1]
    if repeated:
        raise FormatError(f"{path}, line 1: the column {repeated[0]} is there twice.")
    if "Score" in names:
        raise FormatError(
            f"{path} has a column Score: it is a file of results (detections). "
            "Give the annotations that it answers."
        )
    return {name: position for position, name in enumerate(names)}


@dataclass
class BoxTable:
    """The rows of one table, sorted to their images by `read`.

    names: label → class name, None where no list of classes is there. pictures: the images that
    have one. wanted: the images that count, None for all. found: image → its boxes as shares of
    the picture. missing: image without a picture → how many boxes it has, lines: its first line.
    """

    path: Path
    style: Style
    names: Mapping[str, str] | None
    pictures: Container[str]
    ledger: Ledger
    wanted: Container[str] | None = None
    found: dict[str, list[Found]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    lines: dict[str, int] = field(default_factory=dict)

    def read(self, least_confidence: float = 0.0) -> None:
        """Sort in every row that is a box of at least this confidence; write down the others."""
        for remark in self.style.remarks(self.names):
            self.ledger.remark(WARNING, self.path, remark)
        table = rows(self.path)
        next(table)
        line = 1
        for line, fields in table:
            self._sort_in(line, fields, least_confidence)
        if line == 1:
            self.ledger.remark(WARNING, self.path, "the table has no rows, only its header")

    def _sort_in(self, line: int, fields: list[str], least_confidence: float) -> None:
        image = ""
        try:
            self._check_fields(fields)
            image = fields[self.style.columns["ImageID"]]
            _check_image(image, self.style.file_names, self.pictures)
            if self.wanted is not None and image not in self.wanted:
                return
            self._check_confidence(fields, least_confidence)
            found = self._found(fields, line)
        except FormatError as error:
            cause = cause_of(error, Cause.BAD_ROW)
            fate = REFUSED if cause == Cause.UNSAFE_PATH else SKIPPED
            self.ledger.boxes["read"] += 1
            self.ledger.box(fate, self.path, line, str(error), cause=cause)
            return
        self.ledger.boxes["read"] += 1
        if image in self.pictures:
            self.found.setdefault(image, []).append(found)
        else:
            self.missing[image] += 1
            self.lines.setdefault(image, line)

    def _check_fields(self, fields: list[str]) -> None:
        width = len(self.style.columns)
        if len(fields) != width:
            raise FormatError(f"the row has {len(fields)} fields, the header {width}")
        if any("\0" in text for text in fields):
            raise FormatError("the row holds a NUL")

    def _check_confidence(self, fields: list[str], least: float) -> None:
        place = self.style.columns.get("Confidence")
        if place is None or (fields[place] == "" and "Confidence" in self.style.empty):
            return
        confidence = _number(fields[place], self.style)
        if confidence == 0:
            raise FormatError("its Confidence is 0: a label found absent, not a box")
        if not 0 < confidence <= 1:
            raise FormatError("its Confidence is no number from 0 to 1")
        if confidence < least:
            raise FormatError(f"its Confidence is below {least:g}: left out as asked")

    def _found(self, fields: list[str], line: int) -> Found:
        """The box, its corners as shares. Raises FormatError where the row is none."""
        columns, style = self.style.columns, self.style
        name = self._name(fields[columns["LabelName"]])
        texts = tuple(fields[columns[column]] if column in columns else "0" for column in _FLAGS)
        flags, repairs = _flags(texts, style.empty)
        x0, x1, y0, y1 = (_share(fields[columns[column]], column, style) for column in CORNERS)
        return Found(name, (x0, y0, x1, y1), line, None, flags, repairs)

    def _name(self, label: str) -> str:
        if not label.strip():
            raise FormatError("the row has no LabelName")
        if has_control_characters(label):
            raise FormatError("the LabelName holds control characters")
        if self.names is None:
            if bool(LABEL_NAME.fullmatch(label)) == self.style.display_names:
                raise FormatError("the LabelName is not written as in the other rows")
            return label
        name = self.names.get(label)
        if name is None:
            hint = ""
            if label in self.names.values():
                known = next(key for key, value in self.names.items() if value == label)
                hint = f": it is a display name, {known} is meant"
            reason = f"LabelName {label[:40]!r} is not in the list of classes{hint}"
            raise Fault(reason, Cause.UNKNOWN_CLASS)
        return name


_FLAGS = tuple(FLAG_COLUMNS)


@cache
def _flags(texts: tuple[str, ...], empty: frozenset[str]) -> tuple[frozenset[str], tuple[str, ...]]:
    """The flags that are set, and what had to be mended to know."""
    flags, repairs = set(), []
    for column, text in zip(_FLAGS, texts, strict=True):
        value = _SAID.get(text)
        if value is None and text.lower() in _SAID_IN_WORDS:
            value = _SAID_IN_WORDS[text.lower()]
            repairs.append(f"{column} is written {text}: {int(value)} is meant")
        if value is None and not (text == "" and column in empty):
            raise FormatError(f"{column} is {text[:20]!r}, expected 1, 0, or -1 for unknown")
        if value:
            flags.add(FLAG_COLUMNS[column])
    return frozenset(flags), tuple(repairs)


def leads_out(image: str) -> bool:
    """Whether an image's name tries to leave the folder of pictures."""
    parts = image.replace("\\", "/").split("/")
    return ".." in parts or image.startswith("/") or "\\" in image or "://" in image


def _check_image(image: str, file_names: bool, pictures: Container[str]) -> None:
    """Raise FormatError where the name can be no image's, and is none of the pictures'."""
    if leads_out(image):
        raise Fault("the ImageID leads out of the data set: never followed", Cause.UNSAFE_PATH)
    if file_names and "/" not in image and without_suffix(image):
        return
    if not file_names and (HEXADECIMAL_ID.fullmatch(image) or image in pictures):
        return
    if "/" in image:
        raise FormatError("the ImageID has a folder in front: only what follows the last / is one")
    expected = "the name of a picture's file"
    if not file_names:
        expected = "16 hexadecimal digits, nor the name of a picture here without its ending"
    raise FormatError(f"the ImageID is not {expected}")


def _number(text: str, style: Style) -> float:
    """The number in the table's style, or NaN."""
    if style.decimal_commas:
        text = text.replace(".", "?").replace(",", ".")
    return plain_number(text)


def _share(text: str, column: str, style: Style) -> float:
    value = _number(text, style)
    if math.isnan(value):
        mark = "comma" if style.decimal_commas else "point"
        raise FormatError(f"{column} is no number with a decimal {mark}")
    if not -FARTHEST <= value <= 1 + FARTHEST:
        reason = f"{column} is no share of the picture, 0 to 1: it looks like pixels"
        raise Fault(reason, Cause.OTHER_LAYOUT)
    return value
