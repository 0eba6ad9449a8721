"""Where a VOC data set keeps its parts: its folders, by whatever names, or one per split."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from boxray.data import voc
from boxray.data.annotated import Conventions, Reading
from boxray.data.partition import DERIVED, KNOWN_SPLITS, Divider, divisions, plain
from boxray.data.report import Ledger
from boxray.errors import FormatError

EXPECTED = (
    "Annotations/*.xml beside JPEGImages/ or images/, or XML files beside their pictures, "
    "or such a folder for each of train, val and test, or a single XML file"
)
_OWN = "Annotations"
_ANNOTATIONS = ("annotations", "annotations/xmls", "Annotation", "xmls", "xml", "labels")
_PICTURES = ("JPEGImages", "images", "Images", "../JPEGImages", "../images")
_PER_CLASS_LIST = re.compile(r".+_(train|val|trainval|test)")
_PER_CLASS_LINE = re.compile(r"\S+\s+(-1|0|1)")


@dataclass(frozen=True)
class SplitFolders:
    """A data set with a folder for each split. parts: plain split name → what is in its folder."""

    root: Path
    parts: dict[str, voc.Layout]

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that have a folder each; none where `train` is all there is."""
        return divisions(self.parts)

    def read(
        self, split: str | None, ledger: Ledger, conventions: Conventions, divider: Divider
    ) -> Reading:
        """Every image of the split, or of all; class names are those of the whole data set."""
        own = divider.splits_of(self.splits)
        wanted, part = list(self.parts), None if own else split
        if own and split is not None:
            wanted = [name for name in DERIVED if name in own] if split == "trainval" else [split]
        readings = [self.parts[name].read(part, ledger, conventions, divider) for name in wanted]
        classes = {name for reading in readings for name in reading.classes}
        for name in self.parts.keys() - set(wanted):
            classes.update(voc.class_names(self.parts[name]))
        images = tuple(image for reading in readings for image in reading.images)
        return Reading(tuple(sorted(classes)), images)


def recognise(folder: Path) -> voc.Layout | SplitFolders | None:
    """The layout of a VOC data set at or below `folder`, or None where there is none.

    A single XML file is a data set of one picture, beside it or in the folders that VOC has.

    Raises FormatError where the folder holds several that are not its splits.
    """
    if folder.is_file() and folder.suffix == ".xml":
        return replace(_layout(folder.parent, folder.parent), lists={}, only=folder)
    if not folder.is_dir():
        return None
    own = _here(folder)
    if own is not None:
        return own
    parts = _by_split(folder)
    if parts:
        return SplitFolders(folder, parts)
    inside = sorted({path.parent for path in folder.glob(f"*/{_OWN}")})
    inside += sorted({path.parent for path in folder.glob(f"*/*/{_OWN}")})
    if len(inside) > 1:
        raise FormatError(
            f"{folder} holds several VOC data sets: {', '.join(map(str, inside))}. "
            "Give the folders one by one."
        )
    return _layout(inside[0], inside[0] / _OWN) if inside else None


def _here(folder: Path) -> voc.Layout | None:
    """The layout of what lies in this very folder."""
    if (folder / _OWN).is_dir():
        return _layout(folder, folder / _OWN)
    places = [folder / name for name in _ANNOTATIONS]
    found = next((place for place in (*places, folder) if _holds_xml(place)), None)
    return None if found is None else _layout(folder, found)


def _holds_xml(folder: Path) -> bool:
    return folder.is_dir() and next(folder.glob("*.xml"), None) is not None


def _by_split(folder: Path) -> dict[str, voc.Layout]:
    """What lies in the folders that are called like splits; nothing where two mean the same."""
    named = [path for path in sorted(folder.iterdir()) if plain(path.name) in KNOWN_SPLITS]
    found = [(plain(path.name), layout) for path in named if (layout := _here(path))]
    return dict(found) if len({name for name, _ in found}) == len(found) else {}


def _layout(root: Path, annotations: Path) -> voc.Layout:
    flat = [root] if annotations == root else []
    places = [*flat, *(root / name for name in _PICTURES)]
    places = [path for path in places if path.is_dir()] or [root]  # beside the annotations' folder
    pictures = tuple(dict.fromkeys((*places, annotations)))
    files = sorted((root / "ImageSets" / "Main").glob("*.txt"))
    files = [path for path in files if not _is_per_class(path)]
    lists = {plain(path.stem): path for path in files}
    if len(lists) < len(files):  # val2007 beside val2012: only their full names tell them apart
        lists = {path.stem: path for path in files}
    if set(lists) == {"train"}:  # with nothing to check on it is all there is
        lists = {"trainval": lists["train"]}
    return voc.Layout(root, annotations, pictures, lists)


def _is_per_class(path: Path) -> bool:
    """Whether this is a list like `aeroplane_train.txt`, with a column of -1, 0 and 1."""
    lines = voc.lines_of(path)
    return bool(
        _PER_CLASS_LIST.fullmatch(path.stem) and lines and _PER_CLASS_LINE.fullmatch(lines[0])
    )
