"""The tables beside Open Images' boxes: its list of classes, and what a person looked for."""

from __future__ import annotations

from collections.abc import Container, Mapping
from pathlib import Path
from typing import NamedTuple

from boxray.data.classes import fold, has_control_characters
from boxray.data.csv_rows import rows
from boxray.data.report import SKIPPED, WARNING, Cause, Ledger
from boxray.errors import FormatError

CLASS_HEADERS = (("LabelName", "DisplayName"), ("id", "name"))


def read_classes(path: Path, ledger: Ledger) -> dict[str, str]:
    """Label → name, from a list of classes with or without a header, in its order.

    Raises FormatError for a label that is given twice or a row that is none.
    """
    names: dict[str, str] = {}
    for line, fields in rows(path):
        if line == 1 and tuple(fields[:2]) in CLASS_HEADERS:
            continue
        label, name = (fields[0].strip(), fields[1].strip()) if len(fields) == 2 else ("", "")
        if not label or not name or has_control_characters(label + name):
            raise FormatError(f"{path}, line {line}: expected a label and a name.")
        if label in names:
            raise FormatError(f"{path}, line {line}: the label {label} was already given.")
        if name in names.values():
            ledger.remark(WARNING, path, f"another class is named '{name}' too", line)
            name = f"{name} ({label})"
        names[label] = name
    if not names:
        raise FormatError(f"{path} lists no class.")
    spellings = {fold(name) for name in names.values()}
    if len(spellings) < len(names):
        ledger.remark(
            WARNING,
            path,
            "names of classes differ by case or spaces only",
            cause=Cause.CLASS_SPELLING,
        )
    return names


class Verified(NamedTuple):
    """Names of the classes that a person found in an image, or looked for in vain."""

    present: set[str]
    absent: set[str]

    @classmethod
    def none(cls) -> Verified:
        """Nobody looked."""
        return cls(set(), set())


def read_verified(
    path: Path, names: Mapping[str, str] | None, images: Container[str], ledger: Ledger
) -> dict[str, Verified]:
    """What was verified of these images. Machine labels, whose confidence is a fraction, are none.

    A class that is both present and absent counts as present, with a warning.
    """
    table = rows(path)
    _, header = next(table, (1, []))
    for wanted in ("ImageID", "LabelName", "Confidence"):
        if wanted not in header:
            raise FormatError(f"{path}, line 1: there is no column {wanted}.")
    columns = [header.index(name) for name in ("ImageID", "LabelName", "Confidence")]
    found: dict[str, Verified] = {}
    for line, fields in table:
        if len(fields) != len(header):
            ledger.remark(SKIPPED, path, f"the row does not have {len(header)} fields", line)
            continue
        image, label, confidence = (fields[i] for i in columns)
        if image not in images or confidence not in {"0", "1", "0.0", "1.0"}:
            continue
        name = label if names is None else names.get(label)
        if name is None:
            reason = "its LabelName is not in the list of classes"
            ledger.remark(SKIPPED, path, reason, line, cause=Cause.UNKNOWN_CLASS)
            continue
        verified = found.setdefault(image, Verified.none())
        verified[confidence.startswith("0")].add(name)
    for verified in found.values():
        if verified.present & verified.absent:
            ledger.remark(WARNING, path, "a class is present and absent in one image: present")
        verified.absent.difference_update(verified.present)
    return found
