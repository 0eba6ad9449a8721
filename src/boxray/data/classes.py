"""Class names: the list a person wants, and how the names in a data set are matched to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from boxray.errors import FormatError

# What VOC, COCO and Open Images call differently, one thing per line.
SYNONYMS = (
    ("aeroplane", "airplane"),
    ("cell phone", "mobile phone"),
    ("cow", "cattle"),
    ("diningtable", "dining table", "kitchen & dining room table"),
    ("donut", "doughnut"),
    ("frisbee", "flying disc"),
    ("hair drier", "hair dryer"),
    ("keyboard", "computer keyboard"),
    ("microwave", "microwave oven"),
    ("motorbike", "motorcycle"),
    ("mouse", "computer mouse"),
    ("pottedplant", "potted plant", "houseplant"),
    ("remote", "remote control"),
    ("skis", "ski"),
    ("sofa", "couch"),
    ("tvmonitor", "tv", "television"),
)


# control characters, ends of line that only some programs know, and what is no character at all
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def fold(name: str) -> str:
    """The name without case, spaces, underscores and hyphens."""
    return "".join(letter for letter in name.casefold() if letter not in " _-\t")


_FOLDED_SYNONYMS = tuple(frozenset(map(fold, line)) for line in SYNONYMS)


def has_control_characters(name: str) -> bool:
    """Whether a name holds line breaks, NUL or their like, which no class name needs."""
    return _NO_TEXT.search(name) is not None


@dataclass(frozen=True)
class ClassMap:
    """The classes that are wanted, in their order, and other names for them.

    synonyms: other name → class name.
    """

    names: tuple[str, ...]
    synonyms: Mapping[str, str] = field(default_factory=dict)

    def label_of(self, name: str) -> int | None:
        """The class that a data set's `name` means, or None."""
        found = self.match(name)
        return None if found is None else found[0]

    def match(self, name: str) -> tuple[int, str] | None:
        """The class that a data set's `name` means, and what says so; None if nothing does.

        Tried in turn: the very name; the name without case, spaces, underscores and hyphens; the
        file's synonyms; the table `SYNONYMS`. What fits two classes at the same step fits none.
        """
        if name in self.names:
            return self.names.index(name), "the very name"
        folded = fold(name)
        given = {wanted for other, wanted in self.synonyms.items() if fold(other) == folded}
        known = {other for line in _FOLDED_SYNONYMS if folded in line for other in line}
        steps = (
            ("spelling", [i for i, wanted in enumerate(self.names) if fold(wanted) == folded]),
            ("class file", [i for i, wanted in enumerate(self.names) if wanted in given]),
            ("synonym", [i for i, wanted in enumerate(self.names) if fold(wanted) in known]),
        )
        how, hits = next((step for step in steps if step[1]), ("", []))
        return (hits[0], how) if len(hits) == 1 else None


def read_class_file(path: Path | str) -> ClassMap:
    """The class list in a text file: one class per line, `name` or `name: synonym, synonym`.

    Blank lines and what follows a `#` at the start of a line or after a space are left out.
    Raises FormatError for a file that is not UTF-8 text or names a class twice.
    """
    path = Path(path)
    names: list[str] = []
    synonyms: dict[str, str] = {}
    seen: dict[str, tuple[int, str]] = {}
    for number, line in enumerate(_lines(path), 1):
        text = "" if line.startswith("#") else line.split(" #", 1)[0].strip()
        if not text:
            continue
        name, *others = _names_of(text, f"{path}, line {number}")
        for given in (name, *others):
            at, owner = seen.setdefault(fold(given), (number, name))
            if (at, owner) != (number, name) or (given is name and name in names):
                raise FormatError(
                    f"{path}, line {number}: '{given}' was already given on line {at} "
                    f"for class '{owner}'. Each class and each synonym may appear once."
                )
        names.append(name)
        synonyms.update(dict.fromkeys(others, name))
    if not names:
        raise FormatError(f"{path} names no class: it needs one class per line.")
    return ClassMap(tuple(names), synonyms)


def _names_of(text: str, place: str) -> list[str]:
    """The class and its synonyms on one line."""
    name, _, rest = text.partition(":")
    others = [other.strip() for other in rest.split(",") if other.strip()]
    if not name.strip():
        raise FormatError(f"{place}: there is no class name before the colon in '{text}'.")
    if any(has_control_characters(given) for given in (name, *others)):
        raise FormatError(f"{place}: a class name holds control characters: {text!r}.")
    return [name.strip(), *others]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise FormatError(f"cannot read the class file {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is not UTF-8 text: byte {error.start} is {error.object[error.start]:#04x}. "
            "Save it as UTF-8."
        ) from error
