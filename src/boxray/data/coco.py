"""COCO annotations: one JSON file per split with images, annotations and categories.

Boxes are x, y, width, height in pixels, edges without any +1; segments are not read.
Source: cocodataset.org/#format-data.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeGuard

from boxray.boxes import to_xywh
from boxray.data import coco_files
from boxray.data.annotated import Annotated, Conventions, Found, Reading, frame_of, settle
from boxray.data.coco_json import Entry, box_around, categories_of, load, whole_id
from boxray.data.partition import Divider, divisions
from boxray.data.parts import AREA, CLASS_LIST, Part
from boxray.data.parts import WHOLE as NO_SPLIT
from boxray.data.pictures import Finder, UnsafeNameError
from boxray.data.report import REFUSED, REPAIRED, SKIPPED, WARNING, Cause, Fault, Ledger, cause_of
from boxray.errors import BoxrayError, FormatError
from boxray.records import FLAGS, Sample

PICTURES = "images/{split}"
_ATTRIBUTES = tuple(flag for flag in FLAGS if flag != "crowd")
SAYS = frozenset({*FLAGS, AREA, CLASS_LIST})
_NO_FLAGS: frozenset[str] = frozenset()  # one for all: each of its own takes 216 bytes


@dataclass(frozen=True)
class Layout:
    """Where a COCO data set keeps its parts. files: plain split name → JSON file."""

    root: Path
    files: dict[str, Path]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a file each; none where one file holds everything."""
        return divisions(self.files)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all splits; categories in the order of their ids."""
        return _read(self, split, ledger, conventions, divider)


def recognise(path: Path) -> Layout | None:
    """The layout of a COCO data set at `path`, a folder or the JSON file itself, or None."""
    found = coco_files.find(path)
    return None if found is None else Layout(*found)


def _read(
    layout: Layout, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
) -> Reading:
    own = divider.splits_of(layout.splits)
    if not own or split is None:
        wanted = list(layout.files)
    else:
        wanted = ["train", "val"] if split == "trainval" else [split]
    readings = []
    for name in wanted:
        part = None if own else split
        readings.append(_read_file(layout, name, part, ledger, conventions, divider))
    names = dict.fromkeys(name for reading in readings for name in reading.classes)
    return Reading(tuple(names), tuple(image for reading in readings for image in reading.images))


def _read_file(
    layout: Layout,
    name: str,
    part: str | None,
    ledger: Ledger,
    conventions: Conventions,
    divider: Divider,
) -> Reading:
    """The images of one file, or of a part of it."""
    path = layout.files[name]
    document = load(path)
    categories = categories_of(document.categories, path, ledger, conventions.merge_names)
    entries = _entries(document.images, path, ledger)
    wanted = set(entries)
    file_names = [entry.get("file_name") for entry in entries.values()]
    finder = Finder(coco_files.picture_folders(layout.root, path, name), file_names)
    if part is not None:
        names = {key: str(entry.get("file_name")) for key, entry in entries.items()}
        chosen = divider.part({n: finder.get(n) for n in names.values()}, part, path, ledger)
        wanted = {key for key, file in names.items() if file in chosen}
    found = _Annotations(path, categories, entries, wanted, ledger, conventions.segments)
    found.read(document.annotations())
    labelled = document.labelled
    del document  # its text is as large as all that was read from it
    images = []
    for key in (key for key in entries if key in wanted):
        image = _image(entries[key], found.rows.pop(key, []), path, finder, ledger)
        images += [replace(image, labelled=labelled)] if image else []
    return Reading(tuple(dict.fromkeys(categories.values())), tuple(images))


def _entries(images: list[Any], path: Path, ledger: Ledger) -> dict[Any, Entry]:
    """Image id → entry, in the order of the file."""
    entries: dict[Any, Entry] = {}
    for position, entry in enumerate(images, 1):
        key = whole_id(entry.get("id")) if isinstance(entry, dict) else None
        if not isinstance(key, int | str):
            raise FormatError(f"{path}, image {position}: expected an id, got {str(entry)[:80]}.")
        if entries.get(key, entry) != entry:
            raise FormatError(f"{path}, image {position}: id {key} was already given to another.")
        if key in entries:
            ledger.remark(REPAIRED, path, f"image {key} is listed twice: one kept")
        entries[key] = entry
    return entries


class _Annotations:
    """The annotations of one file, sorted to their images while they are read.

    rows: image id → its objects, for the images of `wanted`.
    """

    def __init__(
        self,
        path: Path,
        categories: dict[Any, str],
        entries: dict[Any, Entry],
        wanted: set[Any],
        ledger: Ledger,
        segments: bool,
    ) -> None:
        self.path, self.categories, self.entries = path, categories, entries
        self.wanted, self.ledger, self.segments = wanted, ledger, segments
        self.rows: dict[Any, list[Found]] = {}
        self.ids: set[Any] = set()
        self.id_types = {type(known) for known in entries}

    def read(self, annotations: Iterable[Any]) -> None:
        """Sort in every annotation that can be read, and write down the others."""
        for position, entry in enumerate(annotations, 1):
            key = whole_id(entry.get("image_id")) if isinstance(entry, dict) else None
            self._refuse_other_type(key, position)
            if isinstance(key, int | str) and key in self.entries and key not in self.wanted:
                continue
            self.ledger.boxes["read"] += 1
            try:
                row = self._row(entry, key, position)
            except FormatError as error:
                cause = cause_of(error, Cause.BAD_ROW)
                self.ledger.box(SKIPPED, self.path, position, str(error), cause=cause)
                continue
            self.rows.setdefault(key, []).append(row)
        self._look_for_other_layouts()

    def _refuse_other_type(self, key: object, position: int) -> None:
        if isinstance(key, int | str) and self.id_types == {str if isinstance(key, int) else int}:
            raise FormatError(
                f"{self.path}, annotation {position}: image_id {key!r} is of another type than "
                "the ids of the images. Write both as numbers or both as text."
            )

    def _row(self, entry: object, key: object, position: int) -> Found:
        """The object. Raises FormatError where it is none."""
        if not isinstance(entry, dict) or not isinstance(key, int | str):
            raise FormatError("it has no image_id")
        if key not in self.entries:
            raise FormatError(f"image_id {str(key)[:40]} is not among the images")
        category = whole_id(entry.get("category_id"))
        if not isinstance(category, int | str) or category not in self.categories:
            raise Fault(
                f"category_id {str(category)[:40]} is not among the {len(self.categories)} "
                "categories of this file",
                Cause.UNKNOWN_CLASS,
            )
        repairs = self._repairs(entry)
        given = entry.get("bbox")
        if not given and (around := box_around(entry.get("segmentation"))):
            if not self.segments:
                raise FormatError("it has a polygon and no bbox: --segments takes the box around")
            repairs.append("no bbox: that around its polygon is used")
            given = around
        x, y, width, height = _four_numbers(given)
        area = entry.get("area")
        stated = float(area) if _is_finite(area) and area >= 0 else None
        if stated is None:
            repairs.append("no area: width x height of the box is used")
        flags = _flags(entry)
        box = (x, y, x + width, y + height)
        return Found(self.categories[category], box, position, stated, flags, tuple(repairs))

    def _repairs(self, entry: Entry) -> list[str]:
        if entry.get("iscrowd", 0) not in (0, 1):
            raise FormatError(f"iscrowd is {str(entry.get('iscrowd'))[:20]}, expected 0 or 1")
        repairs = [] if "iscrowd" in entry else ["no iscrowd: 0 is meant"]
        if any(isinstance(entry.get(key), float) for key in ("image_id", "category_id")):
            repairs.append("ids with a decimal point: whole numbers are meant")
        if entry.get("ignore"):
            self.ledger.remark(WARNING, self.path, "'ignore' is not used: COCO means iscrowd")
        own = entry.get("id")
        if isinstance(own, int | str):
            if own == 0:
                repairs.append("annotation id 0, which pycocotools counts as unmatched")
            elif own in self.ids:
                repairs.append("the annotation id was already given: objects keep their position")
            self.ids.add(own)
        return repairs

    def _look_for_other_layouts(self) -> None:
        """Warn where the numbers look like corners, or like shares of the picture."""
        total = over = unit = 0
        for key, rows in self.rows.items():
            width, height = (self.entries[key].get(side) for side in ("width", "height"))
            for row in rows:
                total += 1
                unit += max(row.box) <= 2 and max(row.box[2:]) - min(row.box[:2]) <= 1
                if _is_finite(width) and _is_finite(height):
                    over += row.box[2] > width + 1 or row.box[3] > height + 1
        if over > 0.05 * total:
            self.ledger.remark(
                WARNING,
                self.path,
                f"{over} of {total} boxes reach over the edge: this looks like x1, y1, x2, y2; "
                "COCO means x, y, width, height",
                cause=Cause.OTHER_LAYOUT,
            )
        if total and unit == total:
            reason = "all boxes are at most 1 wide and high: COCO means pixels, not shares"
            self.ledger.remark(WARNING, self.path, reason, cause=Cause.OTHER_LAYOUT)


def _flags(entry: Entry) -> frozenset[str]:
    """Its iscrowd, and what its attributes (as in CVAT's exports) say in words of boxray."""
    attributes = entry.get("attributes")
    said = attributes if isinstance(attributes, dict) else {}
    flags = {flag for flag in _ATTRIBUTES if said.get(flag) in (True, 1)} if said else set()
    if entry.get("iscrowd", 0) == 1:
        flags.add("crowd")
    return frozenset(flags) if flags else _NO_FLAGS


def _is_finite(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e18  # False for NaN and infinities, and no image is larger


def _four_numbers(values: object) -> tuple[float, float, float, float]:
    if not isinstance(values, list) or len(values) != 4 or not all(map(_is_finite, values)):
        raise FormatError(f"bbox is {str(values)[:80]}, expected four finite numbers")
    if values[2] <= 0 or values[3] <= 0:
        cause = Cause.SWAPPED if min(values[2:]) < 0 else Cause.EMPTY
        raise Fault(f"bbox {values} has no area: width and height must be above 0", cause)
    return float(values[0]), float(values[1]), float(values[2]), float(values[3])


def _image(
    entry: Entry, found: list[Found], source: Path, finder: Finder, ledger: Ledger
) -> Annotated | None:
    """One image with its objects, or None where it had to be skipped."""
    ledger.images["read"] += 1
    path = None
    try:
        path, left_out = finder.find(entry.get("file_name"))
        frame = frame_of(path, _declared_hw(entry))
    except (BoxrayError, OSError) as error:
        fate = REFUSED if isinstance(error, UnsafeNameError) else SKIPPED
        reason = f"image {str(entry['id'])[:40]}: {error}"
        ledger.image(fate, source, reason, cause=cause_of(error, Cause.BAD_FILE), picture=path)
        ledger.boxes[SKIPPED] += len(found)
        return None
    if _declared_hw(entry) is None:
        ledger.image(REPAIRED, source, f"image {entry['id']}: no width and height: taken from it")
    if left_out:
        reason = f"the folder of file_name is left out: there is none {left_out[:80]!r}"
        ledger.image(REPAIRED, source, reason, picture=path)
    settled = settle(found, frame, source, ledger, picture=path)
    return Annotated(path, frame, settled, source)


def _declared_hw(entry: Entry) -> tuple[int, int] | None:
    """The size the file states, or None where it states none. Raises FormatError for nonsense."""
    if "width" not in entry or "height" not in entry:
        return None
    height, width = entry["height"], entry["width"]
    if not _is_finite(height) or not _is_finite(width) or min(height, width) < 1:
        raise FormatError(f"it states the size {str(width)[:20]} x {str(height)[:20]}")
    return int(height), int(width)


def write(parts: Sequence[Part], classes: tuple[str, ...], folder: Path) -> None:
    """One JSON file per split, its flags as attributes; unlabelled pictures are left out."""
    (folder / "annotations").mkdir()
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, 1)]
    first_image = first_row = 1
    for part in parts:
        images: list[Entry] = []
        rows: list[Entry] = []
        for sample, name in zip(part.samples, part.names, strict=True):
            if not sample.labelled:
                continue
            height, width = sample.size_hw
            images.append({"id": first_image, "file_name": name, "width": width, "height": height})
            rows += _rows(sample, first_image, first_row + len(rows))
            first_image += 1
        first_row += len(rows)
        document = {"images": images, "annotations": rows, "categories": categories}
        name = "instances.json" if part.split == NO_SPLIT else f"instances_{part.split}.json"
        (folder / "annotations" / name).write_text(json.dumps(document, allow_nan=False), "utf-8")


def _rows(sample: Sample, image_id: int, first: int) -> list[Entry]:
    """The annotations of one image, numbered from `first`."""
    truths = sample.truths
    boxes = to_xywh(truths.boxes).tolist()
    rows: list[Entry] = []
    for i, label in enumerate(truths.labels.tolist()):
        row: Entry = {
            "id": first + i,
            "image_id": image_id,
            "category_id": label + 1,
            "bbox": boxes[i],
            "area": float(truths.area[i]),
            "iscrowd": int(truths.crowd[i]),
        }
        said = {flag: True for flag in _ATTRIBUTES if getattr(truths, flag)[i]}
        rows.append({**row, "attributes": said} if said else row)
    return rows
