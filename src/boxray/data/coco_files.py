"""Where a COCO data set keeps its parts: JSON files that are called like splits, and pictures."""

from __future__ import annotations

import re
from pathlib import Path

from boxray.data.partition import KNOWN_SPLITS, plain

EXPECTED = (
    "annotations/instances_*.json, */_annotations.coco.json, one JSON file, or one for each of "
    "train, val and test"
)
WHOLE = ""  # the key of a file that is no split
_OWN_NAMES = ("annotations/instances_*.json", "instances_*.json", "*/_annotations.coco.json")
_OTHERS = ("hierarchy", "notes.json")  # Open Images' classes; Label Studio's beside YOLO's labels


def find(path: Path) -> tuple[Path, dict[str, Path]] | None:
    """The root of a COCO data set and its plain split name → file; None where there is none.

    path: a folder, or the JSON file itself.
    """
    if not path.is_dir():
        root = path.parent.parent if path.parent.name == "annotations" else path.parent
        return (root, _by_split([path])) if path.suffix.lower() == ".json" else None
    for pattern in _OWN_NAMES:
        files = sorted(path.glob(pattern))
        if files:
            return path, _by_split(files)
    files = _possible(path, "annotations/*.json") or _possible(path, "*.json")
    if len(files) == 1:
        return path, _by_split(files)
    pairs = [(split, file) for file in files if (split := _split_in(file.stem))]
    if not files:
        inside = _possible(path, "*/*.json")
        pairs = [(split, file) for file in inside if (split := _split_in(file.parent.name))]
    named = dict(pairs)
    return (path, named) if named and len(named) == len(pairs) else None


def picture_folders(root: Path, path: Path, split: str) -> list[Path]:
    """Where pictures of a file may lie, the likeliest first."""
    own = _split_name(path)
    names = [split, own, f"{split}2017"] if split else [own]
    within = [f"images/{name}" for name in names] + names + ["images", "JPEGImages", "."]
    folders = [root / name for name in within]
    folders += [path.parent, path.parent / "images", root / "../images"]
    folders += sorted(folder for folder in root.iterdir() if not folder.name.startswith("."))
    return list(dict.fromkeys(folder for folder in folders if folder.is_dir()))


def _possible(root: Path, pattern: str) -> list[Path]:
    files = sorted(root.glob(pattern))
    return [file for file in files if not any(other in file.name for other in _OTHERS)]


def _by_split(files: list[Path]) -> dict[str, Path]:
    names = [_split_name(path) for path in files]
    if len({plain(name) for name in names}) == len(names):
        names = [plain(name) for name in names]
    if len(files) == 1 and names[0] not in KNOWN_SPLITS:
        names = [WHOLE]
    return dict(zip(names, files, strict=True))


def _split_name(path: Path) -> str:
    if path.name == "_annotations.coco.json":
        return path.parent.name
    return path.stem.removeprefix("instances_")


def _split_in(stem: str) -> str:
    """The split whose name is a word of a file's: `train` of `my_train2017`, or nothing."""
    found = [word for part in re.split("[-_. ]", stem) if (word := plain(part)) in KNOWN_SPLITS]
    return found[0] if len(found) == 1 else ""
