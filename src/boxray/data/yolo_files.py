"""Where a YOLO data set keeps its parts: Darknet's obj.data, a data.yaml, or folders alone."""

from __future__ import annotations

import difflib
import itertools
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from boxray.data.classes import has_control_characters
from boxray.data.partition import KNOWN_SPLITS, plain
from boxray.data.pictures import without_suffix
from boxray.data.plain_yaml import read_yaml
from boxray.errors import FormatError

WHOLE = ""  # the key of a part that is no split
_NO_SPLITS = frozenset({"path", "names", "nc", "download", "roboflow", "task", "author", "license"})
MOST_TRIED = 100  # text files that are opened to find out whether they are labels
_NAME_FILES = ("classes.txt", "obj.names")
_LABEL_LINE = re.compile(rb"\s*\d{1,9}(\.0*)?(\s+[-+.\deE]+){4,}\s*")


@dataclass(frozen=True)
class Parts:
    """What was found. sources: plain split name → folders of pictures, or lists of them.

    names: of the classes, None where nothing names them; named_by: the file that does, else the
    root. remarks: what was odd about it.
    """

    root: Path
    sources: dict[str, tuple[Path, ...]]
    names: tuple[str, ...] | None
    named_by: Path
    remarks: tuple[str, ...] = ()


def find(path: Path) -> Parts | None:
    """The parts of the data set in a folder, or behind its .yaml or .data file; None for others."""
    if path.suffix.lower() in {".yaml", ".yml"} and path.is_file():
        return _by_yaml(path)
    if path.suffix.lower() == ".data" and path.is_file():
        return _by_data_file(path)
    if not path.is_dir():
        return None
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in {".yaml", ".yml"})
    files = [file for file in files if file.stem == "data"] or [f for f in files if _has_names(f)]
    if len(files) == 1:
        return _by_yaml(files[0])
    described = sorted(path.glob("*.data"))
    if len(described) == 1:
        return _by_data_file(described[0])
    parts = _by_folders(path)
    if parts is not None and len(files) > 1:
        several = ", ".join(file.name for file in files)
        raise FormatError(f"{path} has several lists of classes, {several}: give one as DATA.")
    return parts


def lines_of(path: Path) -> list[str]:
    """The lines of a list that are not blank, without spaces around them."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise FormatError(f"cannot read the list {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def within(root: Path, name: str) -> Path | None:
    """The file or folder below `root` that a path of another machine means, or None.

    Its first folders are left out one by one until something is there; `..` is never followed.
    """
    steps = list(PurePosixPath(name.replace("\\", "/")).parts)
    while steps and steps[0] in {"/", ".."}:  # Roboflow writes ../train/images
        steps = steps[1:]
    if "\0" in name or ".." in steps:
        return None
    for start in range(len(steps)):
        found = root.joinpath(*steps[start:])
        if os.path.exists(found):  # noqa: PTH110  Path.exists raises on a name too long
            return found
    return None


def _has_names(path: Path) -> bool:
    try:
        return re.search(rb"^names\s*:", path.read_bytes()[: 1 << 20], re.MULTILINE) is not None
    except OSError:
        return False


def _by_yaml(path: Path) -> Parts:
    document = read_yaml(path)
    names = _names_in(document, path)
    root, remarks = _root_in(document, path)
    sources: dict[str, tuple[Path, ...]] = {}
    for key, value in document.items():
        given = value if isinstance(value, list) else [value]
        if key in _NO_SPLITS or not given or not all(isinstance(one, str) for one in given):
            continue
        found = [within(root, one) for one in given]
        if all(found):
            sources[plain(key)] = tuple(one for one in found if one)
        elif key in {"train", "val", "valid", "test"}:
            remarks.append(f"{key}: there is no {value} in {root}: left out")
    if not sources:
        whole = _by_folders(root)
        sources = {} if whole is None else whole.sources
    if not sources and (root / "images").is_dir():
        sources = {WHOLE: (root / "images",)}
    if not sources:
        raise FormatError(f"{path} names no folder of pictures in {root}: add train: and val:.")
    return Parts(root, _one_whole(sources), names, path, tuple(remarks))


def _root_in(document: dict[Any, Any], path: Path) -> tuple[Path, list[str]]:
    """The folder that `path:` names, as seen from the file; the file's own where there is none."""
    own, given = path.parent, document.get("path")
    if given is None:
        return own, []
    if not isinstance(given, str) or "\0" in given:
        raise FormatError(f"{path}: path is {str(given)[:80]!r}, expected the name of a folder.")
    named = own / os.path.expanduser(given)  # noqa: PTH111  Path.expanduser raises on ~nobody
    if os.path.isfile(named):  # noqa: PTH113  Path.is_file raises on a name too long
        raise FormatError(f"{path}: path is the file {given}, expected a folder.")
    if os.path.isdir(named):  # noqa: PTH112  as above
        return named, []
    return own, [f"path: there is no folder {given[:80]}: that of the file is used"]


def _names_in(document: dict[Any, Any], path: Path) -> tuple[str, ...]:
    """The class names, given as a list, or by their numbers from 0 without a gap."""
    given, count = document.get("names"), document.get("nc")
    if given is None and "names" not in document:
        near = difflib.get_close_matches("names", [str(key) for key in document], 1)
        hint = f" There is `{near[0]}`: is `names` meant?" if near else ""
        raise FormatError(
            f"{path} has no `names`: add the names of the classes, as in names: [cat, dog].{hint}"
        )
    if isinstance(given, dict):
        if list(given) != list(range(len(given))):
            raise FormatError(f"{path}: the numbers of `names` are not 0, 1, 2 … without a gap.")
        given = list(given.values())
    if not isinstance(given, list) or not given:
        raise FormatError(f"{path}: `names` is {str(given)[:80]!r}, expected a list of names.")
    if "nc" in document and (isinstance(count, bool) or count != len(given)):
        raise FormatError(f"{path}: nc is {count!r}, but `names` lists {len(given)} classes.")
    return checked_names(given, path)


def checked_names(given: Iterable[object], path: Path) -> tuple[str, ...]:
    """The names, each a text of its own. Raises FormatError otherwise."""
    names: list[str] = []
    for number, name in enumerate(given):
        if not isinstance(name, str):
            raise FormatError(
                f"{path}: the name of class {number} is read as {str(name)[:40]}, "
                f"a {type(name).__name__}: quote it."
            )
        if not name.strip() or has_control_characters(name):
            raise FormatError(f"{path}: {name[:80]!r} is no name of a class.")
        if name.strip() in names:
            raise FormatError(f"{path}: the class '{name.strip()}' is named twice.")
        names.append(name.strip())
    return tuple(names)


def _by_data_file(path: Path) -> Parts:
    """Darknet's `key = value` lines: classes, train, valid, names."""
    values: dict[str, str] = {}
    for line in lines_of(path):
        key, _, value = line.partition("=")
        if key.strip() in values:
            raise FormatError(f"{path}: '{key.strip()}' is given twice.")
        values[key.strip()] = value.strip()
    root, remarks = path.parent, []
    listed = within(root, values.get("names", "")) if values.get("names") else None
    if listed is None:
        raise FormatError(f"{path} names no list of classes that is there: add `names = FILE`.")
    names = checked_names(lines_of(listed), listed)
    if values.get("classes", str(len(names))) != str(len(names)):
        raise FormatError(f"{path}: classes = {values['classes']}, but {listed} has {len(names)}.")
    sources: dict[str, tuple[Path, ...]] = {}
    for key in ("train", "valid", "test"):
        found = within(root, values[key]) if key in values else None
        if found is not None:
            sources[plain(key)] = (found,)
        elif key in values:
            remarks.append(f"{key}: there is no {values[key]} in {root}: left out")
    if not sources:
        raise FormatError(f"{path} names no list of pictures that is there: add `train = FILE`.")
    return Parts(root, _one_whole(sources), names, path, tuple(remarks))


def _by_folders(root: Path) -> Parts | None:
    """Folders of label files beside, or next to, folders of pictures."""
    inside = [path.parent for path in sorted(root.glob("*/labels")) if _holds_labels(path)]
    if len(inside) == 1 and plain(inside[0].name) not in KNOWN_SPLITS:
        return find(inside[0])  # all of it is in a folder of its own
    sources: dict[str, tuple[Path, ...]] = {}
    sources |= {plain(path.name): (path / "images",) for path in inside}  # train/images
    labels = root / "labels"
    if not sources and _holds_labels(labels):
        inside = [folder for folder in sorted(labels.iterdir()) if _holds_labels(folder)]
        loose = any(file.suffix == ".txt" for file in labels.iterdir() if file.is_file())
        sources = {plain(f.name): (root / "images" / f.name,) for f in inside if not loose}
        sources = sources or {WHOLE: (root / "images",)}
    if not sources and _holds_labels_beside_pictures(root):
        sources = {WHOLE: (root,)}
    if not sources:
        return None
    files = [root / name for name in _NAME_FILES] + sorted(root.glob("*.names"))
    files += [root / "labels" / name for name in _NAME_FILES]
    named_by = next((file for file in files if file.is_file()), None)
    names = None if named_by is None else checked_names(lines_of(named_by), named_by)
    return Parts(root, _one_whole(sources), names, named_by or root)


def _holds_labels(folder: Path) -> bool:
    """Whether a folder, or one in it, has a text file that belongs to a picture."""
    if not folder.is_dir() or folder.is_symlink():
        return False
    files = itertools.chain(folder.glob("*.txt"), folder.glob("*/*.txt"))
    return any(is_label_name(file) for file in files)


def is_label_name(path: Path) -> bool:
    """Whether a text file's name can be that of a label file."""
    return path.suffix == ".txt" and path.name not in {*_NAME_FILES, "README.txt", "notes.txt"}


def _holds_labels_beside_pictures(folder: Path) -> bool:
    """Whether a text file in it is named like a picture there, or looks like labels."""
    names = sorted(os.listdir(folder))  # noqa: PTH208  names alone: there may be very many
    stems = {without_suffix(name) for name in names}
    texts = [folder / name for name in names if is_label_name(Path(name))]
    if any(path.stem in stems for path in texts):
        return True
    return any(_looks_like_labels(path) for path in texts[:MOST_TRIED] if path.is_file())


def _looks_like_labels(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return _LABEL_LINE.fullmatch(file.readline(1 << 10)) is not None
    except OSError:
        return False


def _one_whole(sources: dict[str, tuple[Path, ...]]) -> dict[str, tuple[Path, ...]]:
    """A part to learn from with nothing to check on is all there is, and no split."""
    return {WHOLE: sources["train"]} if set(sources) == {"train"} else sources
