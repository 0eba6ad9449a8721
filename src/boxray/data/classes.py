"""Class names: the list a person wants, and how the names in a data set are matched to it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from boxray.errors import FormatError

# VOC's name and COCO's name of the same thing.
KNOWN_PAIRS = (
    ("aeroplane", "airplane"),
    ("motorbike", "motorcycle"),
    ("diningtable", "dining table"),
    ("pottedplant", "potted plant"),
    ("sofa", "couch"),
    ("tvmonitor", "tv"),
)


# control characters, ends of line that only some programs know, and what is no character at all
_NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")


def fold(name: str) -> str:
    """The name without case, spaces, underscores and hyphens."""
    return "".join(letter for letter in name.casefold() if letter not in " _-\t")


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
        """The class that a data set's `name` means, or None.

        Tried in turn: the very name; the name without case, spaces, underscores and hyphens; the
        file's synonyms; the pairs that VOC and COCO call differently. What fits two classes at
        the same step fits none.
        """
        if name in self.names:
            return self.names.index(name)
        folded = fold(name)
        synonyms = {wanted for other, wanted in self.synonyms.items() if fold(other) == folded}
        pairs = {fold(b) for a, b in KNOWN_PAIRS if fold(a) == folded}
        pairs |= {fold(a) for a, b in KNOWN_PAIRS if fold(b) == folded}
        steps = (
            [i for i, wanted in enumerate(self.names) if fold(wanted) == folded],
            [i for i, wanted in enumerate(self.names) if wanted in synonyms],
            [i for i, wanted in enumerate(self.names) if fold(wanted) in pairs],
        )
        hits = next((step for step in steps if step), [])
        return hits[0] if len(hits) == 1 else None


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
