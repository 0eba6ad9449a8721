"""Rows of a CSV file with the line each begins on, within limits that no honest table reaches."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from boxray.errors import FormatError

LONGEST_LINE = 1 << 20  # characters; a field may have 131,072, the limit of Python's csv module
_HEAD_BYTES = 4096


def rows(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with the line it begins on, from 1.

    The file is read as it goes, once, and never held. Raises FormatError, naming file and line,
    for text that is not UTF-8, an unclosed quote (which would swallow all that follows), or a
    line or field beyond the limits.
    """
    start = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(_lines(file), strict=True)
            for fields in reader:
                if fields:
                    yield start, fields
                start = reader.line_num + 1
    except OSError as error:
        raise FormatError(f"cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{path} is not UTF-8 text, at or after line {start}: {error.reason}. Save it as UTF-8."
        ) from error
    except csv.Error as error:
        reason = str(error)
        if "end of data" in reason:
            reason = "a quote is opened and never closed"
        raise FormatError(f"{path}, line {start}: {reason}.") from error


def first_line(path: Path) -> str:
    """The first line, or the beginning of it, whatever its encoding; empty if unreadable."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return ""
    text = head.replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe")
    return next(iter(text.decode("utf-8", errors="replace").splitlines()), "")


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(LONGEST_LINE + 1):
        if len(line) > LONGEST_LINE:
            raise csv.Error(f"the line is longer than {LONGEST_LINE} characters")
        yield line
