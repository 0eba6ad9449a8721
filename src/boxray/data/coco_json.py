"""The JSON document of a COCO file, with the keys it cannot do without."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypeAlias

from boxray.data.classes import fold, has_control_characters
from boxray.data.report import REPAIRED, WARNING, Cause, Ledger
from boxray.errors import FormatError


class Compact:
    """A JSON object that shares its keys with all that have the same: a million need little."""

    __slots__ = ("keys", "values")

    def __init__(self, keys: tuple[str, ...], values: tuple[Any, ...]) -> None:
        self.keys, self.values = keys, values

    def __contains__(self, key: object) -> bool:
        return key in self.keys

    def get(self, key: str, otherwise: object = None) -> Any:
        """The value of a key, as a dict gives it."""
        return self.values[self.keys.index(key)] if key in self.keys else otherwise


Entry: TypeAlias = dict[str, Any]  # one JSON object, not yet checked
Row: TypeAlias = Entry | Compact  # an annotation


def _compacted(entry: dict[str, Any], known: dict[tuple[str, ...], tuple[str, ...]]) -> Row:
    """An annotation as `Compact`, anything else as it is."""
    if "image_id" not in entry or "category_id" not in entry:
        return entry
    keys = tuple(entry)
    return Compact(known.setdefault(keys, keys), tuple(entry.values()))


def load(path: Path) -> dict[str, Any]:
    """The document, with the keys it cannot do without. Raises FormatError otherwise."""
    known: dict[tuple[str, ...], tuple[str, ...]] = {}
    try:
        text = path.read_bytes().decode("utf-8-sig")
        document = json.loads(text, object_hook=lambda entry: _compacted(entry, known))
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error
    except RecursionError as error:
        raise FormatError(f"{path} is nested too deeply to be a COCO file.") from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    if isinstance(document, list):
        hint = ""
        if document and isinstance(document[0], dict | Compact) and "score" in document[0]:
            hint = " This is a file of results (detections): give it as a model, not as data."
        raise FormatError(f"{path} holds a list, expected an object with 'images'.{hint}")
    for key in ("images", "categories"):
        if not isinstance(document, dict) or not isinstance(document.get(key), list):
            raise FormatError(f"{path} has no list '{key}': it is not a COCO annotation file.")
    if not isinstance(document.get("annotations", []), list):
        raise FormatError(f"{path}: 'annotations' is not a list.")
    return document  # type: ignore[no-any-return]


def categories_of(
    entries: list[Any], path: Path, ledger: Ledger, merge_names: bool
) -> dict[Any, str]:
    """Category id → name, in the order of the ids; two of one name only with `merge_names`."""
    names: dict[Any, str] = {}
    for position, entry in enumerate(entries, 1):
        place = f"{path}, category {position}"
        name = entry.get("name") if isinstance(entry, dict) else None
        key = entry.get("id") if isinstance(entry, dict) else None
        if not isinstance(name, str) or not name.strip() or not isinstance(key, int | str):
            raise FormatError(f"{place}: expected an id and a name, got {str(entry)[:80]}.")
        name = name.strip()
        if has_control_characters(name):
            raise FormatError(f"{place}: the name {name[:80]!r} holds control characters.")
        if key in names:
            raise FormatError(f"{place}: the id {key} was already given.")
        if name in names.values():
            if not merge_names:
                hint = "Where both mean one class: --merge-names."
                raise FormatError(f"{place}: the name '{name}' was already given. {hint}")
            ledger.remark(REPAIRED, path, f"categories of one name '{name}' are one", position)
        elif fold(name) in {fold(other) for other in names.values()}:
            reason = f"category '{name}' differs from another by case or spaces"
            ledger.remark(WARNING, path, reason, position, cause=Cause.CLASS_SPELLING)
        names[key] = name
    if not names:
        raise FormatError(f"{path} has no categories: there would be nothing to learn.")
    order = sorted(names, key=lambda key: (isinstance(key, str), key))
    return {key: names[key] for key in order}
