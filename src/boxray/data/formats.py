"""The table of annotation formats: one file and one line each, and which of them a folder is in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from boxray.data import (
    coco,
    coco_files,
    open_images,
    open_images_writing,
    split_lists,
    voc,
    voc_folders,
    yolo,
)
from boxray.data.annotated import Layout
from boxray.data.parts import Part
from boxray.errors import FormatError, SettingError

MOST_FOLDERS = 20  # that are looked into for the one that is a data set


class Format(NamedTuple):
    """What there is to know about a format.

    recognise: the layout of the data set at a path, None where there is none of this format.
    write: the annotations of all parts into a folder, given the class names.
    pictures: the folder of a split's pictures, with `{split}` for its name. says: what its files
    can say beyond boxes and names (`parts.FACTS`). expected: what it looks like, for people.
    """

    recognise: Callable[[Path], Layout | None]
    write: Callable[[Sequence[Part], tuple[str, ...], Path], None]
    pictures: str
    says: frozenset[str]
    expected: str


FORMATS = {
    "voc": Format(voc_folders.recognise, voc.write, voc.PICTURES, voc.SAYS, voc_folders.EXPECTED),
    "coco": Format(coco.recognise, coco.write, coco.PICTURES, coco.SAYS, coco_files.EXPECTED),
    "yolo": Format(yolo.recognise, yolo.write, yolo.PICTURES, yolo.SAYS, yolo.EXPECTED),
    "open-images": Format(
        open_images.recognise,
        open_images_writing.write,
        open_images_writing.PICTURES,
        open_images_writing.SAYS,
        open_images.EXPECTED,
    ),
}


def named(name: str) -> Format:
    """The format of this name. Raises SettingError where there is none."""
    if name not in FORMATS:
        raise SettingError(f"no format '{name}': expected one of {', '.join(FORMATS)}.")
    return FORMATS[name]


def formats_of(path: Path, name: str | None = None) -> tuple[str, ...]:
    """The formats that the data set at `path` could be read in, or the one that was named."""
    if name is not None:
        return (name,)
    return tuple(_found(path, FORMATS))


def recognise(path: Path, name: str | None = None) -> Layout:
    """The layout of the data set at `path`, in the one format it is in, or in the one named.

    A folder of lists that divide a data set is that data set, divided by them. Raises FormatError
    where it is in none, or in several and nobody said which.
    """
    lists = split_lists.find(path)
    _, layout = _recognised(path if lists is None else lists.data, name)
    return layout if lists is None else split_lists.Layout(layout, lists.files)


def kind_of(path: Path, name: str | None = None) -> str:
    """The name of the format of the data set at `path`; raises what `recognise` does."""
    lists = split_lists.find(path)
    return _recognised(path if lists is None else lists.data, name)[0]


def _recognised(path: Path, name: str | None) -> tuple[str, Layout]:
    if not path.exists():
        raise FormatError(f"there is no data set at {path}: no such file or folder.")
    tried = FORMATS if name is None else {name: named(name)}
    found = _found(path, tried)
    if len(found) > 1:
        raise FormatError(
            f"{path} holds annotations in several formats: say which with --format "
            f"{' or '.join(found)}."
        )
    if not found:
        wanted = "; for ".join(f"{key}: {one.expected}" for key, one in tried.items())
        raise FormatError(f"{path} is not a data set that boxray knows. Expected for {wanted}.")
    return next(iter(found.items()))


def _found(path: Path, tried: Mapping[str, Format]) -> dict[str, Layout]:
    """The layout in each format that fits: here, else in the only folder in it that is a data set.

    So it is where an archive was unpacked into a folder of its own.
    """

    def fitting(place: Path) -> dict[str, Layout]:
        return {key: layout for key, one in tried.items() if (layout := one.recognise(place))}

    here = fitting(path)
    if here or not path.is_dir():
        return here
    folders = [one for one in sorted(path.iterdir()) if one.is_dir() and not one.is_symlink()]
    inside = [found for folder in folders[:MOST_FOLDERS] if (found := fitting(folder))]
    return inside[0] if len(inside) == 1 and len(folders) <= MOST_FOLDERS else {}
