"""Open Images annotations: a CSV table of boxes per split, beside tables that explain it.

Class descriptions turn labels like /m/01g317 into names, human image labels say what a person
looked for in a picture, and a hierarchy says which class is a kind of which. Only the table of
boxes is needed. Source: storage.googleapis.com/openimages/web/download_v7.html.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from boxray.data.annotated import (
    Annotated,
    Conventions,
    Found,
    Frame,
    Reading,
    frame_of,
    settle,
    without_repeats,
)
from boxray.data.box_table import CORNERS, HEXADECIMAL_ID, LABEL_NAME, BoxTable, Style, style_of
from boxray.data.classes import has_control_characters
from boxray.data.csv_rows import first_line, rows
from boxray.data.hierarchy import read_hierarchy
from boxray.data.label_tables import CLASS_HEADERS, Verified, read_classes, read_verified
from boxray.data.partition import KNOWN_SPLITS, Divider, divisions, plain
from boxray.data.pictures import by_name, by_stem, without_suffix
from boxray.data.report import SKIPPED, Cause, Ledger, cause_of
from boxray.errors import BoxrayError, FormatError

EXPECTED = "a CSV table with the columns ImageID, LabelName, XMin, XMax, YMin, YMax"
WHOLE = ""  # the key of a table that is no split
BOXES, LABELS, CLASSES = "boxes", "labels", "classes"
_PUBLISHED_NAME = re.compile(r"(?:oidv\d+-)?(.+)-annotations-(?:bbox|human-imagelabels).*")
_TABLES = ("*.csv", "annotations/*.csv", "*/*.csv", "*/labels/*.csv", "*/metadata/*.csv")


@dataclass(frozen=True)
class Layout:
    """Where an Open Images data set keeps its parts.

    tables: plain split name → table of boxes. labels: the same for human image labels.
    classes: the list of classes. hierarchy: which is a kind of which.
    """

    root: Path
    tables: dict[str, Path]
    labels: dict[str, Path]
    classes: Path | None = None
    hierarchy: Path | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a table each; none where one table holds everything."""
        return divisions(self.tables)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all, of boxes with `least_confidence`."""
        return read(self, split, ledger, divider, conventions.least_confidence)


def recognise(path: Path) -> Layout | None:
    """The layout of an Open Images data set at `path`, a folder or a table of boxes, or None.

    Raises FormatError where two tables claim the same split.
    """
    if path.is_dir():
        root, files = path, [file for pattern in _TABLES for file in sorted(path.glob(pattern))]
    elif path.suffix.lower() == ".csv":
        root, files = path.parent, sorted(path.parent.glob("*.csv"))
    else:
        return None
    kinds = {file: _kind(file) for file in dict.fromkeys(files)}
    tables = [file for file, kind in kinds.items() if kind == BOXES]
    if not path.is_dir():
        tables = [file for file in tables if file == path]
    if not tables:
        return None
    return Layout(
        root,
        _by_split(tables, root),
        _by_split([file for file, kind in kinds.items() if kind == LABELS], root),
        _list_of_classes([file for file, kind in kinds.items() if kind == CLASSES]),
        next(iter(sorted(root.glob("*hierarchy*.json"))), None)
        or next(iter(sorted(root.glob("*/*hierarchy*.json"))), None),
    )


def _kind(path: Path) -> str | None:
    """What a CSV file holds by its first line, a broken one of boxes included."""
    columns = tuple(name.strip().strip('"') for name in re.split("[,;\t]", first_line(path)))
    if "ImageID" in columns and set(CORNERS) & set(columns):
        return BOXES
    if {"ImageID", "LabelName", "Confidence"} <= set(columns):
        return LABELS
    if columns[:2] in CLASS_HEADERS or (len(columns) > 1 and LABEL_NAME.fullmatch(columns[0])):
        return CLASSES
    # a table whose header was lost is still one: it is refused when it is read
    return BOXES if HEXADECIMAL_ID.fullmatch(columns[0]) and len(columns) > len(CORNERS) else None


def _by_split(files: Sequence[Path], root: Path) -> dict[str, Path]:
    """The files by the split in their names, or in the names of their folders."""
    found: dict[str, Path] = {}
    for file in files:
        published = _PUBLISHED_NAME.fullmatch(file.stem)
        folders = file.relative_to(root).parts[:-1]
        words = (*re.split(r"[-_. ]", file.stem), *folders)
        known = (plain(word) for word in words if plain(word) in KNOWN_SPLITS)
        split = plain(published[1]) if published else next(known, WHOLE)
        if split in found:
            what = f"the split '{split}'" if split else "no split that their names tell"
            raise FormatError(
                f"{found[split]} and {file} are both tables of {what}: give one of the files."
            )
        found[split] = file
    return found


def _list_of_classes(files: Sequence[Path]) -> Path | None:
    """The list of the classes that have boxes, where several lists are there."""

    def unlikely(file: Path) -> tuple[bool, bool]:
        return "boxable" not in file.name, "class" not in file.name

    return min(files, key=unlikely, default=None)


def read(
    layout: Layout,
    split: str | None,
    ledger: Ledger,
    divider: Divider,
    least_confidence: float = 0.0,
) -> Reading:
    """Every image of the split, or of all splits.

    Classes are those of the list of classes, in its order; without one those that any table
    uses, by name. Images are named in the tables or lie in the split's folder; the latter are
    unlabelled unless every class that a person looked for is absent.
    """
    names = None if layout.classes is None else read_classes(layout.classes, ledger)
    hierarchy = layout.hierarchy and read_hierarchy(layout.hierarchy, names)
    styles = {name: style_of(path) for name, path in layout.tables.items()}
    if names is None:
        used = set().union(*(_plausible(style) for style in styles.values()))
        classes = tuple(sorted(used))
    else:
        classes = tuple(dict.fromkeys(names.values()))
    images: list[Annotated] = []
    own = divider.splits_of(layout.splits)
    for name in _wanted(layout, split if own else None):
        part = None if own else split
        one = _Split(layout, name, styles[name], names, ledger, least_confidence)
        images += one.read(part, divider)
    return Reading(classes, tuple(images), hierarchy or None)


def split_of(layout: Layout, split: str | None) -> str:
    """The key of the one table that a split means. Raises FormatError where it is not one."""
    if split is None and len(layout.tables) == 1:
        return next(iter(layout.tables))
    if split is not None and plain(split) in layout.tables:
        return plain(split)
    raise FormatError(
        f"{layout.root} has a table for each of {', '.join(layout.splits)}: say which split."
    )


def has_pictures(layout: Layout) -> bool:
    """Whether any picture lies where pictures are looked for."""
    return any(
        without_suffix(path.name)
        for name, table in layout.tables.items()
        for folder in _picture_folders(layout.root, table, name)
        for path in folder.iterdir()
    )


def _wanted(layout: Layout, split: str | None) -> list[str]:
    if split is None:
        return list(layout.tables)
    return ["train", "val"] if split == "trainval" else [split]


def _plausible(style: Style) -> set[str]:
    """The labels that can name a class in this style."""
    return {
        label
        for label in style.labels
        if label.strip()
        and not has_control_characters(label)
        and bool(LABEL_NAME.fullmatch(label)) != style.display_names
    }


@dataclass(frozen=True)
class _Split:
    """One table while its images are put together."""

    layout: Layout
    name: str
    style: Style
    names: Mapping[str, str] | None
    ledger: Ledger
    least_confidence: float

    @property
    def path(self) -> Path:
        return self.layout.tables[self.name]

    def read(self, part: str | None, divider: Divider) -> Iterator[Annotated]:
        """Its images, or those of the part that is wanted of a whole without splits."""
        folders = _picture_folders(self.layout.root, self.path, self.name)
        pictures = by_name(folders) if self.style.file_names else by_stem(folders)
        own = [image for image, path in pictures.items() if self._is_own(path)]
        wanted = None
        if part is not None:
            shown = {image: pictures.get(image) for image in (*self._images(), *own)}
            wanted = divider.part(shown, part, self.path, self.ledger)
        table = BoxTable(self.path, self.style, self.names, pictures, self.ledger, wanted)
        table.read(self.least_confidence)
        self._write_down_missing(table)
        verified = self._verified(pictures)
        bare = [image for image in own if image not in table.found]
        for image in (*table.found, *bare):
            if wanted is None or image in wanted:
                seen = verified.get(image) or verified.get(pictures[image].name) or Verified.none()
                named = table.found.pop(image, None)  # held as arrays from here on
                one = self._image(pictures[image], named, seen)
                if one is not None:
                    yield one

    def _is_own(self, picture: Path) -> bool:
        """Whether a picture that no row names belongs to this split all the same."""
        folder = picture.relative_to(self.layout.root).parts[:-1]
        if ".." in folder:
            return False
        return len(self.layout.tables) == 1 or any(plain(name) == self.name for name in folder)

    def _images(self) -> Iterable[str]:
        column = self.style.columns["ImageID"]
        table = itertools.islice(rows(self.path), 1, None)  # without its header
        return (fields[column] for _, fields in table if len(fields) > column)

    def _verified(self, pictures: Mapping[str, Path]) -> dict[str, Verified]:
        path = self.layout.labels.get(self.name)
        # a table without a row does not say whether it would call images by file name
        images = {*pictures, *(picture.name for picture in pictures.values())}
        return read_verified(path, self.names, images, self.ledger) if path else {}

    def _write_down_missing(self, table: BoxTable) -> None:
        """The images without a picture, in one note: of a whole table they may be most."""
        if not table.missing:
            return
        count, boxes = len(table.missing), table.missing.total()
        first = next(iter(table.missing))
        for fate in ("read", SKIPPED):
            self.ledger.images[fate] += count
        self.ledger.boxes[SKIPPED] += boxes
        reason = f"no picture for {count} images, like {first}: their {boxes} boxes are skipped"
        line = table.lines[first]
        self.ledger.remark(SKIPPED, self.path, reason, line, cause=Cause.NO_PICTURE)

    def _image(
        self, picture: Path, found: Sequence[Found] | None, verified: Verified
    ) -> Annotated | None:
        """One image with its objects, or None where it had to be skipped."""
        self.ledger.images["read"] += 1
        try:
            frame = frame_of(picture, None)
        except (BoxrayError, OSError) as error:
            cause = cause_of(error, Cause.BAD_PICTURE)
            self.ledger.image(SKIPPED, picture, str(error), cause=cause)
            self.ledger.boxes[SKIPPED] += len(found or ())
            return None
        once = without_repeats(found or (), self.path, self.ledger)
        placed = [_in_pixels(row, frame) for row in once]
        return Annotated(
            picture,
            frame,
            settle(placed, frame, self.path, self.ledger, picture=picture),
            self.path,
            labelled=found is not None or (bool(verified.absent) and not verified.present),
            present=frozenset(verified.present),
            absent=frozenset(verified.absent),
        )


def _in_pixels(row: Found, frame: Frame) -> Found:
    height, width = frame.size_hw
    x0, y0, x1, y1 = row.box
    return row._replace(box=(x0 * width, y0 * height, x1 * width, y1 * height))


def _picture_folders(root: Path, table: Path, split: str) -> list[Path]:
    """Where pictures may lie, the likeliest first."""
    names = {"val": ("val", "validation")}.get(split, (split,) if split else ())
    within = [f"{place}{name}" for name in names for place in ("images/", "")]
    within += [f"{name}/data" for name in names] + ["images", "data", "JPEGImages", "."]
    folders = [root / name for name in within]
    folders += [table.parent, table.parent.parent / "data", root / "../images"]
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))
