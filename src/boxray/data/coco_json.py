"""The JSON document of a COCO file, with the keys it cannot do without."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from boxray.data.classes import fold, has_control_characters
from boxray.data.report import REPAIRED, WARNING, Cause, Ledger
from boxray.errors import FormatError

Entry: TypeAlias = dict[str, Any]  # one JSON object, not yet checked
_STREAMED = "annotations"
_DECODE = json.JSONDecoder().raw_decode
_SPACE = re.compile(r"[ \t\n\r]*")


@dataclass(frozen=True)
class Document:
    """A COCO document whose annotations stay text until they are asked for, one by one.

    start: where their list begins in the text, None where there is none.
    """

    images: list[Any]
    categories: list[Any]
    text: str
    start: int | None

    @property
    def labelled(self) -> bool:
        """Whether there are annotations, be it none for any image."""
        return self.start is not None

    def annotations(self) -> Iterator[Any]:
        """Each in turn: a million of them, with polygons, would take more memory than the text."""
        if self.start is not None:
            for value, _ in _elements(self.text, self.start):
                yield value


def load(path: Path) -> Document:
    """The document, with the keys it cannot do without. Raises FormatError otherwise."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        found, start = _members(text)
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path} is not UTF-8: byte {error.start} cannot be read.") from error
    except RecursionError as error:
        raise FormatError(f"{path} is nested too deeply to be a COCO file.") from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}.") from error
    if isinstance(found, list):
        hint = ""
        if found and isinstance(found[0], dict) and "score" in found[0]:
            hint = " This is a file of results (detections). Give the annotations that it answers."
        raise FormatError(f"{path} holds a list, expected an object with 'images'.{hint}")
    for key in ("images", "categories"):
        if not isinstance(found, dict) or not isinstance(found.get(key), list):
            raise FormatError(f"{path} has no list '{key}': it is not a COCO annotation file.")
    if _STREAMED in found:
        raise FormatError(f"{path}: 'annotations' is not a list.")
    return Document(found["images"], found["categories"], text, start)


def _members(text: str) -> tuple[Any, int | None]:
    """The values in the text's object but for its list of annotations, and where that begins.

    As with json.loads, of two members with one key the last one counts. A text that is no object
    is decoded as a whole. Raises ValueError where it is no JSON.
    """
    at = _after_space(text, 0)
    if text[at : at + 1] != "{":
        return json.loads(text), None
    found: Entry = {}
    start = None
    at = _after_space(text, at + 1)
    more = text[at : at + 1] != "}"
    while more:
        if text[at : at + 1] != '"':
            raise json.JSONDecodeError(
                "Expecting property name enclosed in double quotes", text, at
            )
        key, at = _DECODE(text, at)
        at = _after_space(text, _past(":", text, at))
        if key == _STREAMED:
            found.pop(key, None)
            start = at if text[at : at + 1] == "[" else None
        if key == _STREAMED and start is not None:
            at = _end(text, start)
        else:
            found[key], at = _DECODE(text, at)
        at = _after_space(text, at)
        more = text[at : at + 1] == ","
        at = _after_space(text, at + 1) if more else at
    at = _after_space(text, _past("}", text, at))
    if at != len(text):
        raise json.JSONDecodeError("Extra data", text, at)
    return found, start


def _elements(text: str, start: int) -> Iterator[tuple[Any, int]]:
    """Each element of the list that begins here, and where it ends."""
    at = _after_space(text, start + 1)
    if text[at : at + 1] == "]":
        return
    while True:
        value, at = _DECODE(text, at)
        at = _after_space(text, at)
        yield value, at
        if text[at : at + 1] == "]":
            return
        at = _after_space(text, _past(",", text, at))


def _end(text: str, start: int) -> int:
    """Where the list that begins here is over."""
    end = start + 1
    for _, after in _elements(text, start):
        end = after
    return _past("]", text, end)


def _after_space(text: str, at: int) -> int:
    return _SPACE.match(text, at).end()  # type: ignore[union-attr]  # it matches nothing, too


def _past(sign: str, text: str, at: int) -> int:
    """Where the text goes on after a sign that has to be next."""
    at = _after_space(text, at)
    if text[at : at + 1] != sign:
        raise json.JSONDecodeError(f"Expecting '{sign}' delimiter", text, at)
    return at + 1


def categories_of(
    entries: list[Any], path: Path, ledger: Ledger, merge_names: bool
) -> dict[Any, str]:
    """Category id → name, in the order of the ids; two of one name only with `merge_names`."""
    names: dict[Any, str] = {}
    for position, entry in enumerate(entries, 1):
        place = f"{path}, category {position}"
        name = entry.get("name") if isinstance(entry, dict) else None
        key = whole_id(entry.get("id")) if isinstance(entry, dict) else None
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


def whole_id(value: Any) -> Any:
    """An id as it is, but 3 for 3.0, which programs write that keep ids in a column of floats."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def box_around(polygons: object) -> list[float] | None:
    """x, y, width, height around polygons, lists x0, y0, x1, y1 …; None where these are none."""
    if not isinstance(polygons, list) or not all(isinstance(one, list) for one in polygons):
        return None
    values = [value for one in polygons for value in one]
    if not values or any(len(one) < 6 or len(one) % 2 for one in polygons):
        return None
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in values):
        return None
    xs, ys = values[::2], values[1::2]
    box = min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)
    return [float(number) for number in box]
