"""`boxray data fetch open-images`: annotations and just the pictures needed, from the web."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from boxray.data import open_images_fetching as fetching
from boxray.data.downloading import Client
from boxray.data.hierarchy import read_hierarchy
from boxray.data.open_images_fetching import OnProgress, Places, Wanted
from boxray.data.partition import plain
from boxray.errors import SettingError
from boxray.files import write_atomically

SCHEMA = "boxray.data.fetch/1"
DEFAULT_OUTPUT = Path("open-images")
STATE = ".boxray-fetch-{split}"  # what was asked for, once its tables are there
SPLITS = {"train": "train", "val": "validation", "test": "test"}

Progress = Callable[[str], AbstractContextManager[OnProgress]]


@dataclass(frozen=True)
class FetchReport:
    """What is in the folder now. failed: image → why its picture is not there."""

    folder: Path
    wanted: Wanted
    boxes: int
    fetched: int
    kept: int
    failed: dict[str, str]
    hint: str = ""

    @property
    def images(self) -> int:
        """Of which there are pictures."""
        return self.fetched + self.kept

    def to_dict(self) -> dict[str, Any]:
        """The document `boxray.data.fetch/1`, ready for json.dumps."""
        return {
            "schema": SCHEMA,
            "folder": str(self.folder),
            **asdict(self.wanted),
            "images": self.images,
            "boxes": self.boxes,
            "fetched": self.fetched,
            "kept": self.kept,
            "failed": self.failed,
        }


def _no_progress(title: str) -> AbstractContextManager[OnProgress]:
    del title
    return nullcontext(lambda done, total: None)  # noqa: ARG005


def fetch(
    wanted: Wanted,
    folder: Path = DEFAULT_OUTPUT,
    *,
    mirror: str | None = None,
    client: Client | None = None,
    say: Callable[[str], None] = lambda line: None,  # noqa: ARG005
    progress: Progress = _no_progress,
) -> FetchReport:
    """Download a part of Open Images into a folder that `boxray.data.read` reads.

    mirror: a mirror that has tables and pictures below one address. say: told what is about to
    be downloaded, before it is. Asked again for the same, only what is missing is downloaded.
    Raises SettingError for a class that does not exist or a folder of something else, and
    NetworkError where a table cannot be had; a picture that cannot is in the report.
    """
    if plain(wanted.split) not in SPLITS:
        raise SettingError(f"no split {wanted.split!r}: expected train, validation or test.")
    wanted = Wanted(SPLITS[plain(wanted.split)], wanted.classes, wanted.limit)
    places, client = Places.of(mirror), client or Client()
    state = folder / STATE.format(split=wanted.split)
    request = asdict(wanted) | {"classes": list(wanted.classes), "from": places.tables}
    _refuse_other(folder, state, request)
    document = _state(state) or {}
    if "images" not in document:
        write_atomically(state, json.dumps(request).encode())  # the folder is ours from here on
        document = _tables(wanted, folder, places, client, say, progress)
        write_atomically(state, json.dumps(document | request).encode())
    names, place = document["images"], f"{places.pictures}{wanted.split}/"
    say(f"{len(names)} pictures from {place}, at most {fetching.CONNECTIONS} at a time.")
    with progress("pictures") as on_image:
        arrival = fetching.fetch_pictures(
            names, place, folder / wanted.split, client, on_image=on_image
        )
    return FetchReport(folder, wanted, document["boxes"], *arrival, hint=document["hint"])


def _state(path: Path) -> dict[str, Any] | None:
    """What an earlier fetch left, None where there was none."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return document if isinstance(document, dict) else None


def _refuse_other(folder: Path, state: Path, request: dict[str, Any]) -> None:
    """Raise SettingError where the folder is of something else, or of another request."""
    earlier = _state(state)
    is_complete = earlier is not None and "images" in earlier  # else a fetch that never began
    if earlier and is_complete and {key: earlier.get(key) for key in request} != request:
        raise SettingError(
            f"{folder} holds another part of {request['split']}: "
            f"classes {', '.join(earlier.get('classes', [])) or 'all'}, limit "
            f"{earlier.get('limit')}. Choose another --output."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        others = [path for path in folder.glob(STATE.format(split="*")) if path != state]
        if earlier is None and not others and any(folder.iterdir()):
            raise SettingError(f"{folder} is not empty. Choose another --output.")
    except OSError as error:
        raise SettingError(f"--output {folder}: {error.strerror or error}.") from error
    for other in others:
        found = _state(other) or {}
        if "images" in found and found.get("classes") != request["classes"]:
            raise SettingError(f"{folder} holds other classes: {other}. Choose another --output.")


def _tables(
    wanted: Wanted,
    folder: Path,
    places: Places,
    client: Client,
    say: Callable[[str], None],
    progress: Progress,
) -> dict[str, Any]:
    """Download lists and tables, of these only the rows that are needed."""
    listed = client.get(places.tables + fetching.CLASSES, fetching.MOST_LIST_BYTES)
    labels = fetching.class_list(listed.decode("utf-8-sig", "replace"), wanted)
    hierarchy = client.get(places.tables + fetching.HIERARCHY, fetching.MOST_LIST_BYTES)
    path = fetching.BOXES[wanted.split]
    size = fetching.ABOUT_BYTES[wanted.split] / 1e6
    until = "until the limit is reached" if wanted.limit else "to its end"
    say(f"{places.tables}{path}: about {size:,.0f} MB, streamed {until}; only rows are kept.")
    wanted_labels = frozenset(labels)
    with progress("boxes") as on_bytes, _lines(client, places.tables + path, on_bytes) as lines:
        boxes = fetching.choose_boxes(lines, wanted_labels, wanted.limit)
    if not boxes.images:
        raise SettingError(f"no image of {wanted.split} has a box of these classes.")
    path = fetching.LABELS.format(split=wanted.split)
    say(f"{places.tables}{path}: streamed as far as these {len(boxes.images)} images need.")
    with progress("labels") as on_bytes, _lines(client, places.tables + path, on_bytes) as lines:
        verified = fetching.choose_labels(lines, wanted_labels, tuple(boxes.images))
    write_atomically(folder / "class-descriptions-boxable.csv", fetching.written(labels))
    write_atomically(folder / "bbox_labels_600_hierarchy.json", hierarchy)
    write_atomically(folder / f"{wanted.split}-annotations-bbox.csv", boxes.content())
    name = f"{wanted.split}-annotations-human-imagelabels-boxable.csv"
    write_atomically(folder / name, verified.content())
    hint = _narrower(folder / "bbox_labels_600_hierarchy.json", listed, labels, wanted)
    return {"images": list(boxes.images), "boxes": len(boxes.lines), "hint": hint}


@contextmanager
def _lines(client: Client, url: str, on_bytes: OnProgress) -> Iterator[Iterator[str]]:
    """The lines of a table on a server; the connection ends with the block, read or not."""
    with closing(client.stream(url, fetching.MOST_TABLE_BYTES, on_bytes)) as pieces:
        yield fetching.lines_of(pieces)


def _narrower(path: Path, listed: bytes, labels: dict[str, str], wanted: Wanted) -> str:
    """Which classes are a kind of the wanted ones, and were not asked for."""
    names = fetching.class_list(listed.decode("utf-8-sig", "replace"), Wanted(wanted.split))
    hierarchy = read_hierarchy(path, names)
    below = set().union(*(hierarchy.descendants(name) for name in labels.values()))
    left_out = sorted(below - set(labels.values()))
    if not wanted.classes or not left_out:
        return ""
    more = f" and {len(left_out) - 8} more" if len(left_out) > 8 else ""
    return (
        f"{', '.join(left_out[:8])}{more} are kinds of these classes with boxes of their own, "
        "which were not asked for."
    )
