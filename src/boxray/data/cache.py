"""Readings kept from one time to the next: in the user's cache folder, never in the data.

A kept reading is found by a hash of all that it depends on: the bytes of every text file in and
beside the data set, of every other file its name, size, times and number on the disk (the time of
the last change cannot be set by hand), how it was read, and by which version.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from boxray import __version__
from boxray.data.dataset import Dataset
from boxray.data.hierarchy import Hierarchy
from boxray.data.partition import Grouping
from boxray.data.report import Note, Report, Tally
from boxray.errors import OutputError
from boxray.files import write_atomically
from boxray.records import FLAGS, Sample, Truths

FORM = "boxray.reading/1"  # another one for every change of what is kept
SUFFIX = ".reading"
MOST_KEPT = 20
SLOW_S = 1.0  # seconds; what is read sooner is not kept unless a person named the folder
_TEXTS = frozenset({".xml", ".json", ".txt", ".csv", ".yaml", ".yml", ".data", ".names"})
_DIGEST = hashlib.sha256().digest_size  # bytes in front of an archive of arrays
_BESIDE = ("../images", "../JPEGImages")  # where pictures of a data set may lie outside it


@dataclass(frozen=True)
class Cache:
    """Where readings are kept. automatic: nobody named it, so it keeps slow readings only.

    Raises OutputError where a folder that somebody named lies in the data or cannot be written.
    """

    folder: Path
    automatic: bool = False

    def get(self, key: str) -> Dataset | None:
        """The reading with this key, or None where there is none that is whole."""
        content = self.content(key)
        return None if content is None else _unpack(content)

    def put(self, key: str, dataset: Dataset, seconds: float) -> None:
        """Keep a reading that took so long; the least recently used make room."""
        self.keep(key, lambda: _pack(dataset), dataset.roots, seconds)

    def content(self, key: str) -> bytes | None:
        """What is kept with this key, or None where there is nothing whole."""
        path = self.folder / f"{key}{SUFFIX}"
        try:
            content = path.read_bytes()
            os.utime(path)  # the least recently used go first
        except OSError:
            return None
        whole = hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]
        return content[_DIGEST:] if whole else None

    def keep(
        self, key: str, pack: Callable[[], bytes], roots: Iterable[Path], seconds: float
    ) -> None:
        """Keep what is packed and took so long; roots: of the data, where nothing is written."""
        if self.automatic and seconds < SLOW_S:
            return
        folder = self.folder.resolve()
        if any(folder == r or r in folder.parents for r in map(Path.resolve, roots)):
            if self.automatic:  # a home that is itself a data set
                return
            raise OutputError(f"the cache {self.folder} lies in the data, which is never changed.")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            content = pack()
            digest = hashlib.sha256(content).digest()
            write_atomically(self.folder / f"{key}{SUFFIX}", digest + content)
            kept = sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
            for path in kept[:-MOST_KEPT]:
                path.unlink()
        except OSError as error:
            if not self.automatic:
                raise OutputError(f"cannot write the cache {self.folder}: {error}.") from error


def default_cache() -> Cache | None:
    """The user's own: XDG_CACHE_HOME/boxray or ~/.cache/boxray; None without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    with contextlib.suppress(RuntimeError):
        return Cache((Path(named) if named else Path.home() / ".cache") / "boxray", automatic=True)
    return None


def key_of(places: Iterable[Path], how: Iterable[object]) -> str:
    """The hash of all files in these places, and of how they are read."""
    digest = hashlib.sha256(json.dumps([FORM, __version__, *map(repr, how)]).encode())
    seen: set[tuple[int, int]] = set()
    for place in places:
        beside = [place / name for name in _BESIDE] if place.is_dir() else [place.parent]
        for root in (place, *beside):
            for path in _files(root, seen):
                digest.update(os.fsencode(path))
                digest.update(_state(path))
    return digest.hexdigest()


def groups_of(
    cache: Cache,
    paths: Sequence[Path],
    root: Path,
    group: Grouping,
) -> Int[np.ndarray, "n"]:
    """What `group` says of these pictures of the data in `root`, kept until one of them changes."""
    started = time.perf_counter()
    digest = hashlib.sha256(json.dumps([FORM, __version__, "near-duplicates"]).encode())
    for path in paths:
        digest.update(os.fsencode(path))
        digest.update(_state(path))
    key = digest.hexdigest()
    content = cache.content(key)
    if content is not None:
        return np.frombuffer(content, "<i8")
    found = group(paths)
    spent_s = time.perf_counter() - started
    cache.keep(key, lambda: found.astype("<i8").tobytes(), [root], spent_s)
    return found


def _files(root: Path, seen: set[tuple[int, int]]) -> Iterator[Path]:
    """Every file below a folder, by name, each folder once however links lead to it."""
    if root.is_file():
        yield root
        return
    for place, folders, files in os.walk(root, followlinks=True):
        state = os.stat(place)  # noqa: PTH116  as os.walk speaks
        if (state.st_dev, state.st_ino) in seen:
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders.sort()
        yield from (Path(place, name) for name in sorted(files))


def _state(path: Path) -> bytes:
    """What tells a file from what it was: its bytes if it is a text, else what the disk says."""
    try:
        if path.suffix.lower() in _TEXTS and path.is_file():
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").digest()
        state = path.stat()
    except OSError as error:
        return repr(error.errno).encode()
    parts = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
    return repr(parts).encode()


def _pack(dataset: Dataset) -> bytes:
    """The data set as named arrays, and a JSON text for all that is no array."""
    truths = [sample.truths for sample in dataset.samples]
    report = dataset.report
    header = {
        "name": dataset.name,
        "classes": dataset.classes,
        "split": dataset.split,
        "roots": [str(root) for root in dataset.roots],
        "parents": dataset.hierarchy
        and {name: sorted(above) for name, above in dataset.hierarchy.parents.items()},
        "images": astuple(report.images),
        "boxes": astuple(report.boxes),
        "notes": [_plain(note) for note in report.notes],
        "unmatched": report.unmatched_classes,
        "matched": report.matched_classes,
        "paths": [str(sample.path) for sample in dataset.samples],
        "sources": [one.source for one in truths],
        "verified": [
            (sorted(sample.verified_present), sorted(sample.verified_absent))
            for sample in dataset.samples
        ],
    }
    arrays: dict[str, Any] = {
        "header": np.frombuffer(json.dumps(header).encode(), np.uint8),
        "sizes": np.array([s.size_hw for s in dataset.samples], np.int64).reshape(-1, 2),
        "orientations": np.array([s.orientation for s in dataset.samples], np.int64),
        "labelled": np.array([s.labelled for s in dataset.samples], bool),
        "counts": np.array([len(one) for one in truths], np.int64),
    }
    for name in _columns():
        values = [getattr(one, name) for one in truths]
        arrays[name] = np.concatenate(values) if values else np.zeros(0)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _columns() -> list[str]:
    return [field.name for field in fields(Truths) if field.name != "source"]


def _plain(note: Note) -> dict[str, Any]:
    picture = None if note.picture is None else str(note.picture)
    return {**asdict(note), "path": str(note.path), "picture": picture}


def _note(entry: dict[str, Any]) -> Note:
    picture, box = entry["picture"], entry["box"]
    read = {
        "path": Path(entry["path"]),
        "picture": None if picture is None else Path(picture),
        "box": None if box is None else tuple(box),
    }
    return Note(**{**entry, **read})


def _unpack(content: bytes) -> Dataset:
    """Undoes `_pack`."""
    with np.load(io.BytesIO(content), allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    header = json.loads(arrays["header"].tobytes())
    report = Report(
        Tally(*header["images"]),
        Tally(*header["boxes"]),
        tuple(map(_note, header["notes"])),
        header["unmatched"],
        {name: (to, how) for name, (to, how) in header["matched"].items()},
    )
    parents = header["parents"]
    above = parents and {name: frozenset(names) for name, names in parents.items()}
    return Dataset(
        header["name"],
        tuple(header["classes"]),
        tuple(_samples(arrays, header)),
        header["split"],
        report,
        tuple(map(Path, header["roots"])),
        Hierarchy(above) if above is not None else None,
    )


def _samples(arrays: dict[str, Any], header: dict[str, Any]) -> Iterator[Sample]:
    ends = np.cumsum(arrays["counts"]).tolist()
    starts = [0, *ends[:-1]]
    used = [flag for flag in FLAGS if arrays[flag].any()]
    for i, (start, end) in enumerate(zip(starts, ends, strict=True)):
        rows = slice(start, end)
        truths = Truths.of(
            arrays["boxes"][rows].reshape(-1, 4),
            arrays["labels"][rows].astype(np.int64),
            area=arrays["area"][rows],
            flags={flag: arrays[flag][rows] for flag in used},
            lines=arrays["lines"][rows].astype(np.int64),
            source=header["sources"][i],
        )
        height, width = arrays["sizes"][i].tolist()
        present, absent = header["verified"][i]
        yield Sample(
            Path(header["paths"][i]),
            (height, width),
            truths,
            orientation=int(arrays["orientations"][i]),
            verified_present=frozenset(present),
            verified_absent=frozenset(absent),
            labelled=bool(arrays["labelled"][i]),
        )
