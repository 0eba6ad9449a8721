"""The sections of a Darknet `.cfg` file, and typed access to their options.

    [section]
    option = value        # what follows a # or ; is a comment

An option that nobody asked for when its section is done is refused, with the nearest known name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from boxray.errors import ModelError

Value = TypeVar("Value", int, float)
LARGEST = 65536  # of any whole number in a file: channels, sides, places
_WHOLE = re.compile(r"[+-]?[0-9]{1,9}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True)
class Option:
    """What stands behind the equals sign, and on which line."""

    text: str
    line: int


@dataclass
class Section:
    """One section. Each getter checks one option; `finish` refuses those that were left."""

    file: str
    kind: str
    line: int
    options: dict[str, Option] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)

    def error(self, problem: str, line: int | None = None) -> ModelError:
        """The error for this section: file, line and section before the problem."""
        return ModelError(f"{self.file}, line {line or self.line}, [{self.kind}]: {problem}")

    def whole(
        self, name: str, default: int | None = None, *, low: int = 1, high: int = LARGEST
    ) -> int:
        """A whole number from low to high; no default means that it must be there."""
        found = self.wholes(name, None if default is None else (default,), low=low, high=high)
        return self._single(name, found)

    def wholes(
        self, name: str, default: Sequence[int] | None = None, *, low: int, high: int = LARGEST
    ) -> tuple[int, ...]:
        """Whole numbers with commas between."""
        option = self._option(name, default is not None)
        if option is None:
            return tuple(default or ())
        parts = option.text.replace(" ", "").split(",")
        good = all(_WHOLE.fullmatch(part) and low <= int(part) <= high for part in parts)
        if not good:
            expected = f"whole numbers from {low} to {high}, commas between"
            raise self.error(f"{name}: expected {expected}, got {option.text!r}.", option.line)
        return tuple(map(int, parts))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """0 or 1."""
        return bool(self.whole(name, int(default), low=0, high=1))

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A number from low to high."""
        return self._single(
            name, self.numbers(name, low=low, high=high, optional=True) or (default,)
        )

    def numbers(
        self, name: str, *, low: float = -1e9, high: float = 1e9, optional: bool = False
    ) -> tuple[float, ...]:
        """Numbers with commas between, none outside low to high."""
        option = self._option(name, optional)
        if option is None:
            return ()
        parts = option.text.replace(" ", "").split(",")
        good = all(_NUMBER.fullmatch(part) and low <= float(part) <= high for part in parts)
        if not good:
            expected = f"numbers from {low:g} to {high:g}, commas between"
            raise self.error(f"{name}: expected {expected}, got {option.text!r}.", option.line)
        return tuple(map(float, parts))

    def word(self, name: str, allowed: Sequence[str]) -> str:
        """One of a few words; it must be there."""
        option = self._option(name, optional=False)
        assert option is not None
        if option.text not in allowed:
            expected = f"one of {', '.join(allowed)}"
            raise self.error(f"{name}: expected {expected}, got {option.text!r}.", option.line)
        return option.text

    def only(self, name: str, value: int, why: str) -> None:
        """An option that may be there if it says `value`, which is what its absence means."""
        if self.whole(name, value, low=-LARGEST) != value:
            option = self.options[name]
            raise self.error(f"{name}={option.text} is not supported: {why}.", option.line)

    def unused(self, *names: str) -> None:
        """Options that steer Darknet's own training: numbers, checked to be such, left aside."""
        for name in names:
            self.numbers(name, optional=True)

    def finish(self) -> None:
        """Refuse the first option that nobody asked for."""
        for name, option in self.options.items():
            if name not in self.known:
                near = difflib.get_close_matches(name, self.known, 1)
                hint = f"Did you mean {near[0]!r}?" if near else f"Known: {self._listed()}."
                raise self.error(f"unknown option {name!r}. {hint}", option.line)

    def _single(self, name: str, found: tuple[Value, ...]) -> Value:
        if len(found) != 1:
            option = self.options[name]
            raise self.error(f"{name}: expected one number, got {option.text!r}.", option.line)
        return found[0]

    def _option(self, name: str, optional: bool) -> Option | None:
        self.known.add(name)
        if name not in self.options and not optional:
            near = difflib.get_close_matches(name, set(self.options) - self.known, 1)
            lines = [f" Is {one!r} on line {self.options[one].line} a slip?" for one in near]
            raise self.error(f"{name} is missing.{''.join(lines)}")
        return self.options.get(name)

    def _listed(self) -> str:
        return ", ".join(sorted(self.known)) or "none"


def sections(text: str, file: str) -> list[Section]:
    """The sections of a text, in order. `file` is what errors call it.

    Raises ModelError for a line that is neither a section nor an option, and an option given twice.
    """
    found: list[Section] = []
    for number, line in enumerate(text.splitlines(), 1):
        content = re.split("[#;]", line, maxsplit=1)[0].strip()
        if not content:
            continue
        if content.startswith("["):
            found.append(Section(file, _kind(content, f"{file}, line {number}"), number))
            continue
        name, equals, value = (part.strip() for part in content.partition("="))
        if not (name and equals and value and found):
            raise ModelError(
                f"{file}, line {number}: expected a [section] or, inside one, option=value, "
                f"got {content[:60]!r}."
            )
        section = found[-1]
        if name in section.options:
            before = section.options[name].line
            raise section.error(f"{name} was already given on line {before}.", number)
        section.options[name] = Option(value, number)
    return found


def _kind(content: str, place: str) -> str:
    if not re.fullmatch(r"\[[a-z_]+\]", content):
        raise ModelError(f"{place}: expected a section like [net], got {content[:60]!r}.")
    return content[1:-1]
