"""Checks of single fields of a metadata document: each returns the value or names the field."""

from __future__ import annotations

import unicodedata
from typing import Any, TypeGuard

from boxray.errors import ModelError


def mismatch(field: str, expected: str, got: object) -> ModelError:
    """The error for a field that is not what it must be."""
    shown = repr(got)
    shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
    return ModelError(f"metadata field {field}: expected {expected}, got {shown}.")


def table(document: dict[str, Any], field: str) -> dict[str, Any]:
    """An object of the document."""
    found = document.get(field)
    if not isinstance(found, dict):
        raise mismatch(field, "an object", found)
    return found


def sequence(document: dict[str, Any], field: str) -> tuple[Any, ...]:
    """A list of the document, whatever is in it."""
    found = document.get(field)
    if not isinstance(found, list):
        raise mismatch(field, "a list", found)
    return tuple(found)


def words(document: dict[str, Any], field: str) -> str:
    """A text of the document that can be shown as it is."""
    found = document.get(field)
    if not isinstance(found, str) or not is_plain(found):
        raise mismatch(field, "a text without control characters", found)
    return found


def is_plain(text: str) -> bool:
    """Whether a text has nothing that could steer a terminal or break a line or an encoding."""
    return not any(unicodedata.category(letter) in {"Cc", "Cs", "Zl", "Zp"} for letter in text)


def numbers(
    found: object, field: str, count: int, *, low: float, high: float = 1e6
) -> tuple[float, ...]:
    """A list of `count` numbers, none outside low to high."""
    expected = f"{count} numbers from {low:g} to {high:g}"
    if not isinstance(found, list) or len(found) != count:
        raise mismatch(field, expected, found)
    for value in found:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise mismatch(field, expected, found)
    return tuple(float(value) for value in found)


def is_whole(value: object) -> TypeGuard[int]:
    """Whether JSON had a whole number here; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)
