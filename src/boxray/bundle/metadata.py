"""The JSON document by which a model file says what it is: written by `to_text`, read by `parse`.

Every field is checked on the way in, because a model file may come from anywhere.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, TypeGuard, get_args

from boxray.coders.yolo_grid import YoloGrid
from boxray.errors import BoxrayError, ModelError
from boxray.files import UNSEALED
from boxray.selection import Thresholds, Within

SCHEMA = "boxray.model/1"
KIND = "one-stage"
CODER = "yolo_grid"
MAX_SIDE = 4096  # pixels; a canvas beyond this is a mistake or an attack


@dataclass(frozen=True)
class Model:
    """What a model file says about itself.

    canvas_hw in pixels; mean and std of red, green, blue on the scale 0 to 255. metrics, recipe,
    training_data and versions are the history as the export wrote it, in JSON's types.
    sha256: of the sealed file; zeros in one that is not sealed yet.
    """

    name: str
    classes: tuple[str, ...]
    coder: YoloGrid
    canvas_hw: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    thresholds: Thresholds
    metrics: Mapping[str, Any]
    recipe: Mapping[str, Any]
    training_data: tuple[Any, ...]
    licence: str
    versions: Mapping[str, Any]
    sha256: str = UNSEALED


def to_text(model: Model) -> str:
    """The metadata of an unsealed file: JSON, in ASCII, with zeros for the sha256.

    Read back by `parse`. Raises ModelError if the model could not be read back.
    """
    document = {
        "schema": SCHEMA,
        "sha256": UNSEALED,
        "name": model.name,
        "kind": KIND,
        "classes": model.classes,
        "coder": {
            "kind": CODER,
            "strides": model.coder.strides,
            "priors": model.coder.priors,
            "stretch": model.coder.stretch,
        },
        "canvas_hw": model.canvas_hw,
        "normalisation": {"mean": model.mean, "std": model.std},
        "thresholds": asdict(model.thresholds),
        "metrics": model.metrics,
        "recipe": model.recipe,
        "training_data": model.training_data,
        "licence": model.licence,
        "versions": model.versions,
    }
    try:
        text = json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the model's metadata cannot be written as JSON: {error}.") from error
    parse(text)
    return text


def parse(text: str) -> Model:
    """The model that a metadata document describes, every field checked.

    Raises ModelError, naming the field, what was expected and what the document says.
    """
    document = _document(text)
    for field, expected in (("schema", SCHEMA), ("kind", KIND)):
        if document.get(field) != expected:
            raise _mismatch(field, repr(expected), document.get(field))
    classes = _classes(document)
    coder = _coder(document, len(classes))
    normalisation = _table(document, "normalisation")
    return Model(
        name=_words(document, "name"),
        classes=classes,
        coder=coder,
        canvas_hw=checked_canvas(document.get("canvas_hw"), max(coder.strides), ModelError),
        mean=_numbers(normalisation.get("mean"), "mean", 3, low=-1e6),
        std=_numbers(normalisation.get("std"), "std", 3, low=1e-6),
        thresholds=_thresholds(_table(document, "thresholds")),
        metrics=_table(document, "metrics"),
        recipe=_table(document, "recipe"),
        training_data=_list(document, "training_data"),
        licence=_words(document, "licence"),
        versions=_table(document, "versions"),
        sha256=_words(document, "sha256"),
    )


def checked_canvas(found: object, stride: int, kind: type[BoxrayError]) -> tuple[int, int]:
    """Height and width in pixels, multiples of the coarsest stride; an error of `kind` if not."""
    if isinstance(found, list | tuple) and len(found) == 2:
        height, width = found
        if _is_side(height, stride) and _is_side(width, stride):
            return height, width
    raise kind(
        f"a canvas of {found!r}: expected height and width in pixels, "
        f"multiples of {stride} up to {MAX_SIDE}."
    )


def _mismatch(field: str, expected: str, got: object) -> ModelError:
    shown = repr(got)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ModelError(f"metadata field {field}: expected {expected}, got {shown}.")


def _document(text: str) -> dict[str, Any]:
    """The JSON object, refusing what JSON or good sense does not allow."""
    try:
        document = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the metadata is not sound JSON: {error}.") from error
    if not isinstance(document, dict):
        raise _mismatch("(all)", "an object", document)
    return document


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not one of JSON's numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return table


def _table(document: dict[str, Any], field: str) -> dict[str, Any]:
    found = document.get(field)
    if not isinstance(found, dict):
        raise _mismatch(field, "an object", found)
    return found


def _list(table: dict[str, Any], field: str) -> tuple[Any, ...]:
    found = table.get(field)
    if not isinstance(found, list):
        raise _mismatch(field, "a list", found)
    return tuple(found)


def _words(document: dict[str, Any], field: str) -> str:
    found = document.get(field)
    if not isinstance(found, str) or not is_plain(found):
        raise _mismatch(field, "a text without control characters", found)
    return found


def is_plain(text: str) -> bool:
    """Whether a text has nothing that could steer a terminal or break a line or an encoding."""
    return not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in text)


def _classes(document: dict[str, Any]) -> tuple[str, ...]:
    names = _list(document, "classes")
    for name in names:
        if not (isinstance(name, str) and name.strip() and is_plain(name)):
            raise _mismatch("classes", "names without control characters", name)
    if not 0 < len(set(names)) == len(names):
        raise _mismatch("classes", "at least one name and none twice", names)
    return names


def _numbers(
    found: object, field: str, count: int, *, low: float, high: float = 1e6
) -> tuple[float, ...]:
    """A list of `count` numbers, none outside low to high."""
    expected = f"{count} numbers from {low:g} to {high:g}"
    if not isinstance(found, list) or len(found) != count:
        raise _mismatch(field, expected, found)
    for value in found:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise _mismatch(field, expected, found)
    return tuple(float(value) for value in found)


def _coder(document: dict[str, Any], class_count: int) -> YoloGrid:
    table = _table(document, "coder")
    if table.get("kind") != CODER:
        raise _mismatch("coder.kind", repr(CODER), table.get("kind"))
    strides = _strides(_list(table, "strides"))
    levels = _list(table, "priors")
    if len(levels) != len(strides) or not all(isinstance(level, list) for level in levels):
        raise _mismatch("coder.priors", f"one list for each of {len(strides)} strides", levels)
    (stretch,) = _numbers([table.get("stretch")], "coder.stretch", 1, low=1.0, high=10.0)
    return YoloGrid(class_count, strides, tuple(_priors(level) for level in levels), stretch)


def _strides(found: tuple[Any, ...]) -> tuple[int, ...]:
    """Canvas pixels per cell, finest level first, each a divisor of the coarsest."""
    whole = all(_is_whole(stride) for stride in found)
    if not found or not whole or list(found) != sorted(set(found)) or found[0] < 1:
        raise _mismatch("coder.strides", "whole numbers of pixels, finest first", found)
    if found[-1] > MAX_SIDE or any(found[-1] % stride for stride in found):
        raise _mismatch("coder.strides", "divisors of the coarsest, which fits a canvas", found)
    return found


def _priors(level: list[Any]) -> tuple[tuple[float, float], ...]:
    """Widths and heights of one level, in canvas pixels."""
    if not level:
        raise _mismatch("coder.priors", "at least one prior on each level", level)
    pairs = [_numbers(pair, "coder.priors", 2, low=1e-3) for pair in level]
    return tuple((width, height) for width, height in pairs)


def _is_side(value: object, stride: int) -> bool:
    return _is_whole(value) and 0 < value <= MAX_SIDE and value % stride == 0


def _thresholds(table: dict[str, Any]) -> Thresholds:
    known = {field.name for field in fields(Thresholds)}
    if set(table) != known:
        raise _mismatch("thresholds", f"the fields {sorted(known)}", sorted(table))
    shares = [table["score_threshold"], table["iou_threshold"]]
    score_threshold, iou_threshold = _numbers(shares, "thresholds", 2, low=0.0, high=1.0)
    limits = [table["limit_before"], table["limit_before_per_group"]]
    for count in (table["max_detections"], *(limit for limit in limits if limit is not None)):
        if not _is_whole(count) or count < 1:
            raise _mismatch("thresholds", "limits that are whole numbers from 1", count)
    if table["suppress_within"] not in get_args(Within):
        raise _mismatch("thresholds", f"one of {get_args(Within)}", table["suppress_within"])
    return Thresholds(
        score_threshold=score_threshold,
        iou_threshold=iou_threshold,
        limit_before=limits[0],
        limit_before_per_group=limits[1],
        suppress_within=table["suppress_within"],
        max_detections=table["max_detections"],
    )


def _is_whole(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)
