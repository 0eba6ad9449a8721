"""The JSON text inside a model file, and what documents of every kind have in common."""

from __future__ import annotations

import json
from typing import Any

from boxray.bundle.fields import is_plain, mismatch, numbers, sequence, table
from boxray.errors import ModelError

SCHEMA = "boxray.model/1"
DETECTORS = ("one-stage", "two-stage")
CLASSIFIER = "classifier"
RCNN = "r-cnn"  # proposals without learning, and a classifier that learned boxes, too


def written(document: dict[str, Any]) -> str:
    """The document as JSON, in ASCII. Raises ModelError if it cannot be written."""
    try:
        return json.dumps(document, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ModelError(f"the model's metadata cannot be written as JSON: {error}.") from error


def parsed(text: str) -> dict[str, Any]:
    """The JSON object, refusing what JSON or good sense does not allow, and unknown kinds."""
    try:
        document = json.loads(text, parse_constant=_refuse, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"the metadata is not sound JSON: {error}.") from error
    if not isinstance(document, dict):
        raise mismatch("(all)", "an object", document)
    for field, known in (("schema", (SCHEMA,)), ("kind", (*DETECTORS, CLASSIFIER, RCNN))):
        if document.get(field) not in known:
            raise mismatch(field, " or ".join(map(repr, known)), document.get(field))
    return document


def class_names(document: dict[str, Any]) -> tuple[str, ...]:
    """The classes: at least one, each a name that can be shown, none twice."""
    names = sequence(document, "classes")
    for name in names:
        if not (isinstance(name, str) and name.strip() and is_plain(name)):
            raise mismatch("classes", "names without control characters", name)
    if not 0 < len(set(names)) == len(names):
        raise mismatch("classes", "at least one name and none twice", names)
    return names


def normalisation(document: dict[str, Any]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of red, green and blue, on the scale 0 to 255."""
    found = table(document, "normalisation")
    mean = numbers(found.get("mean"), "mean", 3, low=-1e6)
    return mean, numbers(found.get("std"), "std", 3, low=1e-6)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not one of JSON's numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key stands twice among {[key for key, _ in pairs]}")
    return found
