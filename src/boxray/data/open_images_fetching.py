"""A part of Open Images from the web: the rows and pictures of some classes, and nothing else.

Published layout (storage.googleapis.com/openimages/web/download_v7.html, "Download manually"):
tables and lists below TABLES, among them one table of boxes per split; pictures below PICTURES as
`{split}/{id}.jpg` (github.com/cvdfoundation/open-images-dataset; openimages/dataset's
downloader.py reads the same bucket). Annotations are CC BY 4.0, pictures are listed as CC BY 2.0.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from boxray import images
from boxray.data.box_table import HEXADECIMAL_ID
from boxray.data.downloading import Client
from boxray.errors import FormatError, ImageError, NetworkError, SettingError
from boxray.files import write_atomically

TABLES = "https://storage.googleapis.com/openimages/"
PICTURES = "https://open-images-dataset.s3.amazonaws.com/"
CLASSES = "v5/class-descriptions-boxable.csv"
HIERARCHY = "2018_04/bbox_labels_600_hierarchy.json"
LABELS = "v5/{split}-annotations-human-imagelabels-boxable.csv"
BOXES = {
    "train": "v6/oidv6-train-annotations-bbox.csv",
    "validation": "v5/validation-annotations-bbox.csv",
    "test": "v5/test-annotations-bbox.csv",
}
ABOUT_BYTES = {"train": 2_258_447_590, "validation": 25_105_048, "test": 77_484_869}
MOST_LIST_BYTES = 16 << 20
MOST_TABLE_BYTES = 8 << 30
MOST_PICTURE_BYTES = 64 << 20
MOST_LINE = 1 << 16  # characters
CONNECTIONS = 8

OnProgress = Callable[[int, int], None]


class Places(NamedTuple):
    """Where tables and pictures lie; both end with a slash."""

    tables: str = TABLES
    pictures: str = PICTURES

    @classmethod
    def of(cls, mirror: str | None) -> Places:
        """The published places, or a mirror that has both below one address."""
        if mirror is None:
            return cls()
        if not mirror.startswith(("https://", "http://")) or len(mirror.split("/")[2]) == 0:
            raise SettingError(f"--base-url {mirror[:80]!r}: expected an http or https address.")
        place = mirror.rstrip("/") + "/"
        return cls(place, place)


@dataclass(frozen=True)
class Wanted:
    """What is asked for. classes: display names, all where there are none. limit: of images."""

    split: str
    classes: tuple[str, ...] = ()
    limit: int | None = None


def class_list(text: str, wanted: Wanted) -> dict[str, str]:
    """Label → name of the wanted classes, from the published list.

    Raises SettingError for a class that is not in it, with those of similar names.
    """
    listed = dict(row[:2] for row in csv.reader(text.splitlines()) if len(row) >= 2)
    if not listed:
        raise FormatError("the list of classes is empty: is it an Open Images mirror?")
    labels = {name.casefold(): label for label, name in listed.items()}
    for name in wanted.classes:
        if name.casefold() not in labels:
            near = difflib.get_close_matches(name.capitalize(), list(listed.values()), 3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise SettingError(f"Open Images has no boxes of a class {name[:40]!r}.{hint}")
    chosen = {labels[name.casefold()] for name in wanted.classes} or set(listed)
    return {label: name for label, name in listed.items() if label in chosen}


def written(labels: Mapping[str, str]) -> bytes:
    """The list of these classes as a file, as the published one is."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(labels.items())
    return text.getvalue().encode()


class Rows(NamedTuple):
    """Lines of a table without their ends, and the images they are of, in order."""

    header: str
    lines: list[str]
    images: dict[str, None]

    def content(self) -> bytes:
        """The table as a file."""
        return "\n".join([self.header, *self.lines, ""]).encode()


def choose_boxes(lines: Iterator[str], labels: frozenset[str], limit: int | None) -> Rows:
    """The rows of these labels, of the first `limit` images that have one.

    The published tables are in order of ImageID, so once the limit is reached and another image
    begins nothing that follows is of use, and the rest is never asked for.
    """
    found = Rows(next(lines, ""), [], {})
    image_at, label_at = _columns(found.header, "ImageID", "LabelName")
    for line in lines:
        fields = line.split(",")
        if len(fields) <= max(image_at, label_at) or fields[label_at] not in labels:
            continue
        image = fields[image_at]
        if not HEXADECIMAL_ID.fullmatch(image):
            continue
        if image not in found.images and limit is not None and len(found.images) >= limit:
            break
        found.images[image] = None
        found.lines.append(line)
    return found


def choose_labels(lines: Iterator[str], labels: frozenset[str], images: Sequence[str]) -> Rows:
    """The rows of these labels and images; reading ends behind the last where rows are in order."""
    found = Rows(next(lines, ""), [], dict.fromkeys(images))
    image_at, label_at = _columns(found.header, "ImageID", "LabelName")
    last, before, in_order = max(images, default=""), "", True
    for line in lines:
        fields = line.split(",")
        if len(fields) <= max(image_at, label_at):
            continue
        image = fields[image_at]
        in_order, before = in_order and before <= image, image
        if in_order and image > last:
            break
        if image in found.images and fields[label_at] in labels:
            found.lines.append(line)
    return found


def _columns(header: str, *names: str) -> list[int]:
    columns = header.split(",")
    if not set(names) <= set(columns):
        raise FormatError(f"the table has the header {header[:80]!r}: expected {', '.join(names)}.")
    return [columns.index(name) for name in names]


def lines_of(pieces: Iterator[bytes]) -> Iterator[str]:
    """The lines of a text that comes in pieces. Raises FormatError where it is none."""
    decoder = codecs.getincrementaldecoder("utf-8-sig")()
    rest = ""
    try:
        for piece in pieces:
            *lines, rest = (rest + decoder.decode(piece)).split("\n")
            if len(rest) > MOST_LINE:
                raise FormatError(f"a line is longer than {MOST_LINE} characters: no table.")
            yield from (line.rstrip("\r") for line in lines)
        rest += decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise FormatError(f"the table is not UTF-8 text: {error.reason}.") from error
    if rest:
        yield rest.rstrip("\r")


class Arrival(NamedTuple):
    """What became of the pictures. failed: image → why it is not there."""

    fetched: int
    kept: int
    failed: dict[str, str]


def fetch_pictures(
    names: Sequence[str],
    url: str,
    folder: Path,
    client: Client,
    *,
    connections: int = CONNECTIONS,
    on_image: OnProgress | None = None,
) -> Arrival:
    """Download each `url/ID.jpg` into the folder; those that are there and whole are kept.

    A picture is written once it is known to be one. One that fails does not stop the others.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stopped = threading.Event()
    client = replace(client, wait=stopped.wait)
    kept = fetched = 0
    failed: dict[str, str] = {}

    def fetch(name: str) -> bool:
        target = folder / f"{name}.jpg"
        if target.exists() and _is_whole(target):
            return False
        content = client.get(f"{url}{name}.jpg", MOST_PICTURE_BYTES)
        images.load(content)
        write_atomically(target, content)
        return True

    with ThreadPoolExecutor(connections) as pool:
        tasks = {pool.submit(fetch, name): name for name in names}
        try:
            for done, task in enumerate(as_completed(tasks), 1):
                try:
                    is_new = task.result()
                except (NetworkError, ImageError) as error:
                    failed[tasks[task]] = str(error)
                else:
                    fetched, kept = fetched + is_new, kept + (not is_new)
                if on_image:
                    on_image(done, len(tasks))
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return Arrival(fetched, kept, failed)


def _is_whole(path: Path) -> bool:
    try:
        images.load(path)
    except ImageError:
        return False
    return True
